-- 0010 operations: partitions, retention, import, names in public, row security, grants.

-- A partition has row security on and no policy: through the parent the parent's policies count, by its own name it
-- shows nothing.
CREATE OR REPLACE FUNCTION gateway.make_partition(p_parent text, p_from timestamptz, p_to timestamptz, p_suffix text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  child text := p_parent || '_' || p_suffix;
  key text := (SELECT a.attname FROM pg_partitioned_table t JOIN pg_attribute a ON a.attrelid = t.partrelid
                  AND a.attnum = t.partattrs[0] WHERE t.partrelid = format('gateway.%I', p_parent)::regclass);
  strays boolean;
BEGIN
  IF to_regclass(format('gateway.%I', child)) IS NOT NULL THEN RETURN; END IF;
  IF p_from IS NULL THEN
    EXECUTE format('CREATE TABLE gateway.%I PARTITION OF gateway.%I DEFAULT', child, p_parent);
  ELSE
    EXECUTE format('SELECT EXISTS (SELECT FROM gateway.%1$I WHERE %2$I >= %3$L AND %2$I < %4$L)',
                   p_parent, key, p_from, p_to) INTO strays;
    IF strays THEN
      RAISE WARNING 'gateway.% is not made: rows of its time lie in the default partition already', child;
      RETURN;
    END IF;
    EXECUTE format('CREATE TABLE gateway.%I PARTITION OF gateway.%I FOR VALUES FROM (%L) TO (%L)',
                   child, p_parent, p_from, p_to);
  END IF;
  EXECUTE format('ALTER TABLE gateway.%I ENABLE ROW LEVEL SECURITY', child);
  EXECUTE format('REVOKE ALL ON gateway.%I FROM PUBLIC, anon, authenticated, gateway_writer, gateway_admin', child);
END $$;

-- The partitions there must be: months that hold clamped times (60 days back) and some ahead, days of the log. At
-- start and daily.
CREATE OR REPLACE FUNCTION gateway.wanted_partitions(p_months integer DEFAULT 3, p_days integer DEFAULT 7)
RETURNS TABLE (parent text, lower_bound timestamptz, upper_bound timestamptz, suffix text)
LANGUAGE sql STABLE AS $$
  SELECT p, m AT TIME ZONE 'UTC', (m + interval '1 month') AT TIME ZONE 'UTC', to_char(m, 'YYYYMM')
    FROM unnest('{whatsapp_messages,audit_log}'::text[]) p,
         generate_series(date_trunc('month', now() AT TIME ZONE 'UTC' - interval '62 days'),
                         date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => p_months),
                         interval '1 month') m
  UNION ALL
  SELECT 'webhook_log', d AT TIME ZONE 'UTC', (d + interval '1 day') AT TIME ZONE 'UTC', to_char(d, 'YYYYMMDD')
    FROM generate_series(date_trunc('day', now() AT TIME ZONE 'UTC' - interval '2 days'),
                         date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => p_days),
                         interval '1 day') d
  UNION ALL
  SELECT p, NULL, NULL, 'default' FROM unnest('{whatsapp_messages,audit_log,webhook_log}'::text[]) p
$$;
CREATE OR REPLACE FUNCTION gateway.ensure_partitions(p_months integer DEFAULT 3, p_days integer DEFAULT 7)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1735288184);
  PERFORM gateway.make_partition(w.parent, w.lower_bound, w.upper_bound, w.suffix)
     FROM gateway.wanted_partitions(p_months, p_days) w
    WHERE to_regclass('gateway.' || w.parent || '_' || w.suffix) IS NULL;
END $$;
DO $$ BEGIN PERFORM gateway.ensure_partitions(); END $$;

-- What ages out, daily. Returns how many partitions went. Parked updates never do.
CREATE OR REPLACE FUNCTION gateway.apply_retention() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n integer := 0;
  r record;
  log_limit timestamptz := date_trunc('day', now(), 'UTC')
    - make_interval(days => gateway.setting('webhook_log_retention_days')::integer);
  message_limit timestamptz := date_trunc('month', now(), 'UTC')
    - make_interval(months => gateway.setting('messages_retention_months')::integer);
