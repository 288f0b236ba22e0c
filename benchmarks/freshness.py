"""How long a change takes from the landlord application's COMMIT to the gateway's routing table.

The table's generation, as /metrics shows it, tells that a change is in. The reference is a bare NOTIFY in the same
database: from COMMIT to whoever listens. What a change costs the gateway is measured apart, without anybody looking.
"""

import argparse
import http.client
import itertools
import random
import statistics
import time

import libpq
import processes
import webhooks
from report import Report, note
from servers import Gateway, Workplace

SEED = """
SET session_replication_role = replica;
INSERT INTO auth.users (id, email)
SELECT md5('landlord ' || n)::uuid, 'landlord' || n || '@bench.example' FROM generate_series(0, {tenants} / 50 - 1) n;
INSERT INTO public.user_profiles (id, full_name, whatsapp_enabled)
SELECT md5('landlord ' || n)::uuid, 'Landlord ' || n, true FROM generate_series(0, {tenants} / 50 - 1) n;
INSERT INTO public.properties (id, user_id, address)
SELECT md5('property ' || n)::uuid, md5('landlord ' || n / 50)::uuid, n || ' Bench Street'
  FROM generate_series(0, {tenants} - 1) n;
INSERT INTO public.tenants (id, user_id, name, phone)
SELECT md5('tenant ' || n)::uuid, md5('landlord ' || n / 50)::uuid, 'Tenant ' || n, '+' || ({first} + n)::text
  FROM generate_series(0, {tenants} - 1) n;
INSERT INTO public.leases (id, tenant_id, property_id, status, start_date)
SELECT md5('lease ' || n)::uuid, md5('tenant ' || n)::uuid, md5('property ' || n)::uuid, 'active', current_date - 30
  FROM generate_series(0, {tenants} - 1) n;
INSERT INTO gateway.people (id) SELECT md5('person ' || n)::uuid FROM generate_series(0, {tenants} - 1) n;
INSERT INTO gateway.identities (kind, value, person_id, source)
SELECT 'phone', ({first} + n)::text, md5('person ' || n)::uuid, 'bench' FROM generate_series(0, {tenants} - 1) n;
INSERT INTO gateway.identities (kind, scope, value, person_id, source)
SELECT 'bsuid', 'bench', 'GB.' || n, md5('person ' || n)::uuid, 'bench'
  FROM generate_series(0, {tenants} - 1) n WHERE n % 3 = 0;
INSERT INTO gateway.identities (kind, value, person_id, source, retired_at, retired_reason)
SELECT 'phone', (449000000000 + n)::text, md5('person ' || n)::uuid, 'bench', now(), 'number_change'
  FROM generate_series(0, {tenants} - 1) n WHERE n % 20 = 0;
RESET session_replication_role;
ANALYZE;
SELECT gateway.refresh_tenant_landlord_routing();
ANALYZE;
"""

# Somebody who is known by a number shows an account id, too; and one who moves.
ALIAS = """
SELECT gateway.resolve_people(ARRAY[p, p], '{{phone,bsuid}}', '{{"",bench}}', ARRAY['{phone}', 'US.{i}'],
         ARRAY[NULL, NULL]::bigint[], ARRAY[now(), now()]) FROM (SELECT md5('person {n}')::uuid AS p) x
"""
MOVE = "SELECT gateway.change_identity('phone', '', '{phone}', '4430' || (10000000 + {i}), now())"

# One change of each kind; {n} is somebody, {i} a number that is new each time.
KINDS = {
    "tenant": "UPDATE public.tenants SET phone = '+4420' || (10000000 + {i}) WHERE id = md5('tenant {n}')::uuid",
    "lease": "UPDATE public.leases SET start_date = current_date - {i} WHERE id = md5('lease {n}')::uuid",
    "property": "UPDATE public.properties SET user_id = md5('landlord ' || {i} % ({tenants} / 50))::uuid "
                "WHERE id = md5('property {n}')::uuid",
    "landlord name": "UPDATE public.user_profiles SET full_name = 'L {i}' WHERE id = md5('landlord {l}')::uuid",
    "opt-in": "UPDATE public.user_profiles SET whatsapp_enabled = NOT whatsapp_enabled "
              "WHERE id = md5('landlord {l}')::uuid",
    "account id learnt": ALIAS,
    "number changed": MOVE,
}
# Tenants who are new, with their leases, in one transaction.
IMPORTED = 100_000
IMPORT = """
INSERT INTO public.tenants (id, user_id, name, phone)
SELECT md5('imported ' || n)::uuid, md5('landlord 0')::uuid, 'Imported ' || n, '+4440' || (10000000 + n)
  FROM generate_series(1, {count}) n;
INSERT INTO public.leases (tenant_id, property_id, status, start_date)
SELECT md5('imported ' || n)::uuid, md5('property ' || n)::uuid, 'active', current_date FROM generate_series(1, {count}) n
"""
# As many changes as the table takes before it is compacted, nearly.
MANY = 31_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench freshness", description=__doc__)
    parser.add_argument("--tenants", type=int, default=1_000_000, help="tenants, each with a lease (1000000)")
    parser.add_argument("--changes", type=int, default=200, help="changes of each kind (200)")
    return parser.parse_args()


