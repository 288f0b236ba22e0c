"""Runs wrk against a server, once through a file of requests."""

import json
import os
import pathlib
import subprocess
from dataclasses import dataclass

from report import note
from servers import ROOT


@dataclass
class Load:
    """What wrk saw."""

    requests: int
    refused: int
    broken: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float

    @property
    def acknowledged(self) -> int:
        return self.requests - self.refused

    @property
    def rate(self) -> float:
        return self.acknowledged / self.seconds


class Generator:
    """wrk with one thread; started here, awaited by `finish`."""

    def __init__(self, port: int, requests: pathlib.Path, connections: int, seconds: float, core: int | None,
                 pause_ms: int | None = None):
        environment = {**os.environ, "BENCH_REQUESTS": str(requests)}
        if pause_ms is not None:
            environment["BENCH_PAUSE_MS"] = str(pause_ms)
        self.process = subprocess.Popen(
            ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s", "--timeout", "10s",
             "-s", ROOT / "benchmarks/load.lua", f"https://127.0.0.1:{port}/api/webhooks/meta"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}))

    def finish(self, requests_written: int) -> Load:
        output, errors = self.process.communicate()
        if self.process.returncode != 0:
            raise SystemExit(f"bench: wrk: {errors.strip() or output.strip()}")
        load = Load(**json.loads(output.strip().splitlines()[-1]))
        if load.refused or load.broken:
            raise SystemExit(f"bench: {load.refused} requests refused, {load.broken} broken: this run counts for nothing")
        if load.requests > requests_written:
            note(f"{load.requests} requests were sent, but only {requests_written} are distinct: raise --requests")
        return load