BEGIN
  PERFORM pg_advisory_xact_lock(1735288184);
  FOR r IN
    SELECT p.relname AS parent, c.relname AS child FROM pg_inherits h
      JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_class p ON p.oid = h.inhparent
     WHERE p.relnamespace = 'gateway'::regnamespace AND c.relname < CASE p.relname
             WHEN 'webhook_log' THEN to_char(log_limit AT TIME ZONE 'UTC', '"webhook_log_"YYYYMMDD')
             WHEN 'whatsapp_messages' THEN to_char(message_limit AT TIME ZONE 'UTC', '"whatsapp_messages_"YYYYMM') END
  LOOP
    IF r.parent = 'whatsapp_messages' THEN
      EXECUTE format('DELETE FROM gateway.media m USING gateway.%I w '
                     'WHERE m.message_sent_at = w.sent_at AND m.message_id = w.id', r.child);
    END IF;
    EXECUTE format('ALTER TABLE gateway.%I DETACH PARTITION gateway.%I', r.parent, r.child);
    EXECUTE format('DROP TABLE gateway.%I', r.child);
    n := n + 1;
  END LOOP;
  DELETE FROM gateway.webhook_log WHERE received_at < log_limit;     -- what lay in the default partition
  DELETE FROM gateway.message_ids
   WHERE sent_at < now() - make_interval(days => gateway.setting('message_ids_retention_days')::integer);
  DELETE FROM gateway.pending_statuses WHERE received_at < now() - interval '7 days';
  DELETE FROM gateway.idempotency_keys WHERE created_at < now() - interval '7 days';
  DELETE FROM gateway.oauth_states WHERE created_at < now() - interval '1 hour';
  DELETE FROM gateway.parked_payloads p WHERE NOT EXISTS (SELECT FROM gateway.parked_updates u WHERE u.hash = p.hash);
  PERFORM gateway.prune_route_changes();
  RETURN n;
END $$;

-- Messages of an earlier table (user_id, from_phone, to_phone, direction, a body, a time, a provider id), both ways.
CREATE OR REPLACE FUNCTION gateway.import_legacy_messages(
  p_table regclass, p_endpoint uuid, p_body text DEFAULT 'content', p_at text DEFAULT 'created_at',
  p_wamid text DEFAULT 'wamid')
RETURNS bigint LANGUAGE plpgsql AS $fn$
DECLARE
  n bigint;
  e gateway.endpoints;
BEGIN
  SELECT * INTO STRICT e FROM gateway.endpoints WHERE id = p_endpoint;
  EXECUTE format($q$
    CREATE TEMP TABLE gateway_import ON COMMIT DROP AS
    SELECT k.*, gateway.phone_key(k.dial) AS pk, NULL::uuid AS person, r.tenant_id AS tenant, r.property_id AS property
      FROM (SELECT gateway.uuid7() AS id, m.user_id AS landlord, m.direction::text AS direction, m.%2$I::text AS body,
                   m.%3$I::timestamptz AS at, m.%4$I::text AS wamid,
                   gateway.e164_digits(CASE WHEN m.direction::text = 'incoming' THEN m.from_phone
                                            ELSE m.to_phone END::text) AS dial FROM %1$s m) k
      JOIN LATERAL (SELECT * FROM gateway.routes r
                     WHERE r.phone_key = gateway.phone_key(k.dial) AND r.landlord_id = k.landlord
                     ORDER BY r.valid_from DESC NULLS LAST, r.lease_id LIMIT 1) r ON true
     WHERE NOT EXISTS (SELECT 1 FROM gateway.message_ids i WHERE i.key = gateway.message_key(%5$L, k.wamid))$q$,
    p_table, p_body, p_at, p_wamid, p_endpoint);
  UPDATE gateway_import g SET person = p.person_id
    FROM gateway.resolve_people(
      ARRAY(SELECT id FROM gateway_import ORDER BY id), ARRAY(SELECT 'phone' FROM gateway_import),
      ARRAY(SELECT e.phone_scope FROM gateway_import), ARRAY(SELECT pk::text FROM gateway_import ORDER BY id),
      ARRAY(SELECT dial FROM gateway_import ORDER BY id), ARRAY(SELECT at FROM gateway_import ORDER BY id),
      'import') p
   WHERE p.row_id = g.id;
  INSERT INTO gateway.whatsapp_conversations AS w
      (landlord_id, tenant_id, person_id, endpoint_id, channel, tenant_phone, phone_key, property_id, last_message_at)
    SELECT DISTINCT ON (landlord, person, tenant)
           landlord, tenant, person, e.id, e.channel, dial, pk, property, at
      FROM gateway_import ORDER BY landlord, person, tenant, at DESC
    ON CONFLICT (landlord_id, channel, person_id, tenant_id)
      DO UPDATE SET last_message_at = greatest(w.last_message_at, excluded.last_message_at);
  INSERT INTO gateway.message_ids (key, message_id, sent_at)
    SELECT gateway.message_key(p_endpoint, wamid), id, at FROM gateway_import WHERE wamid IS NOT NULL
    ON CONFLICT DO NOTHING;
  INSERT INTO gateway.whatsapp_messages (id, sent_at, conversation_id, landlord_id, tenant_id, property_id,
      endpoint_id, channel, tenant_phone, direction, wamid, body, status, routing_status)
    SELECT g.id, g.at, c.id, g.landlord, g.tenant, g.property, e.id, e.channel, g.dial, g.direction, g.wamid, g.body,
           CASE WHEN g.direction = 'incoming' THEN 'received' ELSE 'sent' END, 'delivered'
      FROM gateway_import g
      JOIN gateway.whatsapp_conversations c ON c.landlord_id = g.landlord AND c.person_id = g.person
       AND c.tenant_id = g.tenant AND c.channel = e.channel;
  GET DIAGNOSTICS n = ROW_COUNT;
  DROP TABLE gateway_import;
  RETURN n;
