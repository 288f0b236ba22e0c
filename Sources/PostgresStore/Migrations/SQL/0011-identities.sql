-- 0011 identities: whose a number is and was, two gateways that learn about one person at once, sessions, retention.

INSERT INTO gateway.settings (key, value) VALUES
  ('identities_retention_days', '400')         -- identities nobody has any more, and people nobody speaks of
ON CONFLICT DO NOTHING;

-- What an identity says beyond its own digits, as before (0004), with two things more. Every departure from a number is
-- told, not the last of each person alone: between two of them a lease was a third's. And a number that somebody left
-- tells who has it now, also where they have no other.
CREATE OR REPLACE VIEW gateway.identity_feed AS
  SELECT i.kind, i.scope, i.value, i.person_id, k.phone_key AS route_key, NULL::timestamptz AS moved_at
    FROM gateway.identities i
    LEFT JOIN gateway.identities k ON k.person_id = i.person_id AND k.kind = 'phone'
     AND (k.retired_at IS NULL OR k.retired_reason = 'number_change')
   WHERE i.retired_at IS NULL AND i.kind <> 'username' AND (i.kind <> 'phone' OR k.phone_key <> i.phone_key)
  UNION ALL
  SELECT i.kind, i.scope, i.value, i.person_id, i.phone_key, NULL FROM gateway.identities i
   WHERE i.kind = 'phone' AND i.retired_at IS NULL AND EXISTS (
     SELECT FROM gateway.identities d WHERE d.value = i.value AND d.kind = 'phone' AND d.scope = i.scope
        AND d.retired_reason = 'number_change')
  UNION ALL
  SELECT i.kind, i.scope, i.value, i.person_id, NULL, i.retired_at FROM gateway.identities i
   WHERE i.kind = 'phone' AND i.retired_reason = 'number_change';

-- Locking. Identities first, by bucket (lock_identities); then threads; then people, by id. Whoever gives a person an
-- identity holds the person FOR NO KEY UPDATE, whoever absorbs one holds both FOR UPDATE, and whoever files something
-- under a person holds it FOR KEY SHARE and sees that it is nobody's shadow.

