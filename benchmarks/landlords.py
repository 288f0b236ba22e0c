"""The people of a benchmark: landlords with ten tenants each, every tenant with one running lease."""

import hashlib
import signal
import time
import uuid

import webhooks
from servers import Gateway

TENANTS = 10_000

SEED = f"""
BEGIN;
INSERT INTO auth.users (id, email)
SELECT md5('landlord ' || n)::uuid, 'landlord' || n || '@bench.example' FROM generate_series(0, {TENANTS} / 10 - 1) n;
INSERT INTO public.user_profiles (id, full_name, whatsapp_enabled)
SELECT md5('landlord ' || n)::uuid, 'Landlord ' || n, true FROM generate_series(0, {TENANTS} / 10 - 1) n;
INSERT INTO public.properties (id, user_id, address)
SELECT md5('property ' || n)::uuid, md5('landlord ' || n / 10)::uuid, n || ' Bench Street'
  FROM generate_series(0, {TENANTS} - 1) n;
INSERT INTO public.tenants (id, user_id, name, phone)
SELECT md5('tenant ' || n)::uuid, md5('landlord ' || n / 10)::uuid, 'Tenant ' || n,
       '+' || ({webhooks.FIRST_TENANT} + n)::text FROM generate_series(0, {TENANTS} - 1) n;
INSERT INTO public.leases (id, tenant_id, property_id, status, start_date)
SELECT md5('lease ' || n)::uuid, md5('tenant ' || n)::uuid, md5('property ' || n)::uuid, 'active', current_date - 30
  FROM generate_series(0, {TENANTS} - 1) n;
COMMIT;
ANALYZE;
"""


def settle(gateway: Gateway) -> None:
    """Writes them into the gateway's database, and has it load its routes."""
    gateway.postgres.query(SEED)
    gateway.process.send_signal(signal.SIGHUP)
    time.sleep(2)


def landlord(index: int) -> uuid.UUID:
    """The landlord of the tenants from ten times the index on."""
    return uuid.UUID(hashlib.md5(f"landlord {index}".encode()).hexdigest())
