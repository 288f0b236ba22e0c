-- 0015 tenures: since when a tenant has the number they are filed under; chains of notices in any order; aliases that
-- statuses tell; claims that hold in the database; changes at the cost of what changes, whatever a session did before.

-- A lease under a number is about whoever had the number when the landlord wrote it down for this tenant
-- (routes.learnt_at). Another lease of the tenant, another status, a corrected name tell nothing new of the number. So
-- the moment is the tenant's, outlives their leases, and moves with the number alone, in whatever spelling.
CREATE TABLE IF NOT EXISTS gateway.phone_tenures (
  tenant_id uuid PRIMARY KEY,
  phone_key bigint NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  gone_at timestamptz);                        -- the tenant was deleted; who is imported again has the same id
CREATE INDEX IF NOT EXISTS phone_tenures_gone_idx ON gateway.phone_tenures (gone_at) WHERE gone_at IS NOT NULL;
INSERT INTO gateway.phone_tenures (tenant_id, phone_key, since)
  SELECT DISTINCT ON (tenant_id) tenant_id, phone_key, learnt_at FROM gateway.routes ORDER BY tenant_id, learnt_at
ON CONFLICT DO NOTHING;

-- Identities somebody had, whatever became of them: found by value, as those who have them are.
CREATE INDEX IF NOT EXISTS identities_retired_idx ON gateway.identities (value) WHERE retired_at IS NOT NULL;

