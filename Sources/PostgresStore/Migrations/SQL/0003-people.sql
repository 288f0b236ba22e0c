-- 0003 endpoints and people: what we receive on and send from; who writes, under which identities.

-- A row for each number, page, Instagram account or session. Credentials stay in integrations.
CREATE TABLE IF NOT EXISTS gateway.endpoints (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  kind text NOT NULL CHECK (kind IN ('cloud', 'messenger', 'instagram', 'vps_session')),
  provider_id text COLLATE "C" NOT NULL CHECK (octet_length(provider_id) <= 512),
  channel gateway.channel GENERATED ALWAYS AS
    (CASE kind WHEN 'messenger' THEN 'FACEBOOK' WHEN 'instagram' THEN 'INSTAGRAM' ELSE 'WHATSAPP' END) STORED,
  scope text NOT NULL CHECK (scope IN ('platform', 'business', 'landlord')),
  business_id uuid REFERENCES gateway.businesses (id) ON DELETE RESTRICT,
  organization_id uuid,
  landlord_id uuid,
  owner_id uuid GENERATED ALWAYS AS (coalesce(landlord_id, business_id, organization_id)) STORED,
  purposes text[] NOT NULL DEFAULT '{relay}'
    CHECK (purposes <@ '{relay,bulletin,groups}'::text[] AND cardinality(purposes) > 0),
  waba_id text,
  portfolio_id text,                         -- the Meta business; a business-scoped id counts inside it only
  phone gateway.e164,
  display_name text,
  status text NOT NULL DEFAULT 'connected'
    CHECK (status IN ('connecting', 'qr', 'connected', 'disconnected', 'logged_out', 'banned', 'expired',
                      'migrated_to_centralized')),
  quality text CHECK (quality IN ('GREEN', 'YELLOW', 'RED', 'UNKNOWN')),
  tier text,
  max_per_second smallint,
  integration_id uuid REFERENCES gateway.integrations (id) ON DELETE SET NULL,
  session_data jsonb NOT NULL DEFAULT '{}',
  last_seen_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- How far what is learnt here counts: '' = everywhere on the platform, else with the owner alone. A landlord's own
  -- session server can claim any pair of ids; were that believed everywhere, it could take over another's tenant.
  phone_scope text COLLATE "C" GENERATED ALWAYS AS
    (coalesce(coalesce(landlord_id, business_id, organization_id)::text, '')) STORED,
  id_scope text COLLATE "C" GENERATED ALWAYS AS
    (coalesce(coalesce(landlord_id, business_id, organization_id)::text || '/', '')
     || CASE kind WHEN 'cloud' THEN coalesce(portfolio_id, waba_id, provider_id)
                  WHEN 'vps_session' THEN '' ELSE provider_id END) STORED,
  id_kind text GENERATED ALWAYS AS
    (CASE kind WHEN 'cloud' THEN 'bsuid' WHEN 'vps_session' THEN 'lid'
               WHEN 'messenger' THEN 'psid' ELSE 'igsid' END) STORED,
  UNIQUE (kind, provider_id),                -- a webhook finds its endpoint by this, so it has one owner
  CHECK ((scope = 'platform') = (coalesce(landlord_id, business_id, organization_id) IS NULL)),
  CHECK ((scope = 'landlord') = (landlord_id IS NOT NULL)));
CREATE INDEX IF NOT EXISTS endpoints_owner_idx ON gateway.endpoints (owner_id) WHERE owner_id IS NOT NULL;

CREATE OR REPLACE VIEW gateway.whatsapp_accounts WITH (security_invoker = true) AS
  SELECT id, landlord_id AS user_id, organization_id,
         CASE WHEN kind = 'vps_session' THEN 'vps' WHEN scope = 'platform' THEN 'central'
              ELSE 'landlord_waba' END AS kind,
         waba_id, CASE WHEN kind = 'cloud' THEN provider_id END AS phone_number_id,
         phone, display_name, status, created_at, updated_at
    FROM gateway.endpoints WHERE kind IN ('cloud', 'vps_session');

