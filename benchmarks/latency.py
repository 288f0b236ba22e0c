"""How long a webhook takes: to its acknowledgement beside nginx with Lua, and from there to the landlord's thread.

Each server has core 0 alone; PostgreSQL and the generator share core 1, the generator first where we may say so (as
root): a program that waits for its core measures itself. Webhooks are due at fixed times (open loop), and their latency
counts from then. The rounds of nginx, of the gateway while it records, and of the gateway while PostgreSQL is held still
follow each other in turn; medians of the rounds are shown. Then wrk saturates both servers over 64 and over 256
connections. Last, the time from the 200 until a SELECT as the landlord shows the message, asked every few milliseconds:
the figure is an upper bound.
"""

import argparse
import csv
import os
import pathlib
import statistics
import time

import landlords
import processes
import webhooks
from generator import Generator
from open_loop import OpenLoad, OpenLoop
from report import Report, note
from servers import Gateway, Nginx, Server, Workplace, check_answers

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS, MORE_CONNECTIONS = 64, 256
POLL_SECONDS = 0.01
WATCHED = 1
CASES = ("acknowledgement", "connections", "visible")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a round (5)")
    parser.add_argument("--rate", type=int, default=10_000, help="webhooks a second, for the acknowledgement (10000)")
    parser.add_argument("--visible-rate", type=int, default=2_000, help="webhooks a second, for the thread (2000)")
    parser.add_argument("--requests", type=int, default=300_000, help="distinct webhooks written for wrk (300000)")
    parser.add_argument("--case", choices=CASES, action="append", help="only this; may be given several times (all)")
    return parser.parse_args()