END $fn$;

-- A message as a row with a sender's and a recipient's number.
CREATE OR REPLACE VIEW gateway.whatsapp_messages_by_number WITH (security_invoker = true) AS
  SELECT m.id, m.landlord_id AS user_id, m.conversation_id, m.landlord_id, m.tenant_id, m.property_id, m.tenant_phone,
         CASE WHEN m.direction = 'incoming' THEN m.tenant_phone ELSE e.phone END AS from_phone,
         CASE WHEN m.direction = 'incoming' THEN e.phone ELSE m.tenant_phone END AS to_phone,
         m.channel, m.direction, m.is_from_tenant, m.message_type, m.body AS content, m.landlord_signature, m.status,
         m.outcome, m.routing_status, m.routing_metadata, m.wamid, m.sent_at, m.delivered_at, m.read_at, m.failed_at,
         m.error_code, m.recorded_at AS created_at
    FROM gateway.whatsapp_messages m LEFT JOIN gateway.endpoints e ON e.id = m.endpoint_id;

-- Their names in public, where the name is free or ours already (the comment tells). The tables' row security holds.
DO $$
DECLARE
  v record;
  mark CONSTANT text := 'zenrent gateway view';
BEGIN
  FOR v IN SELECT * FROM (VALUES ('whatsapp_conversations', 'whatsapp_conversations'),
             ('whatsapp_messages', 'whatsapp_messages_by_number'),
             ('tenant_landlord_routing', 'tenant_landlord_routing')) x(name, source) LOOP
    IF to_regclass('public.' || v.name) IS NULL
       OR obj_description(to_regclass('public.' || v.name), 'pg_class') = mark THEN
      EXECUTE format('DROP VIEW IF EXISTS public.%I', v.name);
      EXECUTE format('CREATE VIEW public.%I WITH (security_invoker = true) AS SELECT * FROM gateway.%I',
                     v.name, v.source);
      EXECUTE format('COMMENT ON VIEW public.%I IS %L', v.name, mark);
      -- a database may grant everything on new tables by default
      EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, anon, authenticated', v.name);
      EXECUTE format('GRANT SELECT ON public.%I TO authenticated, gateway_writer, gateway_admin', v.name);
    ELSE
      RAISE NOTICE 'public.% is taken: use gateway.%', v.name, v.source;
    END IF;
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'no right to create views in public: use the names in gateway';
END $$;

