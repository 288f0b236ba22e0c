"""The routing table: lookups of random keys beside Dictionary and a table in C, a full load beside PostgreSQL's bare COPY of
the same rows, and the first acknowledgement after a start with all these routes.

A lookup finds a key's leases; candidates are the landlords whose leases run today; a batch is what intake looks up at once.
"""

import argparse
import json
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import processes
import webhooks
from report import Report, note
from servers import Gateway, Workplace

LOOKUPS = pathlib.Path(__file__).resolve().parent / ".build/release/routing-benchmark"

# Routes without a landlord application: the views that routes are compared with show what is there. Keys lie in no order.
SEED = """
CREATE OR REPLACE VIEW gateway.routing_source AS
SELECT tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from, valid_until, lease_status,
       tenant_name, property_address FROM gateway.routes;
CREATE OR REPLACE VIEW gateway.landlord_source AS
SELECT landlord_id, landlord_name, phone_key, landlord_phone, whatsapp_enabled, notifications_enabled, message_signature,
       auto_responses FROM gateway.route_landlords;
INSERT INTO gateway.route_landlords (landlord_id, landlord_name, whatsapp_enabled, notifications_enabled)
SELECT md5('landlord ' || n)::uuid, 'Landlord ' || n, true, true FROM generate_series(0, {routes} / 50) n;
INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from,
       lease_status, tenant_name, property_address)
SELECT gen_random_uuid(), gen_random_uuid(), md5('landlord ' || n / 50)::uuid, gen_random_uuid(), key, key,
       current_date - 30, 'active', 'Tenant ' || n, n || ' Bench Street'
  FROM (SELECT n, {first} + n::bigint * 7919 % 1000000007 AS key FROM generate_series(0, {routes} - 1) n) x;
VACUUM ANALYZE gateway.routes;
VACUUM ANALYZE gateway.route_landlords;
"""
# What the gateway asks for, in its words.
COPY = """
COPY (SELECT phone_key, landlord_id, property_id,
  CASE WHEN valid_from IS NOT NULL THEN least(greatest(valid_from, '0001-01-01'), '9999-12-31') END,
  CASE WHEN valid_until IS NOT NULL THEN least(greatest(valid_until, '0001-01-01'), '9999-12-31') END,
  lease_status = 'active' AS is_active, learnt_at FROM gateway.routes) TO STDOUT (FORMAT binary)
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/bench routing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,100000,1000000", help="routes looked up in (1000,100000,1000000)")
    parser.add_argument("--large", action="store_true", help="10 million routes looked up in as well (3 GB of memory)")
    parser.add_argument("--routes", type=int, default=1_000_000, help="routes loaded; 0 = none (1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="loads, of which the fastest counts (5)")
    return parser.parse_args()


def look_up(report: Report, options: argparse.Namespace) -> None:
    command = [LOOKUPS, "--sizes", options.sizes] + (["--large"] if options.large else [])
    for row in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["results"]:
        report.add(row["case"], row["value"], row["unit"], row["reference"])


def metric(gateway: Gateway, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.operations_port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0


def bare_copy(gateway: Gateway) -> float:
    """Seconds until the last row was thrown away."""
    started = time.perf_counter()
    psql = gateway.postgres.start(COPY)
    while psql.stdout.buffer.read1(1 << 20):
        pass
    elapsed = time.perf_counter() - started
    if psql.wait() != 0:
        raise SystemExit(f"bench: psql: {psql.stderr.read().strip()}")
    return elapsed


def load(gateway: Gateway) -> float:
    """Seconds that the gateway took to load all routes, on demand."""
    loads = metric(gateway, 'gateway_route_loads_total{kind="full"}')
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 600
    while metric(gateway, 'gateway_route_loads_total{kind="full"}') <= loads:
        if time.monotonic() > deadline:
            raise SystemExit("bench: the gateway did not load its routes")
        time.sleep(0.1)
    # Counted when all rows are there; the table is in use a moment later.
    processes.wait_until_idle([gateway.pid])
    return metric(gateway, "gateway_route_load_seconds")


def first_answer(gateway: Gateway) -> float:
    """Seconds from the start of the process to its first acknowledgement; the one before was killed."""
    context = ssl._create_unverified_context()
    request = webhooks.request(webhooks.body(1, webhooks.tenant(1), random.Random(1)))
    gateway.process.kill()
    gateway.process.wait()
    started = time.perf_counter()
    gateway.start()
    while time.perf_counter() - started < 60:
        try:
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.sendall(request)
                    if secure.recv(4096).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - started
        except OSError:
            pass
        time.sleep(0.005)
    raise SystemExit("bench: no acknowledgement within 60 s of the start")


def serve(report: Report, options: argparse.Namespace) -> None:
    with Workplace() as workplace, Gateway(workplace, None, None) as gateway:
        note(f"making {options.routes} routes")
        gateway.postgres.query(SEED.format(routes=options.routes, first=webhooks.FIRST_TENANT))
        before = processes.resident_bytes(gateway.pid)
        copies, loads = [], []
        for _ in range(options.rounds):
            copies.append(bare_copy(gateway))
            loads.append(load(gateway))
        per_row = 1e9 / options.routes
        report.add(f"{options.routes} routes: full load", min(loads) * per_row, "ns/route", min(copies) * per_row)
        grown = processes.resident_bytes(gateway.pid) - before
        report.add(f"{options.routes} routes: memory of the process, after {options.rounds} loads",
                   grown / options.routes, "B/route")
        report.add(f"{options.routes} routes: start to the first 200", first_answer(gateway), "s", 1)
        gateway.wait_for(gateway.is_ready, "the gateway", 120)


def main() -> None:
    options = arguments()
    report = Report("routing")
    look_up(report, options)
    if options.routes > 0:
        serve(report, options)
    report.show()


main()