-- A person is one human inside one realm: '' for everybody on the platform's numbers, else the owner of the endpoint.
-- "Which landlord?", "stop all" and the 24-hour window belong to the human and the shared number. A person carries
-- nothing of a landlord's: names, notes and tenants hang on conversations and routes.
CREATE TABLE IF NOT EXISTS gateway.people (
  id uuid PRIMARY KEY,
  realm text COLLATE "C" NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  merged_into uuid REFERENCES gateway.people (id),
  merged_at timestamptz);
CREATE INDEX IF NOT EXISTS people_merged_idx ON gateway.people (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE IF NOT EXISTS gateway.identities (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text COLLATE "C" NOT NULL
    CHECK (kind IN ('phone', 'bsuid', 'parent_bsuid', 'lid', 'igsid', 'psid', 'username')),
  scope text COLLATE "C" NOT NULL DEFAULT '',   -- endpoints.phone_scope for phones, endpoints.id_scope for the rest
  -- a phone's key as digits; anything else opaque and case-sensitive. The limit keeps it inside an index entry.
  value text COLLATE "C" NOT NULL CONSTRAINT identities_value_length CHECK (octet_length(value) BETWEEN 1 AND 512),
  person_id uuid NOT NULL REFERENCES gateway.people (id),
  dial bigint,                                  -- a phone's digits as the provider writes them
  phone_key bigint GENERATED ALWAYS AS (CASE WHEN kind = 'phone' THEN value::bigint END) STORED,
  first_seen timestamptz NOT NULL DEFAULT now(),
  last_seen timestamptz NOT NULL DEFAULT now(),
  source text NOT NULL,
  retired_at timestamptz,
  retired_reason text CHECK (retired_reason IN ('number_change', 'rotated', 'recycled', 'repointed', 'erased')),
  CHECK ((retired_at IS NULL) = (retired_reason IS NULL)));
CREATE UNIQUE INDEX IF NOT EXISTS identities_live_key ON gateway.identities (value, kind, scope)
  WHERE retired_at IS NULL;
CREATE INDEX IF NOT EXISTS identities_person_idx ON gateway.identities (person_id);
CREATE INDEX IF NOT EXISTS identities_moved_idx ON gateway.identities (value)
  WHERE retired_reason = 'number_change';

CREATE TABLE IF NOT EXISTS gateway.identity_conflicts (      -- two people who may be one: for a human to decide
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  person_a uuid NOT NULL REFERENCES gateway.people (id),
  person_b uuid NOT NULL REFERENCES gateway.people (id),
  reason text NOT NULL,
  evidence jsonb NOT NULL DEFAULT '{}',
  times integer NOT NULL DEFAULT 1,
  status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'merged', 'kept_apart')),
  created_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz,
  closed_by uuid,
  CHECK (person_a < person_b));
CREATE UNIQUE INDEX IF NOT EXISTS identity_conflicts_open_key ON gateway.identity_conflicts (person_a, person_b)
  WHERE status = 'open';

CREATE OR REPLACE FUNCTION gateway.record_conflict(p_a uuid, p_b uuid, p_reason text, p_evidence jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM gateway.identity_conflicts WHERE person_a = least(p_a, p_b)
               AND person_b = greatest(p_a, p_b) AND status = 'kept_apart') THEN RETURN; END IF;
  INSERT INTO gateway.identity_conflicts AS c (person_a, person_b, reason, evidence)
    VALUES (least(p_a, p_b), greatest(p_a, p_b), p_reason, p_evidence)
    ON CONFLICT (person_a, person_b) WHERE status = 'open' DO UPDATE SET times = c.times + 1;
END $$;

-- Identities are locked by hash bucket, in order, before they are read: two recorders can neither make one human
-- twice nor wait for each other in a circle.
CREATE OR REPLACE FUNCTION gateway.lock_identities(p_values text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1735288185, bucket)
     FROM (SELECT DISTINCT hashtext(v) & 1023 AS bucket FROM unnest(p_values) v ORDER BY 1) b;
