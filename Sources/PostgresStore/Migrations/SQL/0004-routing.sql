-- 0004 routing: landlords' opt-in, routes kept by triggers, the log of changes, feeds for the table in memory.

DO $$
BEGIN
  ALTER TABLE public.user_profiles
    ADD COLUMN IF NOT EXISTS phone text,
    ADD COLUMN IF NOT EXISTS whatsapp_enabled boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS whatsapp_opted_in_at timestamptz,
    ADD COLUMN IF NOT EXISTS whatsapp_notifications_enabled boolean DEFAULT true;
EXCEPTION WHEN insufficient_privilege OR wrong_object_type THEN
  RAISE WARNING 'public.user_profiles cannot be altered: opt-in is read from gateway.landlord_whatsapp_settings';
END $$;
CREATE TABLE IF NOT EXISTS gateway.landlord_whatsapp_settings (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL UNIQUE,
  is_enabled boolean,                          -- NULL: follow user_profiles.whatsapp_enabled
  opted_in_at timestamptz,
  notifications_enabled boolean,
  message_signature text CHECK (length(message_signature) <= 120),
  auto_responses jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE IF NOT EXISTS gateway.routes (
  tenant_id uuid NOT NULL,
  lease_id uuid NOT NULL,
  landlord_id uuid NOT NULL,
  property_id uuid,
  phone_key bigint NOT NULL,                   -- folded, to look up
  tenant_phone bigint NOT NULL,                -- to dial
  valid_from date, valid_until date,           -- compared at lookup: no event marks the day a lease runs out
  lease_status text NOT NULL,
  tenant_name text,
  property_address text,
  learnt_at timestamptz NOT NULL DEFAULT now(),   -- newer than a number change = meant for the number's new holder
  PRIMARY KEY (tenant_id, lease_id));
CREATE INDEX IF NOT EXISTS routes_phone_idx ON gateway.routes (phone_key);
CREATE INDEX IF NOT EXISTS routes_property_idx ON gateway.routes (property_id);
CREATE TABLE IF NOT EXISTS gateway.route_landlords (   -- once per landlord: a toggle is one row, not one per tenant
  landlord_id uuid PRIMARY KEY,
  landlord_name text,
  phone_key bigint,
  landlord_phone bigint,
  whatsapp_enabled boolean NOT NULL,
  notifications_enabled boolean NOT NULL,
  message_signature text,
  auto_responses jsonb);
CREATE INDEX IF NOT EXISTS route_landlords_phone_idx ON gateway.route_landlords (phone_key)
  WHERE phone_key IS NOT NULL;
-- A row for each changed key. Ordered by transaction id: a sequence is drawn before the commit and would lose rows.
CREATE TABLE IF NOT EXISTS gateway.route_changes (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  kind "char" NOT NULL CHECK (kind IN ('p', 'l', 'i')),           -- phone key, landlord, identity
  phone_key bigint,
  landlord_id uuid,
  id_kind text, id_scope text, id_value text,
  changed_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS route_changes_xid_idx ON gateway.route_changes (xid);
-- Changes are forgotten by pruning and by bulk loads. A cursor from before the last one (pruned_by is not in its
-- picture) reaches only if it is newer than all that was forgotten.
CREATE TABLE IF NOT EXISTS gateway.routing_state (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  pruned_by xid8 NOT NULL DEFAULT pg_current_xact_id(),           -- the transaction that forgot last
  pruned_below xid8 NOT NULL DEFAULT pg_current_xact_id(),        -- the newest change forgotten
  last_reconcile_at timestamptz,
  last_reconcile_changes bigint);
INSERT INTO gateway.routing_state DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Brings the routes of some tenants in line with the source. The lock is a statement of its own, so that the diff
-- after it sees what another transaction on the same tenant committed (READ COMMITTED: a snapshot a statement).
CREATE OR REPLACE FUNCTION gateway.sync_routes(p_tenants uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed bigint;
BEGIN
  IF cardinality(p_tenants) = 0 THEN RETURN 0; END IF;
  IF cardinality(p_tenants) <= 64 THEN
    LOCK TABLE gateway.routes IN ROW EXCLUSIVE MODE;
    PERFORM pg_advisory_xact_lock(1735288183, h)
       FROM (SELECT DISTINCT hashtext(u::text) AS h FROM unnest(p_tenants) u ORDER BY 1) x;
  ELSE
    LOCK TABLE gateway.routes IN SHARE ROW EXCLUSIVE MODE;
  END IF;
  WITH src AS MATERIALIZED (
    SELECT * FROM gateway.routing_source WHERE tenant_id = ANY (p_tenants)),
  old AS MATERIALIZED (
    SELECT tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from, valid_until,
           lease_status, tenant_name, property_address
      FROM gateway.routes WHERE tenant_id = ANY (p_tenants)),
  gone AS (SELECT * FROM old EXCEPT SELECT * FROM src),
  come AS (SELECT * FROM src EXCEPT SELECT * FROM old),
  deleted AS (
    DELETE FROM gateway.routes r USING gone g WHERE r.tenant_id = g.tenant_id AND r.lease_id = g.lease_id
       AND NOT EXISTS (SELECT 1 FROM come c WHERE c.tenant_id = g.tenant_id AND c.lease_id = g.lease_id)),
  upserted AS (
    INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from,
        valid_until, lease_status, tenant_name, property_address)
      SELECT * FROM come
      ON CONFLICT (tenant_id, lease_id) DO UPDATE SET
        landlord_id = excluded.landlord_id, property_id = excluded.property_id, phone_key = excluded.phone_key,
        tenant_phone = excluded.tenant_phone, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
        lease_status = excluded.lease_status, tenant_name = excluded.tenant_name,
        property_address = excluded.property_address, learnt_at = now()),
  logged AS (
    INSERT INTO gateway.route_changes (kind, phone_key)
      SELECT 'p', phone_key FROM gone UNION SELECT 'p', phone_key FROM come RETURNING 1)
  SELECT count(*) INTO changed FROM logged;
  IF changed > 0 THEN PERFORM gateway.notify_routes(); END IF;
  RETURN changed;
END $$;

CREATE OR REPLACE FUNCTION gateway.sync_landlords(p_landlords uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  changed bigint;
BEGIN
  LOCK TABLE gateway.route_landlords IN SHARE ROW EXCLUSIVE MODE;   -- rare and short
  WITH src AS MATERIALIZED (SELECT * FROM gateway.landlord_source WHERE landlord_id = ANY (p_landlords)),
  old AS MATERIALIZED (SELECT * FROM gateway.route_landlords WHERE landlord_id = ANY (p_landlords)),
  gone AS (SELECT * FROM old EXCEPT SELECT * FROM src),
  come AS (SELECT * FROM src EXCEPT SELECT * FROM old),
  deleted AS (
    DELETE FROM gateway.route_landlords r USING gone g WHERE r.landlord_id = g.landlord_id
       AND NOT EXISTS (SELECT 1 FROM come c WHERE c.landlord_id = g.landlord_id)),
  upserted AS (
    INSERT INTO gateway.route_landlords SELECT * FROM come
      ON CONFLICT (landlord_id) DO UPDATE SET
        landlord_name = excluded.landlord_name, phone_key = excluded.phone_key,
        landlord_phone = excluded.landlord_phone, whatsapp_enabled = excluded.whatsapp_enabled,
        notifications_enabled = excluded.notifications_enabled, message_signature = excluded.message_signature,
        auto_responses = excluded.auto_responses),
  logged AS (
    INSERT INTO gateway.route_changes (kind, landlord_id)
      SELECT 'l', landlord_id FROM gone UNION SELECT 'l', landlord_id FROM come RETURNING 1)
  SELECT count(*) INTO changed FROM logged;
  IF changed > 0 THEN PERFORM gateway.notify_routes(); END IF;
  RETURN changed;
END $$;

-- The statement-level trigger of all source tables; n (new) and o (old) exist by operation. SECURITY DEFINER, for
-- the application writes under row security and without rights on our schema.
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
  WHEN 'properties UPDATE' THEN
    tenants := ARRAY(SELECT DISTINCT r.tenant_id FROM n JOIN gateway.routes r ON r.property_id = n.id);
  WHEN 'properties DELETE' THEN
    tenants := ARRAY(SELECT DISTINCT r.tenant_id FROM o JOIN gateway.routes r ON r.property_id = o.id);
  WHEN 'user_profiles INSERT', 'user_profiles UPDATE' THEN landlords := ARRAY(SELECT id FROM n);
  WHEN 'user_profiles DELETE' THEN landlords := ARRAY(SELECT id FROM o);
  WHEN 'landlord_whatsapp_settings INSERT', 'landlord_whatsapp_settings UPDATE' THEN
    landlords := ARRAY(SELECT user_id FROM n);
  WHEN 'landlord_whatsapp_settings DELETE' THEN landlords := ARRAY(SELECT user_id FROM o);
  ELSE NULL;                                   -- a property nobody rents yet
  END CASE;
  IF cardinality(landlords) > 0 THEN PERFORM gateway.sync_landlords(landlords); END IF;
  IF cardinality(tenants) > 0 THEN PERFORM gateway.sync_routes(tenants); END IF;
  RETURN NULL;
END $$;

-- Puts the three triggers on a table.
CREATE OR REPLACE FUNCTION gateway.watch_source(p_table regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  op record;
BEGIN
  FOR op IN SELECT * FROM (VALUES
    ('ins', 'INSERT', 'NEW TABLE AS n'),
    ('upd', 'UPDATE', 'OLD TABLE AS o NEW TABLE AS n'),
    ('del', 'DELETE', 'OLD TABLE AS o')) x(suffix, event, transition)
  LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER gateway_route_%s AFTER %s ON %s REFERENCING %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION gateway.on_source_change()',
                   op.suffix, op.event, p_table, op.transition);
  END LOOP;
END $$;

-- Builds the two source views from the columns that are there. Where the data lives elsewhere, an operator replaces
-- the views by others of the same columns and schedules refresh_tenant_landlord_routing(). Returns what was done.
CREATE OR REPLACE FUNCTION gateway.attach_source(p_schema text DEFAULT 'public', p_triggers boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql AS $fn$
DECLARE
  cc text := gateway.setting('default_cc');
  cols text[] := ARRAY(SELECT table_name || '.' || column_name FROM information_schema.columns
                        WHERE table_schema = p_schema);
  has_end boolean := 'leases.end_date' = ANY (cols);
  has_flag boolean := 'user_profiles.whatsapp_enabled' = ANY (cols);
  t text;
BEGIN
  EXECUTE format($v$
    CREATE OR REPLACE VIEW gateway.routing_source AS
    SELECT t.id AS tenant_id, l.id AS lease_id, %2$s AS landlord_id, p.id AS property_id,
           gateway.phone_key(n.e164) AS phone_key, n.e164 AS tenant_phone,
           %3$s AS valid_from, %4$s AS valid_until, l.status::text AS lease_status,
           t.name::text AS tenant_name, p.address::text AS property_address
      FROM %1$I.leases l JOIN %1$I.tenants t ON t.id = l.tenant_id JOIN %1$I.properties p ON p.id = l.property_id
      CROSS JOIN LATERAL (SELECT gateway.e164_digits(t.phone::text, %5$L) AS e164 OFFSET 0) n
     WHERE (l.status::text = 'active' OR %6$s) AND n.e164 IS NOT NULL AND %2$s IS NOT NULL$v$,
    p_schema,
    CASE WHEN 'properties.user_id' = ANY (cols) THEN 'coalesce(p.user_id, t.user_id)' ELSE 't.user_id' END,
    CASE WHEN 'leases.start_date' = ANY (cols) THEN 'l.start_date::date' ELSE 'NULL::date' END,
    CASE WHEN has_end THEN 'l.end_date::date' ELSE 'NULL::date' END, cc,
    -- no event marks the end of the grace: lookups compare dates, the reconcile removes the row
    CASE WHEN has_end THEN
      '(l.end_date >= current_date - gateway.setting(''lease_grace_days'')::integer AND l.status::text = ANY (ARRAY('
      || 'SELECT jsonb_array_elements_text(value) FROM gateway.settings WHERE key = ''ended_lease_statuses'')))'
    ELSE 'false' END);
  EXECUTE format($v$
    CREATE OR REPLACE VIEW gateway.landlord_source AS
    SELECT up.id AS landlord_id, up.full_name::text AS landlord_name,
           gateway.phone_key(n.e164) AS phone_key, n.e164 AS landlord_phone,
           coalesce(s.is_enabled, %2$s, false) AS whatsapp_enabled,
           coalesce(s.notifications_enabled, %3$s, true) AS notifications_enabled,
           s.message_signature, s.auto_responses
      FROM %1$I.user_profiles up LEFT JOIN gateway.landlord_whatsapp_settings s ON s.user_id = up.id
      CROSS JOIN LATERAL (SELECT gateway.e164_digits(%4$s, %5$L) AS e164 OFFSET 0) n$v$,
    p_schema, CASE WHEN has_flag THEN 'up.whatsapp_enabled' ELSE 'false' END,
    CASE WHEN 'user_profiles.whatsapp_notifications_enabled' = ANY (cols)
         THEN 'up.whatsapp_notifications_enabled' ELSE 'true' END,
    CASE WHEN 'user_profiles.phone' = ANY (cols) THEN 'up.phone::text' ELSE 'NULL::text' END, cc);
  EXECUTE format($v$
    CREATE OR REPLACE VIEW gateway.unroutable_tenants AS
    SELECT t.id AS tenant_id, t.user_id AS landlord_id, t.phone::text AS raw_phone,
           CASE WHEN t.phone IS NULL OR btrim(t.phone::text) = '' THEN 'no_phone'
                WHEN gateway.e164_digits(t.phone::text, %2$L) IS NULL THEN 'bad_phone'
                ELSE 'no_active_lease' END AS reason
      FROM %1$I.tenants t WHERE NOT EXISTS (SELECT 1 FROM gateway.routes r WHERE r.tenant_id = t.id)$v$,
    p_schema, cc);
  IF NOT p_triggers THEN RETURN 'attached without triggers'; END IF;
  BEGIN
    FOREACH t IN ARRAY '{tenant_id,property_id}'::text[] LOOP     -- the views' joins, unless an index serves already
      CONTINUE WHEN EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = format('%I.leases', p_schema)::regclass AND a.attname = t);
      EXECUTE format('CREATE INDEX %I ON %I.leases (%I)', 'leases_' || t || '_gw_idx', p_schema, t);
    END LOOP;
  EXCEPTION WHEN insufficient_privilege OR wrong_object_type THEN
    NULL;                                                         -- slower, not wrong
  END;
  BEGIN
    FOREACH t IN ARRAY '{tenants,leases,properties,user_profiles}'::text[] LOOP
      PERFORM gateway.watch_source(format('%I.%I', p_schema, t)::regclass);
    END LOOP;
  EXCEPTION WHEN insufficient_privilege OR wrong_object_type THEN
    RETURN 'attached without triggers: schedule gateway.refresh_tenant_landlord_routing()';
  END;
  RETURN 'attached';
END $fn$;

SELECT gateway.watch_source('gateway.landlord_whatsapp_settings');
DO $$
DECLARE
  note text := gateway.attach_source('public');
BEGIN
  IF note <> 'attached' THEN RAISE WARNING '%', note; END IF;
END $$;

-- The whole table compared: after attaching, after a bulk load without triggers, and now and then as a guard. It
-- takes no lock on writers; tenants found different are brought in line in small steps. Over 50,000 of them: no log
-- of keys, every cursor expires instead and readers load everything once.
CREATE OR REPLACE FUNCTION gateway.refresh_tenant_landlord_routing() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ids uuid[];
  changes bigint := 0;
  landlords bigint;
  filled boolean := false;
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.routes) THEN                 -- the first fill: no diff to make
    LOCK TABLE gateway.routes IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from,
        valid_until, lease_status, tenant_name, property_address)
      SELECT * FROM gateway.routing_source ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS changes = ROW_COUNT;
    filled := changes > 0;
  ELSE
    SELECT array_agg(DISTINCT coalesce(s.tenant_id, r.tenant_id)) INTO ids
      FROM gateway.routing_source s
      FULL JOIN gateway.routes r ON r.tenant_id = s.tenant_id AND r.lease_id = s.lease_id
     WHERE s.tenant_id IS NULL OR r.tenant_id IS NULL
        OR (s.landlord_id, s.property_id, s.phone_key, s.tenant_phone, s.valid_from, s.valid_until, s.lease_status,
            s.tenant_name, s.property_address)
           IS DISTINCT FROM
           (r.landlord_id, r.property_id, r.phone_key, r.tenant_phone, r.valid_from, r.valid_until, r.lease_status,
            r.tenant_name, r.property_address);
  END IF;
  IF cardinality(ids) > 50000 THEN
    LOCK TABLE gateway.routes IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM gateway.routes WHERE tenant_id = ANY (ids);
    INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from,
        valid_until, lease_status, tenant_name, property_address)
      SELECT s.* FROM gateway.routing_source s JOIN unnest(ids) u(id) ON s.tenant_id = u.id;
    GET DIAGNOSTICS changes = ROW_COUNT;
    filled := true;
  ELSIF ids IS NOT NULL THEN
    FOR i IN 0 .. (cardinality(ids) - 1) / 64 LOOP
      changes := changes + gateway.sync_routes(ids[i * 64 + 1 : i * 64 + 64]);
    END LOOP;
  END IF;
  IF filled THEN
    UPDATE gateway.routing_state
       SET pruned_by = pg_current_xact_id(), pruned_below = greatest(pruned_below, pg_current_xact_id());
    PERFORM gateway.notify_routes();
  END IF;
  landlords := gateway.sync_landlords(ARRAY(
    SELECT landlord_id FROM gateway.landlord_source UNION SELECT landlord_id FROM gateway.route_landlords));
  UPDATE gateway.routing_state SET last_reconcile_at = now(), last_reconcile_changes = changes + landlords;
  RETURN changes + landlords;