-- Locks the people who have these identities, until their commit the same ones: an identity may move while one waits.
CREATE OR REPLACE FUNCTION gateway.lock_people_of(p_kind text[], p_scope text[], p_value text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  held uuid[] := '{}';
  found uuid[];
BEGIN
  LOOP
    SELECT array_agg(DISTINCT x.person_id) INTO found
      FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
      JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL;
    EXIT WHEN found IS NULL OR found <@ held;
    PERFORM 1 FROM gateway.people WHERE id = ANY (found) AND id <> ALL (held) ORDER BY id FOR NO KEY UPDATE;
    held := held || found;
  END LOOP;
END $$;

-- Refuses to file anything under people who were absorbed, or pruned, since they were looked up. SQLSTATE 40001: the
-- same again finds who they are now.
CREATE OR REPLACE FUNCTION gateway.hold_people(p_people uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  wanted integer;
  alive integer;
BEGIN
  SELECT count(DISTINCT p) INTO wanted FROM unnest(p_people) p;
  SELECT count(*) INTO alive FROM (
    SELECT FROM gateway.people WHERE id = ANY (p_people) AND merged_into IS NULL ORDER BY id FOR KEY SHARE) x;
  IF alive < wanted THEN
    RAISE EXCEPTION 'a person was absorbed by another meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION gateway.on_person_used() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM gateway.hold_people(ARRAY[NEW.person_id]);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER conversation_person_lives AFTER INSERT ON gateway.whatsapp_conversations
  FOR EACH ROW EXECUTE FUNCTION gateway.on_person_used();
CREATE OR REPLACE TRIGGER question_person_lives AFTER INSERT ON gateway.questions
  FOR EACH ROW EXECUTE FUNCTION gateway.on_person_used();

CREATE INDEX IF NOT EXISTS outbox_dead_person_idx ON gateway.outbox_dead (person_id) WHERE person_id IS NOT NULL;

-- Everything of p_from becomes p_into's. Threads with the same landlord, channel and tenant flow together; a thread
-- never changes its landlord. A block outlives it. ZR007: people of different realms are never one.
CREATE OR REPLACE FUNCTION gateway.absorb_person(p_from uuid, p_into uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c record;
  k gateway.identity_conflicts;
  other uuid;
BEGIN
  IF p_from = p_into THEN RETURN; END IF;
  PERFORM 1 FROM gateway.whatsapp_conversations WHERE person_id IN (p_from, p_into) ORDER BY id FOR UPDATE;
  PERFORM 1 FROM gateway.people WHERE id IN (p_from, p_into) ORDER BY id FOR UPDATE;
  IF (SELECT count(*) FROM gateway.people WHERE id IN (p_from, p_into) AND merged_into IS NULL) < 2 THEN
    RAISE EXCEPTION 'a person was absorbed by another meanwhile' USING ERRCODE = 'serialization_failure';
  ELSIF (SELECT count(DISTINCT realm) FROM gateway.people WHERE id IN (p_from, p_into)) > 1 THEN
    RAISE EXCEPTION 'people of different owners are never merged' USING ERRCODE = 'ZR007';
  END IF;
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
             status = CASE WHEN 'blocked' IN (status, c.status) THEN 'blocked'
                           WHEN 'active' IN (status, c.status) THEN 'active' ELSE status END,
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
  UPDATE gateway.outbox_dead SET person_id = p_into WHERE person_id = p_from;
  UPDATE gateway.people SET merged_into = p_into, merged_at = now() WHERE id = p_from OR merged_into = p_from;
  -- what was asked or decided about p_from and a third is about p_into now
  FOR k IN SELECT * FROM gateway.identity_conflicts WHERE p_from IN (person_a, person_b) AND status <> 'merged'
            ORDER BY id FOR UPDATE LOOP
    other := CASE k.person_a WHEN p_from THEN k.person_b ELSE k.person_a END;
    IF other = p_into OR EXISTS (SELECT FROM gateway.identity_conflicts x WHERE x.status <> 'merged'
         AND x.person_a = least(other, p_into) AND x.person_b = greatest(other, p_into)) THEN
      UPDATE gateway.identity_conflicts SET status = 'merged', closed_at = coalesce(closed_at, now()) WHERE id = k.id;
    ELSE
      UPDATE gateway.identity_conflicts SET person_a = least(other, p_into), person_b = greatest(other, p_into)
       WHERE id = k.id;
    END IF;
  END LOOP;
  PERFORM gateway.log_identities(p_into);
END $$;

-- When a person left an identity, told at p_at: at the end of that second, for the provider tells whole seconds.
CREATE OR REPLACE FUNCTION gateway.left_at(p_first_seen timestamptz, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$ SELECT least(greatest(p_at + interval '1 second', p_first_seen), now()) $$;

-- One sender's identities as one webhook showed them: make the person, attach what is new, or note a contradiction. The
-- caller holds the identities and their people. A parent id counts only where nothing else is shown.
CREATE OR REPLACE FUNCTION gateway.link_identities(
  p_kind text[], p_scope text[], p_value text[], p_dial bigint[], p_at timestamptz, p_source text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  by_phone uuid;
  by_id uuid;
  by_parent uuid;
  person uuid;
  rival boolean;
  is_new boolean := false;
  changed boolean := false;
BEGIN
  SELECT (array_agg(x.person_id) FILTER (WHERE x.kind = 'phone'))[1],
         (array_agg(x.person_id) FILTER (WHERE x.kind NOT IN ('phone', 'parent_bsuid')))[1],
         (array_agg(x.person_id) FILTER (WHERE x.kind = 'parent_bsuid'))[1]
    INTO by_phone, by_id, by_parent
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
  person := coalesce(by_id, by_phone,
    CASE WHEN 'parent_bsuid' = ALL (array_remove(p_kind, 'username')) THEN by_parent END);
  IF person IS NULL THEN
    person := gateway.uuid7();
    is_new := true;
    INSERT INTO gateway.people (id, realm) VALUES (person, gateway.realm_of(p_kind[1], p_scope[1]));
  END IF;
  FOR i IN 1 .. cardinality(p_kind) LOOP
    CONTINUE WHEN EXISTS (SELECT FROM gateway.identities x WHERE x.kind = p_kind[i] AND x.scope = p_scope[i]
                            AND x.value = p_value[i] AND x.retired_at IS NULL);
    -- A second live phone or account id of one person: the older one is history, its notice was lost.
    UPDATE gateway.identities x
       SET retired_at = gateway.left_at(x.first_seen, p_at),
           retired_reason = CASE x.kind WHEN 'phone' THEN 'number_change' ELSE 'rotated' END
     WHERE x.person_id = person AND x.kind = p_kind[i] AND x.scope = p_scope[i] AND x.retired_at IS NULL;
    changed := changed OR NOT is_new OR p_kind[i] NOT IN ('phone', 'username');
    INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source)
      VALUES (p_kind[i], p_scope[i], p_value[i], person, p_dial[i], p_at, p_at, p_source);
  END LOOP;
  IF changed THEN PERFORM gateway.log_identities(person); END IF;
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
  rest uuid[];
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
  rest := ARRAY(
    SELECT u.rid FROM unnest(p_row, p_kind, p_scope, p_value) WITH ORDINALITY AS u(rid, kind, scope, value, n)
      LEFT JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     GROUP BY u.rid
    HAVING count(*) > count(x.id)
        OR count(DISTINCT x.person_id) FILTER (WHERE u.kind NOT IN ('username', 'parent_bsuid')) > 1
     ORDER BY min(u.n));
  IF cardinality(rest) > 0 THEN
    SELECT array_agg(u.kind) AS kinds, array_agg(u.scope) AS scopes, array_agg(u.value) AS ids INTO r
      FROM unnest(p_row, p_kind, p_scope, p_value) AS u(rid, kind, scope, value) WHERE u.rid = ANY (rest);
    PERFORM gateway.lock_people_of(r.kinds, r.scopes, r.ids);
  END IF;
  FOR r IN
    SELECT array_agg(u.kind) AS kinds, array_agg(u.scope) AS scopes, array_agg(u.value) AS ids,
           array_agg(u.dial) AS dials, max(u.at) AS at
      FROM unnest(rest) WITH ORDINALITY AS o(rid, n)
      JOIN unnest(p_row, p_kind, p_scope, p_value, p_dial, p_at) AS u(rid, kind, scope, value, dial, at)
        ON u.rid = o.rid
     GROUP BY o.n ORDER BY o.n
  LOOP
    PERFORM gateway.link_identities(r.kinds, r.scopes, r.ids, r.dials, r.at, p_source);
  END LOOP;
  UPDATE gateway.identities SET last_seen = now() WHERE id IN (     -- to the day; what another batch holds is skipped
    SELECT x.id FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
      JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     WHERE x.last_seen < now() - interval '1 day' FOR UPDATE OF x SKIP LOCKED);
  RETURN QUERY
    SELECT u.rid, (array_agg(x.person_id ORDER BY (u.kind = 'parent_bsuid'), (u.kind = 'phone')))[1],
           count(DISTINCT x.person_id) FILTER (WHERE u.kind <> 'parent_bsuid') > 1
      FROM unnest(p_row, p_kind, p_scope, p_value) AS u(rid, kind, scope, value)
      JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
       AND x.retired_at IS NULL
     WHERE u.kind <> 'username' GROUP BY u.rid;
END $$;

-- The provider says old -> new (user_changed_number, user_changed_user_id), before or after the first message under
-- the new one, any number of times. The person found under the new one is absorbed only when nothing of theirs would
-- be mixed: no thread, or only threads with a landlord and tenant the old person has too. Otherwise both stay.
-- The person left the old one at p_at, the provider's time: what a landlord wrote since is not about them.
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
     WHERE o.kind = p_kind AND o.scope = p_scope AND o.value = p_old AND o.retired_reason = why AND EXISTS (
       SELECT FROM gateway.identities n WHERE n.person_id = o.person_id AND n.kind = p_kind AND n.scope = p_scope
          AND n.value = p_new) LIMIT 1;
    IF FOUND THEN RETURN p; END IF;
  END IF;
  IF p IS NULL AND q IS NULL THEN
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

-- What messages announce, one after the other; what a message that is recorded already announced was done then. How
-- many were done.
CREATE OR REPLACE FUNCTION gateway.change_identities(
  p_endpoint uuid[], p_wamid text[], p_kind text[], p_scope text[], p_old text[], p_new text[], p_dial bigint[],
  p_at timestamptz[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  n integer := 0;
BEGIN
  FOR i IN 1 .. cardinality(p_endpoint) LOOP
    CONTINUE WHEN EXISTS (SELECT FROM gateway.message_ids WHERE key = gateway.message_key(p_endpoint[i], p_wamid[i]));
    PERFORM gateway.change_identity(p_kind[i], p_scope[i], p_old[i], p_new[i], p_at[i], 'notice', p_dial[i]);
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;

-- A human's verdict on a conflict: one person, into whom the other is absorbed, or two. Threads stay their landlords'.
-- ZR404: no such conflict is open.
CREATE OR REPLACE FUNCTION gateway.close_conflict(p_id uuid, p_merge boolean, p_by uuid DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c gateway.identity_conflicts;
BEGIN
  SELECT * INTO c FROM gateway.identity_conflicts WHERE id = p_id AND status = 'open';
  PERFORM 1 FROM gateway.people WHERE id IN (c.person_a, c.person_b) ORDER BY id FOR NO KEY UPDATE;
  UPDATE gateway.identity_conflicts
     SET status = CASE WHEN p_merge THEN 'merged' ELSE 'kept_apart' END, closed_at = now(), closed_by = p_by
   WHERE id = p_id AND status = 'open' RETURNING * INTO c;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such conflict is open' USING ERRCODE = 'ZR404'; END IF;
  IF p_merge THEN PERFORM gateway.absorb_person(c.person_b, c.person_a); END IF;
END $$;

-- As PhoneNumber.masked shows it.
CREATE OR REPLACE FUNCTION gateway.masked_phone(p_phone bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT '+' || left(p_phone::text, 2) || '…' || right(p_phone::text, 2) $$;

-- One of two people who may be one: numbers they have, masked, how many account ids, and whose tenant they are.
CREATE OR REPLACE FUNCTION gateway.conflict_side(p_person uuid)
RETURNS TABLE (phones text[], accounts integer, landlords text[]) LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT gateway.masked_phone(coalesce(i.dial, i.phone_key)) FROM gateway.identities i
                WHERE i.person_id = p_person AND i.kind = 'phone' AND i.retired_at IS NULL ORDER BY i.id),
         (SELECT count(*)::integer FROM gateway.identities i
           WHERE i.person_id = p_person AND i.kind NOT IN ('phone', 'username') AND i.retired_at IS NULL),
         ARRAY(SELECT DISTINCT coalesce(l.landlord_name, c.landlord_id::text) FROM gateway.whatsapp_conversations c
                LEFT JOIN gateway.route_landlords l USING (landlord_id) WHERE c.person_id = p_person ORDER BY 1)
$$;

-- Conflicts that wait for a human, newest first: two people who may be one, with what tells them apart. Numbers are
-- masked; of account ids it says how many.
CREATE OR REPLACE FUNCTION gateway.open_conflicts(p_limit integer DEFAULT 50)
RETURNS TABLE (id uuid, created_at timestamptz, reason text, times integer,
               person_a uuid, phones_a text[], accounts_a integer, landlords_a text[],
               person_b uuid, phones_b text[], accounts_b integer, landlords_b text[])
LANGUAGE sql STABLE AS $$
  SELECT c.id, c.created_at, c.reason, c.times, c.person_a, a.phones, a.accounts, a.landlords,
         c.person_b, b.phones, b.accounts, b.landlords
    FROM (SELECT * FROM gateway.identity_conflicts WHERE status = 'open'
           ORDER BY created_at DESC, id DESC LIMIT p_limit) c
   CROSS JOIN LATERAL gateway.conflict_side(c.person_a) a CROSS JOIN LATERAL gateway.conflict_side(c.person_b) b
   ORDER BY c.created_at DESC, c.id DESC
$$;

-- Whose messages a sender's are. The account id decides, and without one the number; where both are known and apart,
-- both count unless the number was recycled (its person shows another account id) or the two are in conflict.
-- link_identities() comes to the same.
CREATE OR REPLACE FUNCTION gateway.sender_people(
  p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text, p_account text)
RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  a uuid;
  h uuid;
BEGIN
  SELECT person_id INTO a FROM gateway.identities
   WHERE value = p_account AND kind = p_id_kind AND scope = p_id_scope AND retired_at IS NULL;
  SELECT person_id INTO h FROM gateway.identities
   WHERE value = p_phone_key::text AND kind = 'phone' AND scope = p_phone_scope AND retired_at IS NULL;
  IF h <> a OR (a IS NULL AND h IS NOT NULL AND p_account IS NOT NULL) THEN
    IF EXISTS (SELECT FROM gateway.identities WHERE person_id = h AND kind = p_id_kind AND scope = p_id_scope
                  AND value <> p_account AND retired_at IS NULL)
       OR (a IS NOT NULL AND gateway.has_history(a) AND gateway.has_history(h)) THEN
      h := NULL;
    END IF;
  END IF;
  RETURN array_remove(CASE WHEN a = h THEN ARRAY[a] ELSE ARRAY[a, h] END, NULL);
END $$;

-- The keys whose leases may be a sender's, and which of them: those learnt from one moment on and before another. Of a
-- number that changed hands, what was learnt since the last other person left it is the present holder's, and what was
-- learnt before somebody left, and since the one before them left, is theirs. Routing.Reach says the same of the table.
CREATE OR REPLACE FUNCTION gateway.sender_reach(p_phone_scope text, p_phone_key bigint, p_people uuid[])
RETURNS TABLE (key bigint, learnt_from timestamptz, learnt_before timestamptz) LANGUAGE sql STABLE AS $$
  SELECT p_phone_key, (
           SELECT max(d.retired_at) FROM gateway.identities d
            WHERE d.value = p_phone_key::text AND d.kind = 'phone' AND d.scope = p_phone_scope
              AND d.retired_reason = 'number_change' AND d.person_id <> ALL (p_people)), NULL::timestamptz
   WHERE p_phone_key IS NOT NULL
  UNION ALL
  SELECT k.phone_key, (
           SELECT max(d.retired_at) FROM gateway.identities d
            WHERE d.value = k.value AND d.kind = 'phone' AND d.scope = p_phone_scope
              AND d.retired_reason = 'number_change' AND d.person_id <> k.person_id
              AND (k.until IS NULL OR d.retired_at <= k.until)), k.until
    FROM (SELECT i.person_id, i.value, i.phone_key,
                 CASE WHEN NOT bool_or(i.retired_at IS NULL) THEN max(i.retired_at) END AS until
            FROM gateway.identities i
           WHERE i.person_id = ANY (p_people) AND i.kind = 'phone' AND i.scope = p_phone_scope
             AND (i.retired_at IS NULL OR i.retired_reason = 'number_change')
             AND i.phone_key IS DISTINCT FROM p_phone_key
           GROUP BY 1, 2, 3) k
$$;

-- All routes a sender has now, aliases and earlier numbers included.
CREATE OR REPLACE FUNCTION gateway.sender_routes(
  p_n integer[], p_endpoint uuid[], p_phone_key bigint[], p_account text[])
RETURNS TABLE (n integer, phone_key bigint, landlord_id uuid, tenant_id uuid, lease_id uuid, property_id uuid,
               valid_from date, valid_until date, is_active boolean, learnt_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT u.n, r.phone_key, r.landlord_id, r.tenant_id, r.lease_id, r.property_id, r.valid_from,
         r.valid_until, r.lease_status = 'active', r.learnt_at
    FROM unnest(p_n, p_endpoint, p_phone_key, p_account) AS u(n, endpoint_id, pk, account)
    JOIN gateway.endpoints e ON e.id = u.endpoint_id
   CROSS JOIN LATERAL gateway.sender_reach(e.phone_scope, u.pk,
                gateway.sender_people(e.phone_scope, u.pk, e.id_kind, e.id_scope, u.account)) k
   CROSS JOIN LATERAL (SELECT * FROM gateway.routes x WHERE x.phone_key = k.key OFFSET 0) r
   WHERE (k.learnt_from IS NULL OR r.learnt_at >= k.learnt_from)
     AND (k.learnt_before IS NULL OR r.learnt_at < k.learnt_before)
$$;

-- Whether a lease filed under a key and learnt at a moment may be a sender's.
CREATE OR REPLACE FUNCTION gateway.reaches_lease(
  p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text, p_account text, p_key bigint,
  p_learnt timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM gateway.sender_reach(p_phone_scope, p_phone_key,
             gateway.sender_people(p_phone_scope, p_phone_key, p_id_kind, p_id_scope, p_account)) k
     WHERE k.key = p_key AND (k.learnt_from IS NULL OR p_learnt >= k.learnt_from)
       AND (k.learnt_before IS NULL OR p_learnt < k.learnt_before))
$$;

-- As before (0006), for the sender's people alone: a number that was recycled, or is in conflict with the account id,
-- does not lead into its person's threads.
CREATE OR REPLACE FUNCTION gateway.ladder_lookup(
  p_n integer[], p_endpoint uuid[], p_phone_key bigint[], p_account text[], p_quoted text[])
RETURNS TABLE (n integer, is_quoted boolean, conversation_id uuid, landlord_id uuid, tenant_id uuid, property_id uuid,
               last_message_at timestamptz, last_outbound_at timestamptz)
LANGUAGE sql STABLE AS $$
  WITH u AS MATERIALIZED (
    SELECT u.*, e.channel, gateway.sender_people(e.phone_scope, u.pk, e.id_kind, e.id_scope, u.account) AS people
      FROM unnest(p_n, p_endpoint, p_phone_key, p_account, p_quoted) AS u(n, endpoint_id, pk, account, quoted)
      JOIN gateway.endpoints e ON e.id = u.endpoint_id),
  quote AS MATERIALIZED (
    SELECT u.n, m.conversation_id AS id FROM u
     CROSS JOIN LATERAL (SELECT * FROM gateway.message_ids x
                          WHERE x.key = gateway.message_key(u.endpoint_id, u.quoted) LIMIT 1) x
     CROSS JOIN LATERAL (SELECT y.conversation_id FROM gateway.whatsapp_messages y
                          WHERE y.sent_at = x.sent_at AND y.id = x.message_id LIMIT 1) m
     WHERE u.quoted IS NOT NULL)
  SELECT u.n, q.id IS NOT NULL, c.id, c.landlord_id, c.tenant_id, c.property_id, c.last_message_at, c.last_outbound_at
    FROM u CROSS JOIN LATERAL unnest(u.people) w(person_id)      -- LATERAL: an index probe a row
   CROSS JOIN LATERAL (SELECT * FROM gateway.whatsapp_conversations x
                        WHERE x.person_id = w.person_id AND x.channel = u.channel OFFSET 0) c
    LEFT JOIN quote q ON q.n = u.n AND q.id = c.id
   WHERE q.id IS NOT NULL
      OR (c.status <> 'blocked' AND (SELECT gateway.setting('conversation_outlives_lease')::boolean))
$$;

-- The end of a recording statement whose senders were not all known, or whose messages have a person and no thread yet:
-- what was learnt about numbers shows in all of a person's threads, and nobody was absorbed meanwhile. How many threads
-- show another number, and whether the routing feed has news of identities.
CREATE OR REPLACE FUNCTION gateway.after_recording(p_resolved uuid[], p_waiting uuid[])
RETURNS TABLE (renumbered integer, is_news boolean) LANGUAGE plpgsql AS $$
BEGIN
  IF p_waiting IS NOT NULL THEN PERFORM gateway.hold_people(p_waiting); END IF;
  RETURN QUERY SELECT CASE WHEN p_resolved IS NULL THEN 0 ELSE gateway.show_numbers(p_resolved) END,
    EXISTS (SELECT FROM gateway.route_changes WHERE xid = pg_current_xact_id() AND kind = 'i');
END $$;

-- The state of sessions as their server tells it. Only forward in time; of two told of one moment the later in a
-- session's life stands, so that any order and repetition ends the same. What an administrator moved stays as it is.
CREATE OR REPLACE FUNCTION gateway.apply_sessions(
  p_endpoint uuid[], p_state text[], p_at timestamptz[], p_phone bigint[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  n integer;
  ranks CONSTANT text[] := '{connecting,qr,disconnected,connected,expired,logged_out,banned}';
BEGIN
  WITH u AS (
    SELECT DISTINCT ON (x.endpoint) x.endpoint, x.state, least(x.at, now()) AS at, x.phone
      FROM unnest(p_endpoint, p_state, p_at, p_phone) AS x(endpoint, state, at, phone)
     ORDER BY x.endpoint, least(x.at, now()) DESC, array_position(ranks, x.state) DESC)
  UPDATE gateway.endpoints e
     SET status = CASE e.status WHEN 'migrated_to_centralized' THEN e.status ELSE u.state END,
         phone = coalesce(u.phone, e.phone), last_seen_at = u.at, updated_at = now()
    FROM u WHERE e.id = u.endpoint
     AND (e.last_seen_at IS NULL OR e.last_seen_at < u.at
       OR (e.last_seen_at = u.at AND array_position(ranks, u.state) > coalesce(array_position(ranks, e.status), 0)));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Of the leases with one landlord under one number, the one that speaks for all: it runs, or else may be in its days of
-- grace; the older one, then the smaller tenant id, then the smaller lease id. CandidateList chooses the same.
CREATE OR REPLACE FUNCTION gateway.speaking_lease(p_landlord uuid, p_phone_key bigint) RETURNS gateway.routes
LANGUAGE sql STABLE AS $$
  SELECT r FROM gateway.routes r
   CROSS JOIN LATERAL (
     SELECT r.lease_status = 'active' AND coalesce(current_date <= r.valid_until, true) AS runs,
            current_date <= r.valid_until + gateway.setting('lease_grace_days')::integer AS in_grace) s
   WHERE r.phone_key = p_phone_key AND r.landlord_id = p_landlord AND coalesce(r.valid_from <= current_date, true)
     AND (s.runs OR s.in_grace)
   ORDER BY s.runs DESC, r.valid_from NULLS FIRST, r.tenant_id, r.lease_id LIMIT 1
$$;

-- A landlord who writes first to a tenant. People who share a phone at one landlord have one thread, which is that of
-- the lease that speaks for them: where their messages go.
CREATE OR REPLACE FUNCTION gateway.open_conversation(p_landlord uuid, p_tenant uuid, p_endpoint uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  r gateway.routes;
  s gateway.routes;
  e gateway.endpoints;
  person uuid;
  c uuid;
BEGIN
  SELECT * INTO r FROM gateway.routes WHERE landlord_id = p_landlord AND tenant_id = p_tenant
   ORDER BY valid_from DESC NULLS LAST LIMIT 1;
  SELECT * INTO e FROM gateway.endpoints WHERE id = p_endpoint AND (scope = 'platform' OR owner_id = p_landlord);
  IF r.tenant_id IS NULL OR e.id IS NULL THEN
    RAISE EXCEPTION 'no route or no endpoint for this landlord' USING ERRCODE = 'ZR006';
  END IF;
  s := gateway.speaking_lease(p_landlord, r.phone_key);
  IF s.tenant_id IS NOT NULL AND s.tenant_id <> p_tenant THEN r := s; END IF;
  SELECT person_id INTO person FROM gateway.resolve_people(ARRAY[r.tenant_id], '{phone}', ARRAY[e.phone_scope],
    ARRAY[r.phone_key::text], ARRAY[r.tenant_phone], ARRAY[now()], 'landlord');
  INSERT INTO gateway.whatsapp_conversations
      (landlord_id, tenant_id, person_id, endpoint_id, channel, tenant_phone, phone_key, property_id, lease_id)
    VALUES (p_landlord, r.tenant_id, person, e.id, e.channel, r.tenant_phone, r.phone_key, r.property_id, r.lease_id)
    ON CONFLICT (landlord_id, channel, person_id, tenant_id) DO UPDATE SET updated_at = now() RETURNING id INTO c;
  RETURN c;
END $$;

-- Whether nothing refers to a person but identities that were not seen for long and say nothing of a lease.
CREATE OR REPLACE FUNCTION gateway.is_unused(p_person uuid, p_old timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (SELECT FROM gateway.identities i WHERE i.person_id = p_person
                        AND (greatest(i.last_seen, i.retired_at) >= p_old OR i.retired_reason = 'number_change'))
     AND NOT EXISTS (SELECT FROM gateway.whatsapp_conversations WHERE person_id = p_person)
     AND NOT EXISTS (SELECT FROM gateway.whatsapp_messages WHERE person_id = p_person AND conversation_id IS NULL)
     AND NOT EXISTS (SELECT FROM gateway.consent_events WHERE person_id = p_person)
     AND NOT EXISTS (SELECT FROM gateway.questions WHERE person_id = p_person)
     AND NOT EXISTS (SELECT FROM gateway.outbox WHERE person_id = p_person)
     AND NOT EXISTS (SELECT FROM gateway.outbox_dead WHERE person_id = p_person)
     AND NOT EXISTS (SELECT FROM gateway.people WHERE merged_into = p_person)
     AND NOT EXISTS (SELECT FROM gateway.identity_conflicts WHERE p_person IN (person_a, person_b))
$$;

-- Identities nobody has any more go after a while, a number somebody left only once no lease is filed under it that was
-- learnt before: until then it says whose that lease is. People go of whom nothing is left but their identities: no
-- thread, message, consent, job, open question or conflict, and nobody absorbed by them. They lose nothing: when
-- they write again they are known anew. How many identities and people went; at most so many people.
CREATE OR REPLACE FUNCTION gateway.prune_people(p_limit integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  old timestamptz := now() - make_interval(days => gateway.setting('identities_retention_days')::integer);
  ids uuid[];
  identities bigint;
  people bigint;
BEGIN
  WITH gone AS (
    DELETE FROM gateway.identities i WHERE i.retired_at < old AND (i.retired_reason <> 'number_change' OR NOT EXISTS (
      SELECT FROM gateway.routes r WHERE r.phone_key = i.phone_key AND r.learnt_at < i.retired_at))
    RETURNING i.*),
  logged AS (
    INSERT INTO gateway.route_changes (kind, id_kind, id_scope, id_value)
      SELECT 'i', g.kind, g.scope, g.value FROM gone g WHERE g.retired_reason = 'number_change'
      UNION
      SELECT 'i', i.kind, i.scope, i.value FROM gone g JOIN gateway.identities i USING (person_id)
       WHERE g.retired_reason = 'number_change' AND i.kind <> 'username')
  SELECT count(*) INTO identities FROM gone;
  DELETE FROM gateway.identity_conflicts WHERE status <> 'open' AND closed_at < old;
  DELETE FROM gateway.questions WHERE status <> 'open' AND asked_at < old;
  -- locked first, and looked at again under the lock: somebody may just be writing
  ids := ARRAY(SELECT p.id FROM gateway.people p WHERE p.created_at < old AND gateway.is_unused(p.id, old)
                ORDER BY p.id LIMIT p_limit FOR UPDATE SKIP LOCKED);
  ids := ARRAY(SELECT id FROM unnest(ids) id WHERE gateway.is_unused(id, old));
  WITH gone AS (DELETE FROM gateway.identities WHERE person_id = ANY (ids) RETURNING kind, scope, value, retired_at)
  INSERT INTO gateway.route_changes (kind, id_kind, id_scope, id_value)
    SELECT DISTINCT 'i'::"char", kind, scope, value FROM gone WHERE kind <> 'username';
  DELETE FROM gateway.people WHERE id = ANY (ids);
  GET DIAGNOSTICS people = ROW_COUNT;
  IF identities + people > 0 THEN PERFORM gateway.notify_routes(); END IF;
  RETURN identities + people;
END $$;

SELECT gateway.guard_tables();