class Bench:
    def __init__(self, workplace: Workplace, nginx: Nginx, gateway: Gateway, options: argparse.Namespace):
        self.workplace, self.nginx, self.gateway, self.options = workplace, nginx, gateway, options
        self.report = Report("latency")
        self.written = 1

    def rest(self) -> None:
        """Until the gateway has recorded everything, PostgreSQL has nothing left to do, and the disk has all of it.

        The kernel writes what lies about every half minute, hundreds of megabytes at once: that is no round's own."""
        processes.wait_until_idle([self.gateway.pid])
        os.sync()
        time.sleep(0.5)

    # The acknowledgement

    def acknowledgement(self) -> None:
        rounds: dict[str, list[OpenLoad]] = {"nginx": [], "recording": [], "stopped": []}
        for index in range(self.options.rounds):
            # Who goes first changes, so that nobody always meets the warmer machine.
            names = list(rounds)
            for name in names[index % 3:] + names[:index % 3]:
                rounds[name].append(self.measure(name))
        rate = f"{self.options.rate:,}/s"

        def median(name: str, value) -> float:
            return statistics.median(value(load) for load in rounds[name])

        for case, name in ((f"at {rate}, recording", "recording"), (f"at {rate}, PostgreSQL stopped", "stopped")):
            for label, value in (("p50", lambda load: load.p50_ms), ("p99", lambda load: load.p99_ms),
                                 ("p99.9", lambda load: load.p999_ms)):
                self.report.add(f"{label} to the 200 {case}", median(name, value), "ms", median("nginx", value))
        late = max(load.late_p99_ms for loads in rounds.values() for load in loads)
        self.report.add("p99 by which the generator was late, worst round", late, "ms")
        self.report.add(
            "generator's cpu per webhook", statistics.median(load.processor_us for load in rounds["nginx"]), "µs")

    def measure(self, name: str) -> OpenLoad:
        server: Server = self.nginx if name == "nginx" else self.gateway
        if name == "stopped":
            self.gateway.postgres.pause()
        try:
            load = OpenLoop(server, self.workplace, self.options.rate, CONNECTIONS, self.options.seconds,
                            LOAD_CORE).finish()
        finally:
            if name == "stopped":
                self.gateway.postgres.resume()
        note(f"{name}: p50 {load.p50_ms:.2f}, p99 {load.p99_ms:.2f}, p99.9 {load.p999_ms:.2f} ms, {load.rate:,.0f}/s, "
             f"generator {load.processor_us:.1f} µs")
        self.rest()
        return load

    # Many connections

    def connections(self) -> None:
        rates: dict[tuple[str, int], list[float]] = {}
        for index in range(self.options.rounds):
            turns = [(server, count) for count in (CONNECTIONS, MORE_CONNECTIONS)
                     for server in (self.nginx, self.gateway)]
            for server, count in turns if index % 2 == 0 else reversed(turns):
                rates.setdefault((type(server).__name__, count), []).append(self.saturate(server, count))
        for name in ("Gateway", "Nginx"):
            few, many = (statistics.median(rates[name, count]) for count in (CONNECTIONS, MORE_CONNECTIONS))
            self.report.add(f"{name.lower()}: rate of {MORE_CONNECTIONS} connections to that of {CONNECTIONS}",
                            many, "1/s", few)

    def saturate(self, server: Server, connections: int) -> float:
        requests = self.workplace.path / "requests"
        webhooks.write(str(requests), self.written, self.options.requests, landlords.TENANTS)
        self.written += self.options.requests
        load = Generator(server.port, requests, connections, self.options.seconds, LOAD_CORE).finish(
            self.options.requests)
        note(f"{type(server).__name__}: {load.rate:,.0f}/s over {connections} connections, p99 {load.p99_ms:.1f} ms")
        self.rest()
        return load.rate

    # The landlord's thread

    def visible(self) -> None:
        receipts = self.workplace.path / "receipts.csv"
        seconds = max(self.options.seconds, 15)
        watch = self.gateway.postgres.start(self.watching(seconds + 6))
        # The watch begins before the first message, and ends after the last.
        time.sleep(1)
        OpenLoop(self.gateway, self.workplace, self.options.visible_rate, CONNECTIONS, seconds, LOAD_CORE,
                 receipts).finish()
        output, errors = watch.communicate()
        if watch.returncode != 0:
            raise SystemExit(f"bench: psql: {errors.strip()}")
        looks, _, seen = output.partition("\n")
        delays = sorted(self.delays(receipts, seen))
        if len(delays) < 100:
            raise SystemExit(f"bench: the landlord saw {len(delays)} messages: too few for a 99th percentile")
        note(f"{len(delays)} messages seen by one landlord, the last {delays[-1]:.1f} ms after its 200")
        for label, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1)):
            value = delays[min(len(delays) - 1, int(len(delays) * share))]
            self.report.add(f"{label} from the 200 to the landlord's thread at {self.options.visible_rate:,}/s", value,
                            "ms")
        self.report.add("time between two looks at the thread, mean", (seconds + 6) * 1000 / int(looks), "ms")
        self.rest()

    @staticmethod
    def watching(seconds: int) -> str:
        """As the landlord, notes when each message is first seen. Gives how often it looked, then what it noted, as CSV."""
        landlord = landlords.landlord(WATCHED)
        # Through the threads, as the landlord opens them: by an index, however many messages there are.
        look = """INSERT INTO seen SELECT m.wamid, clock_timestamp() FROM gateway.whatsapp_conversations c
                   CROSS JOIN LATERAL (SELECT x.wamid FROM gateway.whatsapp_messages x
                                        WHERE x.conversation_id = c.id AND x.sent_at >= since AND x.is_from_tenant) m
                   WHERE NOT EXISTS (SELECT FROM seen WHERE seen.wamid = m.wamid);"""
        return f"""
            CREATE TEMP TABLE seen (wamid text PRIMARY KEY, at timestamptz NOT NULL);
            GRANT SELECT, INSERT ON seen TO authenticated;
            SELECT set_config('request.jwt.claims', '{{"sub":"{landlord}","role":"authenticated"}}', false) \\g /dev/null
            SET ROLE authenticated;
            DO $$
            DECLARE
              began timestamptz := date_trunc('second', clock_timestamp());
              since timestamptz;
              looks integer := 0;
            BEGIN
              WHILE clock_timestamp() < began + interval '{seconds} seconds' LOOP
                since := clock_timestamp() - interval '2 seconds';
                {look}
                looks := looks + 1;
                PERFORM pg_sleep({POLL_SECONDS});
              END LOOP;
              -- What came later than that was not looked for; it counts from now.
              since := began;
              {look}
              PERFORM set_config('bench.looks', looks::text, false);
            END $$;
            SELECT current_setting('bench.looks');
            COPY (SELECT wamid, (extract(epoch FROM at) * 1000000)::bigint FROM seen) TO STDOUT (FORMAT csv);
            """

    @staticmethod
    def delays(receipts: pathlib.Path, seen: str) -> list[float]:
        """Milliseconds from the 200 to the sight, of each message that the landlord saw; the first second left out."""
        with open(receipts) as file:
            answered = {wamid: int(at) for wamid, at in csv.reader(file)}
        first = min(answered.values()) + 1_000_000
        return [max(0, int(at) - answered[wamid]) / 1000 for wamid, at in csv.reader(seen.splitlines())
                if wamid in answered and answered[wamid] >= first]


def main() -> None:
    options = arguments()
    with Workplace() as workplace, Nginx(workplace, SERVER_CORE) as nginx:
        with Gateway(workplace, SERVER_CORE, LOAD_CORE) as gateway:
            landlords.settle(gateway)
            for server in (nginx, gateway):
                check_answers(server)
            bench = Bench(workplace, nginx, gateway, options)
            bench.rest()
            for case in CASES:
                if not options.case or case in options.case:
                    getattr(bench, case)()
    bench.report.show()


main()