END $$;

-- One row for a phone and landlord, the newest running lease. Never stale, and a shared phone does not break it.
CREATE OR REPLACE VIEW gateway.tenant_landlord_routing WITH (security_invoker = true) AS
  SELECT DISTINCT ON (r.phone_key, r.landlord_id)
         r.tenant_phone, r.tenant_id, r.tenant_name, r.landlord_id, r.property_id, r.property_address, r.lease_id,
         r.lease_status, coalesce(l.whatsapp_enabled, false) AS landlord_whatsapp_enabled, l.landlord_name,
         r.phone_key, r.valid_from, r.valid_until
    FROM gateway.routes r LEFT JOIN gateway.route_landlords l USING (landlord_id)
   WHERE r.lease_status = 'active' AND (r.valid_from IS NULL OR r.valid_from <= current_date)
     AND (r.valid_until IS NULL OR r.valid_until >= current_date)
   ORDER BY r.phone_key, r.landlord_id, r.valid_from DESC NULLS LAST, r.lease_id DESC;

-- What an identity says beyond its own digits; senders with a phone and nothing else have no row.
--   opaque id -> route_key    routes under this key are the sender's (a row for each phone they have or had)
--   new phone -> route_key    routes filed under the number they left are theirs, too
--   old phone -> moved_at     routes under it learnt before that moment are not its next holder's
CREATE OR REPLACE VIEW gateway.identity_feed AS
  SELECT i.kind, i.scope, i.value, i.person_id, k.phone_key AS route_key, NULL::timestamptz AS moved_at
    FROM gateway.identities i
    LEFT JOIN gateway.identities k ON k.person_id = i.person_id AND k.kind = 'phone'
     AND (k.retired_at IS NULL OR k.retired_reason = 'number_change')
   WHERE i.retired_at IS NULL AND i.kind <> 'username' AND (i.kind <> 'phone' OR k.phone_key <> i.phone_key)
  UNION ALL
  SELECT i.kind, i.scope, i.value, i.person_id, NULL, max(i.retired_at) FROM gateway.identities i
   WHERE i.kind = 'phone' AND i.retired_reason = 'number_change' GROUP BY 1, 2, 3, 4;