-- The numbers some tenants have now; NULL = none. A number that was taken away and comes back is written anew.
CREATE OR REPLACE FUNCTION gateway.note_tenures(p_tenants uuid[], p_keys bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM gateway.phone_tenures WHERE tenant_id = ANY (ARRAY(
    SELECT u.id FROM unnest(p_tenants, p_keys) u(id, key) WHERE u.key IS NULL));
  INSERT INTO gateway.phone_tenures AS t (tenant_id, phone_key)
    SELECT u.id, u.key FROM unnest(p_tenants, p_keys) u(id, key) WHERE u.key IS NOT NULL ORDER BY u.id
  ON CONFLICT (tenant_id) DO UPDATE SET phone_key = excluded.phone_key, gone_at = NULL,
    since = CASE t.phone_key WHEN excluded.phone_key THEN t.since ELSE excluded.since END
  WHERE t.phone_key <> excluded.phone_key OR t.gone_at IS NOT NULL;
END $$;

-- As before (0004), with the tenure. It is read here, and written where no trigger told of the number: the data lives
-- elsewhere, or the tenant is from before this file. A plan is kept as long as the application's connection: one made
-- while the tables were small must not read them whole once they are large.
CREATE OR REPLACE FUNCTION gateway.sync_routes(p_tenants uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
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
  gone AS MATERIALIZED (SELECT * FROM old EXCEPT SELECT * FROM src),
  come AS MATERIALIZED (SELECT * FROM src EXCEPT SELECT * FROM old),
  lost AS (SELECT tenant_id, lease_id FROM gone EXCEPT SELECT tenant_id, lease_id FROM come),
  deleted AS (
    DELETE FROM gateway.routes r USING lost WHERE r.tenant_id = lost.tenant_id AND r.lease_id = lost.lease_id),
  dated AS MATERIALIZED (
    SELECT c.*, t.since FROM come c LEFT JOIN LATERAL (
      SELECT x.since FROM gateway.phone_tenures x WHERE x.tenant_id = c.tenant_id AND x.phone_key = c.phone_key LIMIT 1
    ) t ON true),
  noted AS (
    INSERT INTO gateway.phone_tenures (tenant_id, phone_key)
      SELECT DISTINCT ON (tenant_id) tenant_id, phone_key FROM dated WHERE since IS NULL ORDER BY tenant_id, phone_key
    ON CONFLICT (tenant_id) DO UPDATE SET phone_key = excluded.phone_key, since = excluded.since, gone_at = NULL),
  upserted AS (
    INSERT INTO gateway.routes AS r (tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from,
        valid_until, lease_status, tenant_name, property_address, learnt_at)
      SELECT tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from, valid_until,
             lease_status, tenant_name, property_address, coalesce(since, now()) FROM dated
      ON CONFLICT (tenant_id, lease_id) DO UPDATE SET
        landlord_id = excluded.landlord_id, property_id = excluded.property_id, phone_key = excluded.phone_key,
        tenant_phone = excluded.tenant_phone, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
        lease_status = excluded.lease_status, tenant_name = excluded.tenant_name,
        property_address = excluded.property_address,
        learnt_at = CASE r.phone_key WHEN excluded.phone_key THEN r.learnt_at ELSE excluded.learnt_at END),
  logged AS (
    INSERT INTO gateway.route_changes (kind, phone_key)
      SELECT 'p', phone_key FROM gone UNION SELECT 'p', phone_key FROM come RETURNING 1)
  SELECT count(*) INTO changed FROM logged;
  IF changed > 0 THEN PERFORM gateway.notify_routes(); END IF;
  RETURN changed;
END $$;

-- As before (0004), with the tenure: a comparison that finds much, or everything, tells nothing new of a number.
CREATE OR REPLACE FUNCTION gateway.fill_routes(p_tenants uuid[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  WITH filled AS (
    INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, property_id, phone_key, tenant_phone, valid_from,
        valid_until, lease_status, tenant_name, property_address, learnt_at)
      SELECT s.*, coalesce(t.since, now()) FROM gateway.routing_source s
        LEFT JOIN gateway.phone_tenures t ON t.tenant_id = s.tenant_id AND t.phone_key = s.phone_key
       WHERE p_tenants IS NULL OR s.tenant_id = ANY (p_tenants)
    ON CONFLICT DO NOTHING RETURNING tenant_id, phone_key, learnt_at),
  noted AS (
    INSERT INTO gateway.phone_tenures AS t (tenant_id, phone_key)
      SELECT DISTINCT ON (tenant_id) tenant_id, phone_key FROM filled WHERE learnt_at = now()
       ORDER BY tenant_id, phone_key
    ON CONFLICT (tenant_id) DO UPDATE SET phone_key = excluded.phone_key, since = excluded.since, gone_at = NULL
      WHERE t.phone_key <> excluded.phone_key)
  SELECT count(*) INTO n FROM filled;
  RETURN n;
END $$;

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
    changes := gateway.fill_routes(NULL);
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
    changes := gateway.fill_routes(ids);
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

-- The tenants of some properties, as the routes have them and as the application does. In steps, for the time a step
-- takes grows with the square of it.
CREATE OR REPLACE FUNCTION gateway.tenants_at(p_properties uuid[]) RETURNS uuid[] LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  step uuid[];
  tenants uuid[] := '{}';
BEGIN
  FOR i IN 0 .. (cardinality(p_properties) - 1) / 500 LOOP
    step := p_properties[i * 500 + 1 : i * 500 + 500];
    tenants := tenants || ARRAY(
      SELECT tenant_id FROM gateway.routes WHERE property_id = ANY (step)
      UNION SELECT tenant_id FROM gateway.routing_source WHERE property_id = ANY (step));
  END LOOP;
  RETURN ARRAY(SELECT DISTINCT t FROM unnest(tenants) t);
END $$;

-- As before (0012), with the tenure. And nothing here joins the rows of a change: how, would be settled by the first
-- change of a connection for all that follow, be it one row or an import.
CREATE OR REPLACE FUNCTION gateway.on_source_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  tenants uuid[];
  landlords uuid[];
  keys bigint[];
  cc CONSTANT text := gateway.setting('default_cc');
BEGIN
  CASE TG_TABLE_NAME || ' ' || TG_OP
  WHEN 'tenants INSERT' THEN
    SELECT array_agg(id), array_agg(gateway.phone_key(gateway.e164_digits(phone::text, cc))) INTO tenants, keys
      FROM n WHERE phone IS NOT NULL;
    PERFORM gateway.note_tenures(tenants, keys);
  WHEN 'tenants DELETE' THEN
    tenants := ARRAY(SELECT id FROM o);
    UPDATE gateway.phone_tenures SET gone_at = now() WHERE tenant_id = ANY (tenants);
  WHEN 'tenants UPDATE' THEN
    SELECT array_agg(id), array_agg(gateway.phone_key(gateway.e164_digits(phone, cc))) INTO tenants, keys
      FROM (SELECT id, phone::text FROM n EXCEPT SELECT id, phone::text FROM o) x;
    PERFORM gateway.note_tenures(tenants, keys);
    tenants := ARRAY(SELECT id FROM (
      SELECT id, phone::text, user_id, name::text FROM n EXCEPT SELECT id, phone::text, user_id, name::text FROM o) x);
  WHEN 'leases INSERT' THEN tenants := ARRAY(SELECT DISTINCT tenant_id FROM n);
  WHEN 'leases DELETE' THEN tenants := ARRAY(SELECT DISTINCT tenant_id FROM o);
  WHEN 'leases UPDATE' THEN tenants := ARRAY(SELECT tenant_id FROM n UNION SELECT tenant_id FROM o);
  WHEN 'properties INSERT', 'properties UPDATE' THEN
    tenants := gateway.tenants_at(ARRAY(SELECT id FROM n));
  WHEN 'properties DELETE' THEN
    tenants := gateway.tenants_at(ARRAY(SELECT id FROM o));
  WHEN 'user_profiles INSERT', 'user_profiles UPDATE' THEN landlords := ARRAY(SELECT id FROM n);
  WHEN 'user_profiles DELETE' THEN landlords := ARRAY(SELECT id FROM o);
  WHEN 'landlord_whatsapp_settings INSERT', 'landlord_whatsapp_settings UPDATE' THEN
    landlords := ARRAY(SELECT user_id FROM n);
  WHEN 'landlord_whatsapp_settings DELETE' THEN landlords := ARRAY(SELECT user_id FROM o);
  ELSE
    IF TG_OP = 'TRUNCATE' THEN
      IF TG_TABLE_NAME = 'tenants' THEN
        UPDATE gateway.phone_tenures SET gone_at = now() WHERE gone_at IS NULL;
      END IF;
      PERFORM gateway.refresh_tenant_landlord_routing();
    END IF;
  END CASE;
  IF cardinality(landlords) > 0 THEN PERFORM gateway.sync_landlords(landlords); END IF;
  IF cardinality(tenants) > 0 THEN
    FOR i IN 0 .. (cardinality(tenants) - 1) / 500 LOOP
      PERFORM gateway.sync_routes(tenants[i * 500 + 1 : i * 500 + 500]);
    END LOOP;
  END IF;
  RETURN NULL;
END $$;

-- What tenants had who were deleted that long ago; how many.
CREATE OR REPLACE FUNCTION gateway.prune_tenures() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM gateway.phone_tenures t
   WHERE t.gone_at < now() - make_interval(days => gateway.setting('identities_retention_days')::integer)
     AND NOT EXISTS (SELECT FROM gateway.routes r WHERE r.tenant_id = t.tenant_id);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Claims hold in the database as what is recorded does (I10): the lease must reach the sender as they are known in this
-- transaction. The thread it goes to is locked before the person, in the order of everybody else who locks both.
CREATE OR REPLACE FUNCTION gateway.claim_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_tenant uuid, p_property uuid, p_lease uuid, p_route_key bigint,
  p_conversation uuid, p_meta jsonb)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := gateway.claim_since();
  meta jsonb := p_meta || jsonb_build_object('claimed_at', now());
  grace integer := gateway.setting('lease_grace_days')::integer;
  r gateway.routes;
  c gateway.whatsapp_conversations;
  n integer;
BEGIN
  PERFORM 1 FROM gateway.whatsapp_conversations WHERE person_id = p_person AND landlord_id = p_landlord
    ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM gateway.people WHERE id = p_person AND merged_into IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF p_landlord IS NULL THEN
    UPDATE gateway.whatsapp_messages
       SET routing_status = 'ambiguous', routing_metadata = coalesce(routing_metadata, '{}') || meta
     WHERE person_id = p_person AND conversation_id IS NULL AND endpoint_id = p_endpoint AND direction = 'incoming'
       AND routing_status = 'unknown_sender' AND sent_at >= since;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
  END IF;
  IF p_conversation IS NOT NULL THEN
    SELECT * INTO c FROM gateway.whatsapp_conversations x
     WHERE x.id = p_conversation AND x.landlord_id = p_landlord AND x.person_id = p_person;
    IF NOT FOUND THEN RETURN NULL; END IF;
  ELSE
    SELECT x.* INTO r FROM gateway.routes x JOIN gateway.endpoints e ON e.id = p_endpoint
     WHERE x.tenant_id = p_tenant AND x.lease_id = p_lease
       AND x.landlord_id = p_landlord AND x.phone_key = p_route_key
       AND coalesce(x.valid_from <= current_date + 1, true)
       AND coalesce(x.valid_until + grace >= current_date - 1, x.lease_status = 'active')
       AND gateway.reaches_lease(e.phone_scope,
             (SELECT i.phone_key FROM gateway.identities i WHERE i.person_id = p_person AND i.kind = 'phone'
                 AND i.scope = e.phone_scope AND i.retired_at IS NULL LIMIT 1),
             e.id_kind, e.id_scope,
             (SELECT i.value FROM gateway.identities i WHERE i.person_id = p_person AND i.kind = e.id_kind
                 AND i.scope = e.id_scope AND i.retired_at IS NULL LIMIT 1), p_route_key, x.learnt_at);
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  RETURN gateway.attach_messages(p_person, p_endpoint, p_landlord, coalesce(c.tenant_id, r.tenant_id),
    coalesce(r.property_id, c.property_id, p_property), '{unknown_sender}', meta, since, r.lease_id);
END $$;

-- As before (0013), in the order of the index, so that a step reads what it returns and no more; sorted, each step would
-- read all that waits.
CREATE OR REPLACE FUNCTION gateway.people_unclaimed(p_after uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SET enable_sort = off SET enable_hashagg = off SET enable_seqscan = off AS $$
  SELECT DISTINCT m.person_id FROM gateway.whatsapp_messages m
   WHERE m.conversation_id IS NULL AND m.person_id > p_after AND m.direction = 'incoming'
     AND m.routing_status = 'unknown_sender' AND m.sent_at >= gateway.claim_since()
   ORDER BY m.person_id LIMIT p_limit
$$;

-- Whether a person can become another's without anything of theirs being mixed: no thread, or only threads with a
-- landlord and tenant the other has, too.
CREATE OR REPLACE FUNCTION gateway.may_absorb(p_from uuid, p_into uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (SELECT FROM gateway.consent_events WHERE person_id = p_from)
     AND NOT EXISTS (
       SELECT FROM gateway.whatsapp_conversations c WHERE c.person_id = p_from AND NOT EXISTS (
         SELECT FROM gateway.whatsapp_conversations d WHERE d.person_id = p_into AND d.landlord_id = c.landlord_id
            AND d.channel = c.channel AND d.tenant_id = c.tenant_id))
$$;

-- As before (0011), and for a chain of notices in any order: whoever is known to have left the new value since, was not
-- seen under it before, and did not come to it from elsewhere, is the one who moved. Then the new value is nobody's, or
-- its next holder's, who stays alone. Two who cannot be made one are a conflict, and the one who moved has neither value.
CREATE OR REPLACE FUNCTION gateway.change_identity(
  p_kind text, p_scope text, p_old text, p_new text, p_at timestamptz, p_source text DEFAULT 'webhook',
  p_dial bigint DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  p uuid;
  q uuid;
  further uuid;
  why text := CASE p_kind WHEN 'phone' THEN 'number_change' ELSE 'rotated' END;
BEGIN
  IF p_old = p_new THEN RETURN NULL; END IF;
  PERFORM gateway.lock_identities(ARRAY[p_old, p_new]);
  PERFORM gateway.lock_people_of(ARRAY[p_kind, p_kind], ARRAY[p_scope, p_scope], ARRAY[p_old, p_new]);
  SELECT person_id INTO q FROM gateway.identities
   WHERE kind = p_kind AND scope = p_scope AND value = p_new AND retired_at IS NULL;
  IF q IS NOT NULL AND EXISTS (SELECT FROM gateway.identities WHERE kind = p_kind AND scope = p_scope
       AND value = p_old AND person_id = q AND retired_reason = why) THEN
    RETURN q;                                        -- told again, or seen before it was told
  END IF;
  -- Somebody first seen under the old value after the event is its next holder, not the one who moved.
  SELECT person_id INTO p FROM gateway.identities
   WHERE kind = p_kind AND scope = p_scope AND value = p_old AND retired_at IS NULL
     AND first_seen < p_at + interval '1 second';
  IF p IS NULL THEN                                  -- told again, and the person has moved on since
    SELECT o.person_id INTO p FROM gateway.identities o
     WHERE o.kind = p_kind AND o.scope = p_scope AND o.value = p_old AND o.retired_at IS NOT NULL
       AND o.retired_reason = why AND EXISTS (
       SELECT FROM gateway.identities n WHERE n.person_id = o.person_id AND n.kind = p_kind AND n.scope = p_scope
          AND n.value = p_new) LIMIT 1;
    IF FOUND THEN RETURN p; END IF;
  END IF;
  SELECT o.person_id INTO further FROM gateway.identities o
   WHERE o.kind = p_kind AND o.scope = p_scope AND o.value = p_new AND o.retired_at IS NOT NULL
     AND o.retired_reason = why AND o.first_seen >= p_at AND NOT EXISTS (
       SELECT FROM gateway.identities x WHERE x.person_id = o.person_id AND x.kind = p_kind AND x.scope = p_scope
          AND x.value <> p_old AND x.id < o.id AND x.retired_reason = why
          AND x.retired_at BETWEEN o.first_seen AND o.first_seen + interval '1 second')
   ORDER BY o.retired_at, o.id LIMIT 1;
  IF further IS NOT NULL THEN
    IF further = p THEN RETURN p; END IF;            -- they came back
    PERFORM 1 FROM gateway.people WHERE id = further AND merged_into IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'a person was absorbed by another meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    p := coalesce(p, further);
    q := NULL;
  ELSIF p IS NULL AND q IS NULL THEN
    p := gateway.uuid7();
    INSERT INTO gateway.people (id, realm) VALUES (p, gateway.realm_of(p_kind, p_scope));
  END IF;
  IF p IS NOT NULL THEN
    UPDATE gateway.identities x SET retired_at = gateway.left_at(x.first_seen, p_at), retired_reason = why
     WHERE kind = p_kind AND scope = p_scope AND value = p_old AND retired_at IS NULL AND person_id = p;
  END IF;
  IF p IS NULL OR NOT FOUND THEN                     -- never seen: noted, so that routes under the old value follow
    p := coalesce(p, q);
    INSERT INTO gateway.identities
        (kind, scope, value, person_id, first_seen, last_seen, source, retired_at, retired_reason)
      VALUES (p_kind, p_scope, p_old, p, p_at, p_at, p_source, gateway.left_at(p_at, p_at), why);
  END IF;
  IF further <> p THEN
    IF gateway.may_absorb(further, p) THEN
      PERFORM gateway.absorb_person(further, p);
    ELSE
      INSERT INTO gateway.identities             -- so that the notice is known when it is told again
          (kind, scope, value, person_id, dial, first_seen, last_seen, source, retired_at, retired_reason)
        VALUES (p_kind, p_scope, p_new, p, p_dial, p_at, p_at, p_source, now(), 'repointed');
      PERFORM gateway.record_conflict(p, further, why,
        jsonb_build_object('kind', p_kind, 'old', p_old, 'new', p_new, 'at', p_at));
    END IF;
  ELSIF q <> p THEN
    IF gateway.may_absorb(q, p) THEN
      PERFORM gateway.absorb_person(q, p);
    ELSE
      UPDATE gateway.identities SET retired_at = now(), retired_reason = 'repointed'
       WHERE kind = p_kind AND scope = p_scope AND value = p_new AND retired_at IS NULL;
      PERFORM gateway.record_conflict(p, q, why,
        jsonb_build_object('kind', p_kind, 'old', p_old, 'new', p_new, 'at', p_at));
      PERFORM gateway.log_identities(q);
      q := NULL;
    END IF;
  END IF;
  IF q IS NULL AND further IS NULL THEN
    INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source)
      VALUES (p_kind, p_scope, p_new, p, p_dial, p_at, p_at, p_source);
  END IF;
  IF p_kind = 'phone' THEN PERFORM gateway.show_numbers(ARRAY[p]); END IF;
  PERFORM gateway.log_identities(p);
  RETURN p;
END $$;

-- What statuses tell of whom a message went to: a number and an account id of one person, learnt as from a message. But
-- a message counts once, and a status may come again, or weeks late: one from before something that contradicts it
-- teaches nothing. Not inside the recording statement, whose messages are filed under people this may absorb. How many
-- people it taught about, in how many conflicts, and whether the routing feed has news of identities.
CREATE OR REPLACE FUNCTION gateway.learn_recipients(
  p_endpoint uuid[], p_at timestamptz[], p_phone bigint[], p_phone_key bigint[], p_account text[], p_parent text[])
RETURNS TABLE (people integer, conflicts integer, is_news boolean) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  who uuid[];
BEGIN
  PERFORM gateway.lock_identities(p_phone_key::text[] || p_account || array_remove(p_parent, NULL));
  WITH u AS MATERIALIZED (
    SELECT gateway.uuid7() AS rid, u.*, e.phone_scope, e.id_kind, e.id_scope, h.person_id AS by_phone,
           a.person_id AS by_account
      FROM unnest(p_endpoint, p_at, p_phone, p_phone_key, p_account, p_parent) WITH ORDINALITY
             AS u(endpoint, at, dial, pk, account, parent, ord)
      JOIN gateway.endpoints e ON e.id = u.endpoint
      LEFT JOIN LATERAL (SELECT x.person_id FROM gateway.identities x WHERE x.value = u.pk::text AND x.kind = 'phone'
                            AND x.scope = e.phone_scope AND x.retired_at IS NULL LIMIT 1) h ON true
      LEFT JOIN LATERAL (SELECT x.person_id FROM gateway.identities x WHERE x.value = u.account AND x.kind = e.id_kind
                            AND x.scope = e.id_scope AND x.retired_at IS NULL LIMIT 1) a ON true),
  news AS MATERIALIZED (
    SELECT u.* FROM u WHERE u.by_phone IS DISTINCT FROM u.by_account OR u.by_phone IS NULL),
  told AS (
    SELECT n.rid, n.at, n.ord, x.* FROM news n
     CROSS JOIN LATERAL (VALUES ('phone', n.phone_scope, n.pk::text, n.dial), (n.id_kind, n.id_scope, n.account, NULL),
             ('parent_bsuid', n.id_scope, n.parent, NULL)) AS x(kind, scope, value, dial)
     WHERE x.value IS NOT NULL AND NOT EXISTS (
       SELECT FROM (VALUES ('phone', n.phone_scope, n.pk::text), (n.id_kind, n.id_scope, n.account))
              AS s(kind, scope, value)
        CROSS JOIN LATERAL (
          SELECT i.first_seen, i.retired_at FROM gateway.identities i
           WHERE i.value = s.value AND i.kind = s.kind AND i.scope = s.scope AND i.retired_at IS NULL
          UNION ALL
          SELECT i.first_seen, i.retired_at FROM gateway.identities i
           WHERE i.value = s.value AND i.kind = s.kind AND i.scope = s.scope AND i.retired_at IS NOT NULL
          UNION ALL
          SELECT i.first_seen, i.retired_at FROM gateway.identities i
           WHERE i.person_id IN (n.by_phone, n.by_account) AND i.kind = s.kind AND i.scope = s.scope
             AND i.retired_at IS NULL OFFSET 0) i
        WHERE i.retired_at > n.at OR (i.retired_at IS NULL AND i.first_seen >= n.at + interval '1 second')))
  SELECT array_agg(t.rid ORDER BY t.ord) AS rows, array_agg(t.kind ORDER BY t.ord) AS kinds,
         array_agg(t.scope ORDER BY t.ord) AS scopes, array_agg(t.value ORDER BY t.ord) AS ids,
         array_agg(t.dial ORDER BY t.ord) AS dials, array_agg(t.at ORDER BY t.ord) AS at
    INTO r FROM told t;
  SELECT array_agg(DISTINCT x.person_id), count(*) FILTER (WHERE x.conflict) INTO who, conflicts
    FROM gateway.resolve_people(r.rows, r.kinds, r.scopes, r.ids, r.dials, r.at, 'status') x WHERE r.rows IS NOT NULL;
  PERFORM gateway.show_numbers(who);
  people := coalesce(cardinality(who), 0);
  is_news := people > 0 AND EXISTS (SELECT FROM gateway.route_changes WHERE xid = pg_current_xact_id() AND kind = 'i');
  RETURN NEXT;
END $$;

SELECT gateway.guard_tables();
