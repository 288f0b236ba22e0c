-- 0012 route feed: what was missing for every change to reach the table in memory at once, at the cost of the change.

-- Endpoints are the fourth kind: a change of one is told by name, so that nobody reads all of them each time.
ALTER TABLE gateway.route_changes DROP CONSTRAINT IF EXISTS route_changes_kind_check;
ALTER TABLE gateway.route_changes ADD CONSTRAINT route_changes_kind_check
  CHECK (kind IN ('p', 'l', 'i', 'e')) NOT VALID;                 -- phone key, landlord, identity, endpoints

-- What changed since a cursor, as before; but what is read is what is new, also while a transaction stays open for
-- hours: changes from the cursor's end on, and those of the transactions that were under way then. A change from beyond
-- our own counter came with a dump of another cluster, and is none of ours.
CREATE OR REPLACE FUNCTION gateway.route_changes_since(p_cursor pg_snapshot)
RETURNS TABLE (kind "char", phone_key bigint, landlord_id uuid, id_kind text, id_scope text, id_value text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  next_xid xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
  IF pg_snapshot_xmax(p_cursor) > next_xid OR EXISTS (SELECT FROM gateway.routing_state
       WHERE pruned_below >= pg_snapshot_xmin(p_cursor) AND pruned_below < next_xid
         AND NOT pg_visible_in_snapshot(pruned_by, p_cursor)) THEN
    RAISE EXCEPTION 'route cursor expired' USING ERRCODE = 'ZR001', HINT = 'do a full load';
  END IF;
  RETURN QUERY
    SELECT DISTINCT c.kind, c.phone_key, c.landlord_id, c.id_kind, c.id_scope, c.id_value
      FROM (SELECT * FROM gateway.route_changes n
             WHERE n.xid >= pg_snapshot_xmax(p_cursor) AND n.xid < next_xid
            UNION ALL
            SELECT n.* FROM pg_snapshot_xip(p_cursor) open(xid) JOIN gateway.route_changes n USING (xid)) c;
END $$;

-- Endpoints and settings, whoever writes them. Only what the table holds counts: a session's state and the time it was
-- last seen change all the while.
CREATE OR REPLACE FUNCTION gateway.on_endpoint_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NOT EXISTS (
      SELECT id, kind, provider_id, owner_id, phone_scope, id_scope FROM n
      EXCEPT SELECT id, kind, provider_id, owner_id, phone_scope, id_scope FROM o) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM n) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF NOT EXISTS (SELECT FROM o) THEN RETURN NULL; END IF;
  END IF;
  INSERT INTO gateway.route_changes (kind) VALUES ('e');
  PERFORM gateway.notify_routes();
  RETURN NULL;
END $$;

-- Identities are logged where they are learnt; not so when an endpoint's portfolio becomes known and their scope with it
-- (ensure_endpoint), or when somebody removes them. Other writes do not come here: they are many.
CREATE OR REPLACE FUNCTION gateway.on_identity_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO gateway.route_changes (kind, id_kind, id_scope, id_value)
    SELECT 'i', OLD.kind, OLD.scope, OLD.value WHERE OLD.kind <> 'username';
  PERFORM gateway.log_identities(OLD.person_id);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER gateway_feed_moved AFTER UPDATE OF scope ON gateway.identities
  FOR EACH ROW WHEN (OLD.scope IS DISTINCT FROM NEW.scope) EXECUTE FUNCTION gateway.on_identity_change();
CREATE OR REPLACE TRIGGER gateway_feed_del AFTER DELETE ON gateway.identities
  FOR EACH ROW EXECUTE FUNCTION gateway.on_identity_change();

-- The grace and the statuses that have one decide which ended leases are routes at all: those are few beside the
-- running ones, and brought in line here.
CREATE OR REPLACE FUNCTION gateway.on_setting_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed text[];
BEGIN
  CASE TG_OP
  WHEN 'INSERT' THEN changed := ARRAY(SELECT key FROM n);
  WHEN 'DELETE' THEN changed := ARRAY(SELECT key FROM o);
  ELSE changed := ARRAY(SELECT coalesce(n.key, o.key) FROM n FULL JOIN o USING (key)
                         WHERE n.value IS DISTINCT FROM o.value);
  END CASE;
  IF changed && '{lease_grace_days,ended_lease_statuses}'::text[] THEN
    PERFORM gateway.sync_routes(ARRAY(
      SELECT tenant_id FROM gateway.routing_source WHERE lease_status <> 'active'
      UNION SELECT tenant_id FROM gateway.routes WHERE lease_status <> 'active'));
  END IF;
  IF changed && '{lease_grace_days,ended_lease_statuses,conversation_outlives_lease}'::text[] THEN
    PERFORM gateway.notify_routes();
  END IF;
  RETURN NULL;
END $$;

DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT * FROM (VALUES ('endpoints', 'on_endpoint_change'), ('settings', 'on_setting_change')) x(name, call),
                         (VALUES ('ins', 'INSERT', 'NEW TABLE AS n'),
                                 ('upd', 'UPDATE', 'OLD TABLE AS o NEW TABLE AS n'),
                                 ('del', 'DELETE', 'OLD TABLE AS o')) y(suffix, event, transition) LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER gateway_feed_%s AFTER %s ON gateway.%I REFERENCING %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION gateway.%I()', t.suffix, t.event, t.name, t.transition, t.call);
  END LOOP;
END $$;

-- The application's tables. New beside 0004: a property that arrives after its leases or gets its owner later; TRUNCATE,
-- which tells no rows and is answered by comparing everything; and steps, because the comparison of tenants takes time
-- with the square of their number.
CREATE OR REPLACE FUNCTION gateway.on_source_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  tenants uuid[];
  landlords uuid[];
BEGIN
  CASE TG_TABLE_NAME || ' ' || TG_OP
  WHEN 'tenants INSERT' THEN tenants := ARRAY(SELECT id FROM n WHERE phone IS NOT NULL);
  WHEN 'tenants DELETE' THEN tenants := ARRAY(SELECT id FROM o);
  WHEN 'tenants UPDATE' THEN
    tenants := ARRAY(SELECT n.id FROM n JOIN o USING (id)
                      WHERE (n.phone, n.user_id, n.name) IS DISTINCT FROM (o.phone, o.user_id, o.name));
  WHEN 'leases INSERT' THEN tenants := ARRAY(SELECT DISTINCT tenant_id FROM n);
  WHEN 'leases DELETE' THEN tenants := ARRAY(SELECT DISTINCT tenant_id FROM o);
  WHEN 'leases UPDATE' THEN tenants := ARRAY(SELECT tenant_id FROM n UNION SELECT tenant_id FROM o);
  WHEN 'properties INSERT' THEN
    tenants := ARRAY(SELECT DISTINCT s.tenant_id FROM n JOIN gateway.routing_source s ON s.property_id = n.id);
  WHEN 'properties UPDATE' THEN
    tenants := ARRAY(SELECT r.tenant_id FROM n JOIN gateway.routes r ON r.property_id = n.id
                     UNION SELECT s.tenant_id FROM n JOIN gateway.routing_source s ON s.property_id = n.id);
  WHEN 'properties DELETE' THEN
    tenants := ARRAY(SELECT DISTINCT r.tenant_id FROM o JOIN gateway.routes r ON r.property_id = o.id);
  WHEN 'user_profiles INSERT', 'user_profiles UPDATE' THEN landlords := ARRAY(SELECT id FROM n);
  WHEN 'user_profiles DELETE' THEN landlords := ARRAY(SELECT id FROM o);
  WHEN 'landlord_whatsapp_settings INSERT', 'landlord_whatsapp_settings UPDATE' THEN
    landlords := ARRAY(SELECT user_id FROM n);
  WHEN 'landlord_whatsapp_settings DELETE' THEN landlords := ARRAY(SELECT user_id FROM o);
  ELSE
    IF TG_OP = 'TRUNCATE' THEN PERFORM gateway.refresh_tenant_landlord_routing(); END IF;
  END CASE;
  IF cardinality(landlords) > 0 THEN PERFORM gateway.sync_landlords(landlords); END IF;
  IF cardinality(tenants) > 0 THEN
    FOR i IN 0 .. (cardinality(tenants) - 1) / 500 LOOP
      PERFORM gateway.sync_routes(tenants[i * 500 + 1 : i * 500 + 500]);
    END LOOP;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION gateway.watch_source(p_table regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  op record;
BEGIN
  FOR op IN SELECT * FROM (VALUES
    ('ins', 'INSERT', 'REFERENCING NEW TABLE AS n'),
    ('upd', 'UPDATE', 'REFERENCING OLD TABLE AS o NEW TABLE AS n'),
    ('del', 'DELETE', 'REFERENCING OLD TABLE AS o'),
    ('trunc', 'TRUNCATE', '')) x(suffix, event, transition)
  LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER gateway_route_%s AFTER %s ON %s %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION gateway.on_source_change()',
                   op.suffix, op.event, p_table, op.transition);
  END LOOP;
END $$;

-- Where the application's tables are watched already, they are watched for TRUNCATE, too.
DO $$
DECLARE
  t regclass;
BEGIN
  FOR t IN SELECT DISTINCT g.tgrelid::regclass FROM pg_trigger g
            WHERE g.tgfoid = 'gateway.on_source_change'::regproc AND NOT g.tgisinternal LOOP
    PERFORM gateway.watch_source(t);
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'not all tables of the landlord application could be watched for TRUNCATE';
END $$;

SELECT gateway.guard_tables();