-- What changed since a cursor, the text of pg_current_snapshot() at the last load: nothing missed, nothing twice.
-- SQLSTATE ZR001 = load everything. A mark from beyond our own counter came with a dump of another cluster; a
-- transaction that stays open for hours does not make every new cursor old.
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
      FROM gateway.route_changes c
     WHERE c.xid >= pg_snapshot_xmin(p_cursor) AND NOT pg_visible_in_snapshot(c.xid, p_cursor);
END $$;
CREATE OR REPLACE FUNCTION gateway.prune_route_changes() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
  newest xid8;
BEGIN
  WITH d AS (
    DELETE FROM gateway.route_changes
     WHERE changed_at < now() - make_interval(hours => gateway.setting('route_changes_retention_hours')::integer)
    RETURNING xid)
  SELECT count(*), max(xid) INTO n, newest FROM d;
  IF n > 0 THEN
    UPDATE gateway.routing_state
       SET pruned_by = pg_current_xact_id(), pruned_below = greatest(pruned_below, newest);
  END IF;
  RETURN n;
END $$;

-- All routes a sender has now, aliases and earlier numbers included: what a message is resolved by again whose route
-- did not hold in the recording transaction.
CREATE OR REPLACE FUNCTION gateway.sender_routes(
  p_n integer[], p_endpoint uuid[], p_phone_key bigint[], p_account text[])
