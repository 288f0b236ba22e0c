"""Messages recorded end to end: from the webhook over TLS to its row in PostgreSQL, on all cores.

First a steady load: rows are counted at two moments while it goes on. Then PostgreSQL is held still under load until a
backlog has gathered in the journal, and the time until the backlog is recorded gives the rate at which it drains.
"""

import argparse
import time

import landlords
import webhooks
from generator import Generator
from report import Report, note
from servers import Gateway, Workplace, check_answers

CONNECTIONS = 64


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench record", description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="length of the steady load (15)")
    parser.add_argument("--rate", type=int, default=12_000, help="webhooks offered a second, at most (12000)")
    parser.add_argument("--stall", type=int, default=5, help="seconds that PostgreSQL is held still (5)")
    return parser.parse_args()


class Bench:
    def __init__(self, gateway: Gateway, workplace: Workplace, options: argparse.Namespace):
        self.gateway = gateway
        self.postgres = gateway.postgres
        self.requests = workplace.path / "requests"
        self.options = options
        self.written = 1
        # Each connection waits this long before its next request, which keeps the load at the rate or below it.
        self.pause_ms = max(1, round(CONNECTIONS * 1_000 / options.rate))

    def rows(self) -> int:
        return int(self.postgres.query("SELECT count(*) FROM gateway.whatsapp_messages"))

    def start_load(self, seconds: int) -> tuple[Generator, int]:
        count = self.options.rate * (seconds + 2)
        webhooks.write(str(self.requests), self.written, count, landlords.TENANTS)
        self.written += count
        return Generator(self.gateway.port, self.requests, CONNECTIONS, seconds, None, self.pause_ms), count

    def wait_for(self, rows: int, seconds_max: float = 300) -> float:
        """Returns the moment at which that many rows were there. The generator leaves without waiting for its last
        answers, so a request for each connection may have been recorded beyond them."""
        deadline = time.monotonic() + seconds_max
        while (found := self.rows()) < rows:
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {found} of {rows} acknowledged messages recorded after {seconds_max:.0f} s")
            time.sleep(0.1)
        if found > rows + CONNECTIONS:
            raise SystemExit(f"bench: {found} rows for {rows} acknowledged messages")
        return time.monotonic()

    def steady(self) -> tuple[float, float]:
        """Rows a second and acknowledgements a second, the first seconds left out."""
        at_start = self.rows()
        generator, count = self.start_load(self.options.seconds)
        time.sleep(3)
        rows, moment = self.rows(), time.monotonic()
        time.sleep(self.options.seconds - 5)
        more, later = self.rows(), time.monotonic()
        load = generator.finish(count)
        self.wait_for(at_start + load.acknowledged)
        note(f"{load.acknowledged} acknowledged, {load.acknowledged} recorded")
        return (more - rows) / (later - moment), load.rate

    def drain(self) -> tuple[float, int]:
        """Rows a second of a backlog, and how large it was."""
        at_start = self.rows()
        generator, count = self.start_load(self.options.stall)
        time.sleep(0.5)
        self.postgres.pause()
        try:
            load = generator.finish(count)
        finally:
            self.postgres.resume()
        resumed = time.monotonic()
        recorded = self.rows() - at_start
        backlog = load.acknowledged - recorded
        ended = self.wait_for(at_start + load.acknowledged)
        return backlog / (ended - resumed), backlog


def main() -> None:
    options = arguments()
    if options.seconds < 8:
        raise SystemExit("bench: --seconds must be at least 8, or there is no steady state to count in")
    with Workplace() as workplace, Gateway(workplace, None, None) as gateway:
        landlords.settle(gateway)
        check_answers(gateway)
        bench = Bench(gateway, workplace, options)
        bench.wait_for(1)
        recorded, acknowledged = bench.steady()
        drained, backlog = bench.drain()
        routed = int(bench.postgres.query(
            "SELECT count(*) FROM gateway.whatsapp_messages WHERE routing_status = 'delivered'"))
        note(f"{routed} of {bench.rows()} messages went to a landlord")
    report = Report("record")
    report.add("recorded end to end, steady", recorded, "1/s", acknowledged)
    report.add("backlog drained", drained, "1/s", recorded)
    report.add("backlog", backlog, "messages")
    report.show()


main()