class Bench:
    def __init__(self, gateway: Gateway, options: argparse.Namespace):
        self.gateway = gateway
        self.options = options
        self.fresh = itertools.count(1)
        self.scrapes = http.client.HTTPConnection("127.0.0.1", gateway.operations_port, timeout=30)
        self.application = self.connect()

    def connect(self) -> libpq.Connection:
        postgres = self.gateway.postgres
        return libpq.Connection(postgres.sockets, postgres.database, postgres.owner)

    def metric(self, name: str) -> float:
        self.scrapes.request("GET", "/metrics")
        text = self.scrapes.getresponse().read().decode()
        start = text.index(f"\n{name} ") + len(name) + 2
        return float(text[start:text.index("\n", start)])

    def generation(self) -> float:
        return self.metric("gateway_routing_table_generation")

    def change(self, kind: str) -> str:
        person = random.randrange(self.options.tenants)
        return KINDS[kind].format(
            n=person, l=person // 50, i=next(self.fresh), tenants=self.options.tenants,
            phone=webhooks.FIRST_TENANT + person)

    def commit(self, sql: str) -> float:
        """Returns the moment right before COMMIT was sent."""
        self.application.execute("BEGIN")
        self.application.execute(sql)
        moment = time.perf_counter()
        self.application.execute("COMMIT")
        return moment

    def wait_beyond(self, generation: float, seconds_max: float = 60) -> float:
        deadline = time.perf_counter() + seconds_max
        while (now := self.generation()) <= generation:
            if time.perf_counter() > deadline:
                raise SystemExit(f"bench: a change was not routed by after {seconds_max:.0f} s")
        return now

    def latencies(self, kind: str, count: int) -> list[float]:
        """Milliseconds from COMMIT to the table."""
        times = []
        for _ in range(count):
            before = self.generation()
            # Apart, as changes come: the gateway looks once in 20 ms at most.
            time.sleep(random.uniform(0.02, 0.05))
            committed = self.commit(self.change(kind))
            self.wait_beyond(before)
            times.append((time.perf_counter() - committed) * 1_000)
        return times

    def notifications(self, count: int) -> list[float]:
        times = []
        with self.connect() as listener:
            listener.execute("LISTEN bench")
            for _ in range(count):
                time.sleep(random.uniform(0.02, 0.05))
                committed = self.commit("NOTIFY bench")
                listener.wait_for_notification()
                times.append((time.perf_counter() - committed) * 1_000)
        return times

    def cost(self, count: int) -> float:
        """CPU milliseconds of the gateway for one change; what it does anyway in that time is taken off."""
        pid = self.gateway.pid
        started, before = time.monotonic(), processes.cpu_seconds(pid)
        time.sleep(5)
        idle = (processes.cpu_seconds(pid) - before) / (time.monotonic() - started)
        generation = self.generation()
        started, before = time.monotonic(), processes.cpu_seconds(pid)
        for _ in range(count):
            self.commit(self.change("tenant"))
            time.sleep(0.03)
        spent = processes.cpu_seconds(pid) - before - idle * (time.monotonic() - started)
        self.wait_beyond(generation + count * 0.8)
        return spent / count * 1_000

    def at_once(self, sql: str) -> float:
        """Seconds from the COMMIT of one transaction of many changes to the table."""
        before = self.generation()
        committed = self.commit(sql)
        self.wait_beyond(before)
        return time.perf_counter() - committed

    def fill(self, first: int, count: int) -> float:
        """Changes many tenants at once."""
        return self.at_once(
            "UPDATE public.tenants SET name = name || '.' WHERE id IN "
            f"(SELECT md5('tenant ' || n)::uuid FROM generate_series({first}, {first + count - 1}) n)")


def add(report: Report, case: str, times: list[float], reference: list[float]) -> None:
    report.add(f"{case}, p50", statistics.median(times), "ms", statistics.median(reference))
    report.add(f"{case}, p99", statistics.quantiles(times, n=100)[98], "ms", statistics.quantiles(reference, n=100)[98])
    report.add(f"{case}, max", max(times), "ms", max(reference))


def main() -> None:
    options = arguments()
    report = Report("freshness")
    with Workplace() as workplace, Gateway(workplace, None, None) as gateway:
        bench = Bench(gateway, options)
        note(f"making {options.tenants} tenants")
        bench.application.execute(SEED.format(tenants=options.tenants, first=webhooks.FIRST_TENANT))
        started = time.perf_counter()
        while bench.metric("gateway_routes") < options.tenants:
            time.sleep(0.05)
        note(f"loaded {time.perf_counter() - started:.1f} s after the commit")
        processes.wait_until_idle([gateway.pid, *gateway.postgres.processes()])
        reference = bench.notifications(options.changes)
        for kind in KINDS:
            add(report, kind, bench.latencies(kind, options.changes), reference)
        report.add("CPU of a change", bench.cost(options.changes), "ms")
        report.add("1000 tenants in one transaction", bench.fill(MANY + 10_000, 1_000) * 1_000, "ms")
        note(f"importing {IMPORTED} tenants")
        report.add(f"{IMPORTED} tenants imported", bench.at_once(IMPORT.format(count=IMPORTED)) * 1_000, "ms")
        add(report, "tenant, right after", bench.latencies("tenant", 50), reference)
        note(f"changing {MANY} tenants")
        bench.fill(0, MANY)
        add(report, f"tenant, {MANY} changes before", bench.latencies("tenant", options.changes), reference)
        report.add(f"CPU of a change, {MANY} changes before", bench.cost(options.changes), "ms")
        bench.fill(MANY, 3_000)
        add(report, "tenant, while the table is compacted", bench.latencies("tenant", 30), reference)
        gateway.process.send_signal(1)
        add(report, "tenant, while all is loaded again", bench.latencies("tenant", 100), reference)
    report.show()


main()
