"""CPU per acknowledged webhook: the gateway, durable and with intake running, beside nginx with Lua and a static nginx.

Each server has core 0 alone; PostgreSQL and wrk share core 1. Rounds alternate between them, after a rest in which the
gateway has recorded everything of its last round. What is compared is the CPU of the server's process while 64
connections keep it busy, by its answers. The medians of the rounds are shown.
"""

import argparse
import pathlib
import statistics
import time

import processes
import webhooks
from generator import Generator, Load
from report import Report, note
from servers import Gateway, Nginx, Server, StaticNginx, Workplace, check_answers

SERVER_CORE, LOAD_CORE = 0, 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench ingress", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (5)")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (4)")
    parser.add_argument("--requests", type=int, default=300_000, help="distinct webhooks written for a round (300000)")
    parser.add_argument("--nginx-only", action="store_true", help="measure the reference alone")
    return parser.parse_args()


class Measured:
    """The rounds of one server."""

    def __init__(self):
        self.cpu_microseconds: list[float] = []
        self.rates: list[float] = []
        self.p99_ms: list[float] = []
        self.resident_megabytes = 0.0

    def add(self, cpu_seconds: float, load: Load) -> None:
        self.cpu_microseconds.append(cpu_seconds * 1e6 / load.acknowledged)
        self.rates.append(load.rate)
        self.p99_ms.append(load.p99_ms)


def measure_round(server: Server, measured: Measured, requests: pathlib.Path, options: argparse.Namespace) -> None:
    generator = Generator(server.port, requests, 64, options.seconds, LOAD_CORE)
    before = processes.cpu_seconds(server.pid)
    load = generator.finish(options.requests)
    measured.add(processes.cpu_seconds(server.pid) - before, load)
    note(f"{type(server).__name__}: {measured.cpu_microseconds[-1]:.1f} µs, {load.rate:,.0f}/s, p99 {load.p99_ms:.1f} ms")


def measure_memory(server: Server, requests: pathlib.Path, options: argparse.Namespace) -> float:
    """The most that was resident while 256 connections were busy, in megabytes (2^20)."""
    generator = Generator(server.port, requests, 256, options.seconds, LOAD_CORE)
    most = 0
    while generator.process.poll() is None:
        most = max(most, processes.resident_bytes(server.pid))
        time.sleep(0.05)
    generator.finish(options.requests)
    return most / (1 << 20)


def rest(servers: list[Server]) -> None:
    for server in servers:
        if isinstance(server, Gateway):
            processes.wait_until_idle([server.pid])


def run(options: argparse.Namespace) -> dict[str, Measured]:
    with Workplace() as workplace, Nginx(workplace, SERVER_CORE) as nginx:
        if options.nginx_only:
            return run_rounds([nginx], workplace, options)
        with StaticNginx(workplace, SERVER_CORE) as static, Gateway(workplace, SERVER_CORE, LOAD_CORE) as gateway:
            return run_rounds([nginx, static, gateway], workplace, options)


def run_rounds(servers: list[Server], workplace: Workplace, options: argparse.Namespace) -> dict[str, Measured]:
    measured = {type(server).__name__: Measured() for server in servers}
    for server in servers:
        if not isinstance(server, StaticNginx):
            check_answers(server)
    requests = workplace.path / "requests"
    for index in range(options.rounds + 1):
        webhooks.write(str(requests), 1 + index * options.requests, options.requests, tenants=10_000)
        rest(servers)
        # Who goes first alternates, so that neither always meets the warmer machine.
        for server in servers if index % 2 == 0 else reversed(servers):
            if index < options.rounds:
                measure_round(server, measured[type(server).__name__], requests, options)
            else:
                measured[type(server).__name__].resident_megabytes = measure_memory(server, requests, options)
            rest(servers)
    return measured


def main() -> None:
    options = arguments()
    measured = run(options)
    nginx, static, gateway = measured["Nginx"], measured.get("StaticNginx"), measured.get("Gateway")
    report = Report("ingress")
    shown, reference = (gateway, nginx) if gateway else (nginx, None)

    def add(case: str, unit: str, value) -> None:
        report.add(case, value(shown), unit, value(reference) if reference else None)

    add("cpu per acknowledged webhook, 64 connections", "µs", lambda m: statistics.median(m.cpu_microseconds))
    if static:
        report.add("cpu per acknowledged webhook, beside a static nginx", statistics.median(shown.cpu_microseconds), "µs",
                   statistics.median(static.cpu_microseconds))
    add("acknowledged on one core, 64 connections", "1/s", lambda m: statistics.median(m.rates))
    add("p99 at saturation, 64 connections", "ms", lambda m: statistics.median(m.p99_ms))
    add("resident memory, 256 connections", "MB", lambda m: m.resident_megabytes)
    report.show()


main()