END $$;

-- A hint without payload; equal ones collapse inside a transaction. The table of changes is the truth.
CREATE OR REPLACE FUNCTION gateway.notify_routes() RETURNS void LANGUAGE sql AS
$$ SELECT pg_notify('gateway_routes', '') $$;

CREATE OR REPLACE FUNCTION gateway.log_identities(p_person uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO gateway.route_changes (kind, id_kind, id_scope, id_value)
    SELECT DISTINCT 'i'::"char", i.kind, i.scope, i.value FROM gateway.identities i
     WHERE i.person_id = p_person AND i.kind <> 'username';
  PERFORM gateway.notify_routes();
END $$;

-- History is a thread or a consent. Unclaimed messages alone are none: they follow their identity.
CREATE OR REPLACE FUNCTION gateway.has_history(p_person uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT FROM gateway.whatsapp_conversations WHERE person_id = p_person)
      OR EXISTS (SELECT FROM gateway.consent_events WHERE person_id = p_person);
END $$;

-- The realm a person belongs to whose first identity is this one.
CREATE OR REPLACE FUNCTION gateway.realm_of(p_kind text, p_scope text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_kind = 'phone' THEN p_scope
              WHEN p_scope LIKE '%/%' THEN split_part(p_scope, '/', 1) ELSE '' END
$$;

-- Everything of p_from becomes p_into's. Threads with the same landlord, channel and tenant flow together.
CREATE OR REPLACE FUNCTION gateway.absorb_person(p_from uuid, p_into uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  PERFORM 1 FROM gateway.people WHERE id IN (p_from, p_into) ORDER BY id FOR UPDATE;
  UPDATE gateway.identities SET person_id = p_into WHERE person_id = p_from;
  FOR c IN
    SELECT f.*, t.id AS target FROM gateway.whatsapp_conversations f
      LEFT JOIN gateway.whatsapp_conversations t ON t.person_id = p_into AND t.landlord_id = f.landlord_id
       AND t.channel = f.channel AND t.tenant_id IS NOT DISTINCT FROM f.tenant_id
     WHERE f.person_id = p_from ORDER BY f.id
  LOOP
    IF c.target IS NULL THEN
      UPDATE gateway.whatsapp_conversations SET person_id = p_into, updated_at = now() WHERE id = c.id;
    ELSE
      UPDATE gateway.whatsapp_messages SET conversation_id = c.target WHERE conversation_id = c.id;
      UPDATE gateway.whatsapp_conversations SET
             unread_count = unread_count + c.unread_count,
             last_message_at = greatest(last_message_at, c.last_message_at),
             last_inbound_at = greatest(last_inbound_at, c.last_inbound_at),
             last_outbound_at = greatest(last_outbound_at, c.last_outbound_at), updated_at = now()
       WHERE id = c.target;
      DELETE FROM gateway.whatsapp_conversations WHERE id = c.id;
    END IF;
  END LOOP;
  UPDATE gateway.whatsapp_messages SET person_id = p_into WHERE person_id = p_from AND conversation_id IS NULL;
  UPDATE gateway.questions q SET status = 'cancelled' WHERE q.person_id = p_from AND q.status = 'open'
     AND EXISTS (SELECT FROM gateway.questions o WHERE o.person_id = p_into AND o.endpoint_id = q.endpoint_id
                    AND o.status = 'open');
  UPDATE gateway.questions SET person_id = p_into WHERE person_id = p_from;
  UPDATE gateway.outbox SET person_id = p_into WHERE person_id = p_from;
  UPDATE gateway.people SET merged_into = p_into, merged_at = now() WHERE id = p_from OR merged_into = p_from;
  UPDATE gateway.identity_conflicts SET status = 'merged', closed_at = now()
   WHERE status = 'open' AND person_a = least(p_from, p_into) AND person_b = greatest(p_from, p_into);
  PERFORM gateway.log_identities(p_into);
END $$;

-- One sender's identities as one webhook showed them: make the person, attach what is new, or note a contradiction.
CREATE OR REPLACE FUNCTION gateway.link_identities(
  p_kind text[], p_scope text[], p_value text[], p_dial bigint[], p_at timestamptz, p_source text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  by_phone uuid;
  by_id uuid;
  person uuid;
  rival boolean;
  changed boolean := false;
BEGIN
  SELECT (array_agg(x.person_id) FILTER (WHERE x.kind = 'phone'))[1],
         (array_agg(x.person_id ORDER BY (x.kind = 'parent_bsuid')) FILTER (WHERE x.kind <> 'phone'))[1]
    INTO by_phone, by_id
    FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
    JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
     AND x.retired_at IS NULL
   WHERE u.kind <> 'username';
  -- The number's person shows another live account id of this kind and scope. An account id does not change while
  -- the number stays, so another human holds the number now.
  rival := by_phone IS NOT NULL AND by_phone IS DISTINCT FROM by_id AND EXISTS (
    SELECT FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
      JOIN gateway.identities x ON x.person_id = by_phone AND x.kind = u.kind AND x.scope = u.scope
     WHERE u.kind IN ('bsuid', 'lid', 'igsid', 'psid') AND x.value <> u.value AND x.retired_at IS NULL);
  IF rival THEN
    UPDATE gateway.identities SET retired_at = now(), retired_reason = 'recycled'
     WHERE person_id = by_phone AND kind = 'phone' AND value = ANY (p_value) AND retired_at IS NULL;
    PERFORM gateway.log_identities(by_phone);
    by_phone := NULL;
    changed := true;
  END IF;
  IF by_phone <> by_id THEN
    IF NOT gateway.has_history(by_id) THEN
      PERFORM gateway.absorb_person(by_id, by_phone);
      by_id := by_phone;
    ELSIF NOT gateway.has_history(by_phone) THEN
      PERFORM gateway.absorb_person(by_phone, by_id);
    ELSE
      PERFORM gateway.record_conflict(by_phone, by_id, 'seen together',
        jsonb_build_object('kinds', p_kind, 'values', p_value, 'at', p_at));
    END IF;
  END IF;
  person := coalesce(by_id, by_phone);
  IF person IS NULL THEN
    person := gateway.uuid7();
    INSERT INTO gateway.people (id, realm) VALUES (person, gateway.realm_of(p_kind[1], p_scope[1]));
  END IF;
  FOR i IN 1 .. cardinality(p_kind) LOOP
    CONTINUE WHEN EXISTS (SELECT FROM gateway.identities x WHERE x.kind = p_kind[i] AND x.scope = p_scope[i]
                            AND x.value = p_value[i] AND x.retired_at IS NULL);
    -- A second live phone or account id of one person: the older one is history, its notice was lost.
    UPDATE gateway.identities
       SET retired_at = now(), retired_reason = CASE kind WHEN 'phone' THEN 'number_change' ELSE 'rotated' END
     WHERE person_id = person AND kind = p_kind[i] AND scope = p_scope[i] AND retired_at IS NULL;
    changed := changed OR FOUND OR p_kind[i] NOT IN ('phone', 'username');
    INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source)
      VALUES (p_kind[i], p_scope[i], p_value[i], person, p_dial[i], p_at, p_at, p_source);
  END LOOP;
  IF changed THEN PERFORM gateway.log_identities(person); END IF;
END $$;

-- The threads of some people show the number they have now. Not done while identities are linked: the recording
-- statement touches the same threads, and a row cannot be changed under the feet of its ON CONFLICT.
CREATE OR REPLACE FUNCTION gateway.show_numbers(p_people uuid[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  n integer;
BEGIN
  UPDATE gateway.whatsapp_conversations c SET phone_key = i.phone_key, tenant_phone = coalesce(i.dial, i.phone_key),
         updated_at = now()
    FROM gateway.identities i JOIN gateway.people p ON p.id = i.person_id
   WHERE i.person_id = ANY (p_people) AND i.kind = 'phone' AND i.scope = p.realm AND i.retired_at IS NULL
     AND c.person_id = i.person_id AND c.phone_key <> i.phone_key;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- A batch: row i of the arrays is one identity, those with the same p_row came in one message. A person for each
-- p_row. New senders (nothing known, nothing shared) are made as a set; only additions and contradictions loop.
CREATE OR REPLACE FUNCTION gateway.resolve_people(
  p_row uuid[], p_kind text[], p_scope text[], p_value text[], p_dial bigint[], p_at timestamptz[],
  p_source text DEFAULT 'webhook')
RETURNS TABLE (row_id uuid, person_id uuid, conflict boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  r record;
  aliases integer := 0;
BEGIN
  PERFORM gateway.lock_identities(p_value);
  WITH u AS (
    SELECT * FROM unnest(p_row, p_kind, p_scope, p_value, p_dial, p_at) AS u(rid, kind, scope, value, dial, at)),
  sender AS MATERIALIZED (
    SELECT u.rid, bool_or(x.id IS NOT NULL) AS known,
           array_agg(u.kind || '|' || u.scope || '|' || u.value ORDER BY u.kind, u.scope, u.value) AS ids
      FROM u LEFT JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     GROUP BY u.rid),
  shared AS (
    SELECT id FROM (SELECT DISTINCT ids FROM sender) d, unnest(d.ids) id GROUP BY id HAVING count(*) > 1),
  fresh AS MATERIALIZED (
    SELECT ids, gateway.uuid7() AS person, min(rid::text)::uuid AS rid FROM sender
     GROUP BY ids HAVING NOT bool_or(known) AND NOT ids && ARRAY(SELECT id FROM shared)),
  n AS (
    SELECT DISTINCT ON (u.kind, u.scope, u.value) u.*, f.person FROM fresh f JOIN u ON u.rid = f.rid),
  made AS (
    INSERT INTO gateway.people (id, realm) SELECT person, min(gateway.realm_of(kind, scope)) FROM n GROUP BY person),
  linked AS (
    INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source)
      SELECT kind, scope, value, person, dial, at, at, p_source FROM n RETURNING kind, scope, value),
  logged AS (
    INSERT INTO gateway.route_changes (kind, id_kind, id_scope, id_value)
      SELECT 'i', kind, scope, value FROM linked WHERE kind NOT IN ('phone', 'username') RETURNING 1)
  SELECT count(*) INTO aliases FROM logged;
  IF aliases > 0 THEN PERFORM gateway.notify_routes(); END IF;
  FOR r IN
    SELECT array_agg(u.kind) AS kinds, array_agg(u.scope) AS scopes, array_agg(u.value) AS ids,
           array_agg(u.dial) AS dials, max(u.at) AS at
      FROM unnest(p_row, p_kind, p_scope, p_value, p_dial, p_at)
             WITH ORDINALITY AS u(rid, kind, scope, value, dial, at, n)
      LEFT JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     GROUP BY u.rid
    HAVING count(*) > count(x.id) OR count(DISTINCT x.person_id) FILTER (WHERE u.kind <> 'username') > 1
     ORDER BY min(u.n)
  LOOP
    PERFORM gateway.link_identities(r.kinds, r.scopes, r.ids, r.dials, r.at, p_source);
  END LOOP;
  UPDATE gateway.identities SET last_seen = now() WHERE id IN (     -- to the day; what another batch holds is skipped
    SELECT x.id FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
      JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     WHERE x.last_seen < now() - interval '1 day' FOR UPDATE OF x SKIP LOCKED);
  RETURN QUERY
    SELECT u.rid, (array_agg(x.person_id ORDER BY (u.kind = 'phone'), (u.kind = 'parent_bsuid')))[1],
           count(DISTINCT x.person_id) > 1
      FROM unnest(p_row, p_kind, p_scope, p_value) AS u(rid, kind, scope, value)
      JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     WHERE u.kind <> 'username' GROUP BY u.rid;
END $$;

-- The provider says old -> new (user_changed_number, user_changed_user_id), before or after the first message under
-- the new one, any number of times. The person found under the new one is absorbed only when nothing of theirs would
-- be mixed: no thread, or only threads with a landlord and tenant the old person has too. Otherwise both stay.
CREATE OR REPLACE FUNCTION gateway.change_identity(
  p_kind text, p_scope text, p_old text, p_new text, p_at timestamptz, p_source text DEFAULT 'webhook',
  p_dial bigint DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  p uuid;
  q uuid;
  why text := CASE p_kind WHEN 'phone' THEN 'number_change' ELSE 'rotated' END;
BEGIN
  IF p_old = p_new THEN RETURN NULL; END IF;
  PERFORM gateway.lock_identities(ARRAY[p_old, p_new]);
  SELECT person_id INTO q FROM gateway.identities
   WHERE kind = p_kind AND scope = p_scope AND value = p_new AND retired_at IS NULL;
  IF q IS NOT NULL AND EXISTS (SELECT FROM gateway.identities WHERE kind = p_kind AND scope = p_scope
       AND value = p_old AND person_id = q AND retired_reason = why) THEN
    RETURN q;                                        -- a replay: the change is in already
  END IF;
  -- Somebody first seen under the old value after the event is its next holder, not the one who moved.
  SELECT person_id INTO p FROM gateway.identities
   WHERE kind = p_kind AND scope = p_scope AND value = p_old AND retired_at IS NULL AND first_seen <= p_at;
  IF p IS NULL AND q IS NULL THEN
    p := gateway.uuid7();
    INSERT INTO gateway.people (id, realm) VALUES (p, gateway.realm_of(p_kind, p_scope));
  END IF;
  IF p IS NOT NULL THEN
    UPDATE gateway.identities SET retired_at = now(), retired_reason = why
     WHERE kind = p_kind AND scope = p_scope AND value = p_old AND retired_at IS NULL AND person_id = p;
  END IF;
  IF p IS NULL OR NOT FOUND THEN                     -- never seen: noted, so that routes under the old value follow
    p := coalesce(p, q);
    INSERT INTO gateway.identities
        (kind, scope, value, person_id, first_seen, last_seen, source, retired_at, retired_reason)
      VALUES (p_kind, p_scope, p_old, p, p_at, p_at, p_source, p_at, why);
  END IF;
  IF q <> p THEN
    IF NOT EXISTS (SELECT FROM gateway.consent_events WHERE person_id = q) AND NOT EXISTS (
         SELECT FROM gateway.whatsapp_conversations c WHERE c.person_id = q AND NOT EXISTS (
           SELECT FROM gateway.whatsapp_conversations d WHERE d.person_id = p AND d.landlord_id = c.landlord_id
              AND d.channel = c.channel AND d.tenant_id = c.tenant_id)) THEN
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
  IF q IS NULL THEN
    INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source)
      VALUES (p_kind, p_scope, p_new, p, p_dial, p_at, p_at, p_source);
  END IF;
  IF p_kind = 'phone' THEN PERFORM gateway.show_numbers(ARRAY[p]); END IF;
  PERFORM gateway.log_identities(p);
  RETURN p;
END $$;

-- A human's verdict on a conflict.
CREATE OR REPLACE FUNCTION gateway.close_conflict(p_id uuid, p_merge boolean, p_by uuid DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c gateway.identity_conflicts;
BEGIN
  UPDATE gateway.identity_conflicts
     SET status = CASE WHEN p_merge THEN 'merged' ELSE 'kept_apart' END, closed_at = now(), closed_by = p_by
   WHERE id = p_id AND status = 'open' RETURNING * INTO c;
  IF FOUND AND p_merge THEN PERFORM gateway.absorb_person(c.person_b, c.person_a); END IF;
END $$;