RETURNS TABLE (n integer, phone_key bigint, landlord_id uuid, tenant_id uuid, lease_id uuid, property_id uuid,
               valid_from date, valid_until date, is_active boolean, learnt_at timestamptz)
LANGUAGE sql STABLE AS $$
  WITH u AS MATERIALIZED (
    SELECT u.*, e.phone_scope, e.id_kind, e.id_scope
      FROM unnest(p_n, p_endpoint, p_phone_key, p_account) AS u(n, endpoint_id, pk, account)
      JOIN gateway.endpoints e ON e.id = u.endpoint_id),
  keys AS MATERIALIZED (
    SELECT u.n, u.pk AS key, f.moved_at FROM u CROSS JOIN LATERAL (
      SELECT max(x.moved_at) AS moved_at FROM gateway.identity_feed x
       WHERE x.kind = 'phone' AND x.scope = u.phone_scope AND x.value = u.pk::text) f
     WHERE u.pk IS NOT NULL
    UNION
    SELECT u.n, f.route_key, NULL FROM u CROSS JOIN LATERAL (
      SELECT x.route_key FROM gateway.identity_feed x
       WHERE x.kind = 'phone' AND x.scope = u.phone_scope AND x.value = u.pk::text OFFSET 0) f
     WHERE f.route_key IS NOT NULL
    UNION
    SELECT u.n, f.route_key, NULL FROM u CROSS JOIN LATERAL (
      SELECT x.route_key FROM gateway.identity_feed x
       WHERE x.kind = u.id_kind AND x.scope = u.id_scope AND x.value = u.account OFFSET 0) f
     WHERE f.route_key IS NOT NULL AND f.route_key IS DISTINCT FROM u.pk)
  SELECT k.n, r.phone_key, r.landlord_id, r.tenant_id, r.lease_id, r.property_id, r.valid_from, r.valid_until,
         r.lease_status = 'active', r.learnt_at
    FROM keys k CROSS JOIN LATERAL (SELECT * FROM gateway.routes x WHERE x.phone_key = k.key OFFSET 0) r
   WHERE k.moved_at IS NULL OR r.learnt_at >= k.moved_at
