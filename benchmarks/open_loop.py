"""Runs `zenrent-gateway bench load` against a server: webhooks that are due at fixed times, whatever the server does."""

import json
import os
import pathlib
import subprocess
from dataclasses import dataclass

import landlords
import webhooks
from report import note
from servers import GATEWAY, Server, Workplace


@dataclass
class OpenLoad:
    """What the generator saw."""

    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    is_kept: bool
    late_p99_ms: float
    processor_us: float


def prefer(core: int | None) -> None:
    """Puts this process on a core and, where that is allowed, before everything else there: it measures time."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


class OpenLoop:
    """The gateway's own generator; started here, awaited by `finish`."""

    def __init__(self, server: Server, workplace: Workplace, rate: int, connections: int, seconds: int,
                 core: int | None, receipts: pathlib.Path | None = None):
        command = [
            GATEWAY, "bench", "load", "--json", "--url", f"https://127.0.0.1:{server.port}/api/webhooks/meta",
            "--ca", workplace.certificates / "fullchain.pem", "--rate", str(rate), "--connections", str(connections),
            "--seconds", str(seconds), "--senders", str(landlords.TENANTS),
            "--first-sender", str(webhooks.FIRST_TENANT),
        ]
        if receipts is not None:
            command += ["--receipts", receipts]
        self.process = subprocess.Popen(
            command, env={
                **os.environ, "META_APP_SECRET": webhooks.APP_SECRET,
                "WHATSAPP_PHONE_NUMBER_ID": webhooks.PHONE_NUMBER_ID,
                "WHATSAPP_BUSINESS_ACCOUNT_ID": webhooks.BUSINESS_ACCOUNT_ID,
            },
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: prefer(core))

    def finish(self) -> OpenLoad:
        output, errors = self.process.communicate()
        try:
            summary = json.loads(output)
        except json.JSONDecodeError:
            raise SystemExit(f"bench: the generator: {errors.strip() or output.strip()}") from None
        bad = {key: summary[key] for key in ("refused", "broken", "unanswered", "unsent") if summary[key]}
        if bad:
            raise SystemExit(f"bench: {bad}: this run counts for nothing")
        generator = summary["generator"]
        load = OpenLoad(
            summary["acknowledged_per_second"], summary["latency"]["p50_ms"], summary["latency"]["p99_ms"],
            summary["latency"]["p999_ms"], generator["kept_schedule"], generator["lateness"]["p99_ms"],
            generator["processor_us_per_request"])
        if not load.is_kept:
            note(f"the generator was late itself: p99 {load.late_p99_ms:.2f} ms; its latencies hold that, too")
        return load