-- Who is asking, for the policies.
CREATE OR REPLACE FUNCTION gateway.my_role() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT role FROM gateway.users WHERE id = auth.uid() AND disabled_at IS NULL $$;
CREATE OR REPLACE FUNCTION gateway.my_business() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT business_id FROM gateway.users WHERE id = auth.uid() AND disabled_at IS NULL $$;
CREATE OR REPLACE FUNCTION gateway.is_super_admin() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT EXISTS (SELECT FROM gateway.users WHERE id = auth.uid() AND role = 'SUPER_ADMIN' AND disabled_at IS NULL) $$;
CREATE OR REPLACE FUNCTION gateway.bootstrap_super_admin(p_email text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  u uuid;
BEGIN
  IF EXISTS (SELECT 1 FROM gateway.users WHERE role = 'SUPER_ADMIN') THEN
    RAISE EXCEPTION 'a super admin exists' USING ERRCODE = 'ZR005';
  END IF;
  SELECT id INTO STRICT u FROM auth.users WHERE lower(email) = lower(p_email);
  INSERT INTO gateway.users (id, email, role, business_id) VALUES (u, p_email, 'SUPER_ADMIN', NULL)
    ON CONFLICT (id) DO UPDATE SET role = 'SUPER_ADMIN', business_id = NULL;
  RETURN u;
END $$;
-- The process and the owner of the schema, whose logins may be members of authenticated as well: a restrictive policy
-- for authenticated would shut them out of everything. After SET ROLE authenticated it is false.
CREATE OR REPLACE FUNCTION gateway.is_staff() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT pg_has_role('gateway_writer', 'USAGE') OR pg_has_role('gateway_admin', 'USAGE')
      OR pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'gateway'), 'USAGE')
$$;

-- Row security, forced, with its three staff policies, on every table of ours that has none yet; grants of the two
-- staff roles. A later file that adds a table calls this again.
CREATE OR REPLACE FUNCTION gateway.guard_tables() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT c.oid, c.relname, c.relispartition FROM pg_class c
            WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p') LOOP
    EXECUTE format('ALTER TABLE gateway.%I ENABLE ROW LEVEL SECURITY', t.relname);
    CONTINUE WHEN t.relispartition;
    EXECUTE format('ALTER TABLE gateway.%I FORCE ROW LEVEL SECURITY', t.relname);
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'writer_all') THEN
      EXECUTE format('CREATE POLICY writer_all ON gateway.%1$I TO gateway_writer USING (true) WITH CHECK (true);'
                     'CREATE POLICY admin_all ON gateway.%1$I TO gateway_admin USING (true) WITH CHECK (true);'
                     'CREATE POLICY owner_all ON gateway.%1$I TO CURRENT_USER USING (true) WITH CHECK (true)',
                     t.relname);
    END IF;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.%I TO gateway_writer, gateway_admin', t.relname);
  END LOOP;
  FOR t IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'v' LOOP
    EXECUTE format('GRANT SELECT ON gateway.%I TO gateway_writer, gateway_admin', t.relname);
  END LOOP;
  REVOKE UPDATE, DELETE ON gateway.audit_log, gateway.consent_events FROM gateway_writer, gateway_admin;
  IF to_regclass('gateway.schema_migrations') IS NOT NULL THEN
    REVOKE INSERT, UPDATE, DELETE ON gateway.schema_migrations FROM gateway_writer, gateway_admin;
  END IF;
  REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway FROM PUBLIC;
  GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway TO gateway_writer, gateway_admin;
  REVOKE EXECUTE ON FUNCTION gateway.bootstrap_super_admin(text) FROM gateway_writer;
  GRANT USAGE ON ALL SEQUENCES IN SCHEMA gateway TO gateway_writer, gateway_admin;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA gateway FROM PUBLIC, anon, authenticated;
GRANT USAGE ON SCHEMA gateway TO authenticated, gateway_writer, gateway_admin;
SELECT gateway.guard_tables();

-- What landlords see. A table has one permissive policy for them (permissive ones are OR-ed) and the same test as a
-- restrictive one, which nothing added later can widen. auth.uid() stands in a sub-select: once a statement.
DO $$
DECLARE
  t text;
  p record;
  mine CONSTANT text := 'landlord_id = (SELECT auth.uid())';