$$;

-- The gateway's own endpoints, written at start from its configuration; told to the table in memory by the hint.
CREATE OR REPLACE FUNCTION gateway.ensure_endpoint(
  p_kind text, p_provider_id text, p_waba text DEFAULT NULL, p_portfolio text DEFAULT NULL,
  p_phone bigint DEFAULT NULL, p_name text DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  before text;
  e gateway.endpoints;
BEGIN
  SELECT id_scope INTO before FROM gateway.endpoints WHERE kind = p_kind AND provider_id = p_provider_id FOR UPDATE;
  INSERT INTO gateway.endpoints AS x (kind, provider_id, scope, waba_id, portfolio_id, phone, display_name)
    VALUES (p_kind, p_provider_id, 'platform', p_waba, p_portfolio, p_phone, p_name)
    ON CONFLICT (kind, provider_id) DO UPDATE SET
      waba_id = coalesce(excluded.waba_id, x.waba_id), portfolio_id = coalesce(excluded.portfolio_id, x.portfolio_id),
      phone = coalesce(excluded.phone, x.phone), display_name = coalesce(excluded.display_name, x.display_name),
      status = 'connected', updated_at = now()
    RETURNING x.* INTO e;
  -- Account ids learnt under the narrower scope stay known when the account or portfolio is told later.
  IF before <> e.id_scope AND NOT EXISTS (SELECT FROM gateway.endpoints WHERE id_scope = before AND id <> e.id) THEN
    UPDATE gateway.identities i SET scope = e.id_scope
     WHERE i.scope = before AND i.kind IN ('bsuid', 'parent_bsuid') AND NOT EXISTS (
       SELECT FROM gateway.identities o WHERE o.value = i.value AND o.kind = i.kind AND o.scope = e.id_scope
          AND o.retired_at IS NULL AND i.retired_at IS NULL);
  END IF;
  PERFORM gateway.notify_routes();
  RETURN e.id;
END $$;

SELECT gateway.refresh_tenant_landlord_routing();