BEGIN
  FOR p IN SELECT policyname, tablename FROM pg_policies
            WHERE schemaname = 'gateway' AND policyname NOT IN ('writer_all', 'admin_all', 'owner_all') LOOP
    EXECUTE format('DROP POLICY %I ON gateway.%I', p.policyname, p.tablename);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['whatsapp_conversations', 'whatsapp_messages', 'media', 'route_landlords', 'routes',
                           'message_costs'] LOOP
    EXECUTE format('CREATE POLICY landlord_read ON gateway.%I FOR SELECT TO authenticated USING (%s)', t, mine);
    EXECUTE format('CREATE POLICY landlord_wall ON gateway.%1$I AS RESTRICTIVE FOR ALL TO authenticated '
                   'USING ((SELECT gateway.is_staff()) OR %2$s) WITH CHECK ((SELECT gateway.is_staff()) OR %2$s)',
                   t, mine);
  END LOOP;
END $$;
CREATE POLICY landlord_update ON gateway.whatsapp_conversations FOR UPDATE TO authenticated
  USING (landlord_id = (SELECT auth.uid())) WITH CHECK (landlord_id = (SELECT auth.uid()));
CREATE POLICY shared_and_own ON gateway.endpoints FOR SELECT TO authenticated
  USING (scope = 'platform' OR landlord_id = (SELECT auth.uid()) OR business_id = (SELECT gateway.my_business()));
CREATE POLICY own_settings ON gateway.landlord_whatsapp_settings TO authenticated
  USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY everybody ON gateway.prices FOR SELECT TO authenticated USING (true);
CREATE POLICY own ON gateway.downstream_endpoints FOR SELECT TO authenticated
  USING (landlord_id = (SELECT auth.uid()) OR business_id = (SELECT gateway.my_business()));
CREATE POLICY own ON gateway.users FOR SELECT TO authenticated
  USING (id = (SELECT auth.uid()) OR business_id = (SELECT gateway.my_business()));
CREATE POLICY own ON gateway.businesses FOR SELECT TO authenticated USING (id = (SELECT gateway.my_business()));
CREATE POLICY own ON gateway.usage_counters FOR SELECT TO authenticated
  USING (business_id = (SELECT gateway.my_business()));
CREATE POLICY own ON gateway.integrations FOR SELECT TO authenticated
  USING (business_id = (SELECT gateway.my_business()));
CREATE POLICY own ON gateway.customers FOR SELECT TO authenticated
  USING (business_id = (SELECT gateway.my_business()));

GRANT SELECT ON gateway.whatsapp_conversations, gateway.whatsapp_messages, gateway.media, gateway.routes,
  gateway.route_landlords, gateway.tenant_landlord_routing, gateway.whatsapp_messages_by_number,
  gateway.conversation_participants, gateway.message_costs, gateway.prices, gateway.costs_by_month, gateway.users,
  gateway.businesses, gateway.usage_counters, gateway.customers TO authenticated;
-- by column where a row holds a secret or a provider's id
GRANT SELECT (id, business_id, type, is_active, token_expiry, platform_id, platform_name, status, last_error,
  created_at, updated_at) ON gateway.integrations TO authenticated;
GRANT SELECT (id, kind, channel, scope, business_id, landlord_id, phone, display_name, status, quality, created_at)
  ON gateway.endpoints TO authenticated;
GRANT SELECT (id, business_id, landlord_id, url, events, is_active, disabled_until, created_at)
  ON gateway.downstream_endpoints TO authenticated;
GRANT UPDATE (status, unread_count, updated_at) ON gateway.whatsapp_conversations TO authenticated;
GRANT SELECT, INSERT, UPDATE (is_enabled, opted_in_at, notifications_enabled, message_signature, auto_responses,
  updated_at) ON gateway.landlord_whatsapp_settings TO authenticated;
GRANT EXECUTE ON FUNCTION gateway.my_role(), gateway.my_business(), gateway.is_super_admin(), gateway.is_staff(),
  gateway.uuid7(), gateway.status_rank(text), gateway.conversation_windows(uuid[]),
  gateway.reply(uuid, uuid, timestamptz, text, text, text, text, text, bytea) TO authenticated;
