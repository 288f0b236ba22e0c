-- 0019 departures: when somebody left a number is the provider's to say, nobody has two at once, and late news
-- contradicts nothing newer.

-- A person who is known to have left a value had left it by p_at, as the provider tells.
CREATE OR REPLACE FUNCTION gateway.correct_departure(
  p_person uuid, p_kind text, p_scope text, p_value text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE gateway.identities x SET retired_at = gateway.left_at(x.first_seen, p_at)
   WHERE x.person_id = p_person AND x.kind = p_kind AND x.scope = p_scope AND x.value = p_value
     AND x.retired_reason IN ('number_change', 'rotated') AND x.first_seen < p_at + interval '1 second'
     AND x.retired_at > gateway.left_at(x.first_seen, p_at);
  IF FOUND THEN PERFORM gateway.log_identities(p_person); END IF;
END $$;

-- As before (0011), and one person has one number and one account id of a kind at a time: where both had one, that
-- first seen later stands, and the other was left by then. Tags, priority and the answers that count come along.
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
  UPDATE gateway.identities x
     SET retired_at = gateway.left_at(x.first_seen, l.first_seen),
         retired_reason = CASE x.kind WHEN 'phone' THEN 'number_change' ELSE 'rotated' END
    FROM (SELECT DISTINCT ON (i.kind, i.scope) i.id, i.kind, i.scope, i.first_seen FROM gateway.identities i
           WHERE i.person_id = p_into AND i.retired_at IS NULL AND i.kind <> 'username'
           ORDER BY i.kind, i.scope, i.first_seen DESC, i.id DESC) l
   WHERE x.person_id = p_into AND x.retired_at IS NULL AND x.kind = l.kind AND x.scope = l.scope AND x.id <> l.id;
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
             last_outbound_at = greatest(last_outbound_at, c.last_outbound_at),
             tags = ARRAY(SELECT DISTINCT x FROM unnest(tags || c.tags) x ORDER BY x),
             priority = CASE WHEN 'high' IN (priority, c.priority) THEN 'high' ELSE priority END, updated_at = now()
       WHERE id = c.target;
      DELETE FROM gateway.whatsapp_conversations WHERE id = c.id;
    END IF;
  END LOOP;
  UPDATE gateway.whatsapp_messages SET person_id = p_into WHERE person_id = p_from AND conversation_id IS NULL;
  UPDATE gateway.questions q SET status = 'cancelled' WHERE q.person_id = p_from AND q.status = 'open'
     AND EXISTS (SELECT FROM gateway.questions o WHERE o.person_id = p_into AND o.endpoint_id = q.endpoint_id
                    AND o.status = 'open');
  UPDATE gateway.questions SET person_id = p_into WHERE person_id = p_from;
  UPDATE gateway.rule_actions SET person_id = p_into WHERE person_id = p_from AND outcome = 'queued';
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

-- A number was somebody's at p_at, and until they were first seen with another one; else another account id showed it
-- since. Nothing where more is known of it.
CREATE OR REPLACE FUNCTION gateway.note_past_number(
  p_person uuid, p_scope text, p_value text, p_dial bigint, p_at timestamptz, p_source text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  left_by timestamptz;
BEGIN
  IF EXISTS (
       SELECT FROM gateway.identities x WHERE x.person_id = p_person AND x.kind = 'phone' AND x.scope = p_scope
          AND x.value = p_value AND x.retired_reason IN ('number_change', 'recycled')) THEN
    RETURN;
  END IF;
  SELECT min(x.first_seen) INTO left_by FROM gateway.identities x
   WHERE x.person_id = p_person AND x.kind = 'phone' AND x.scope = p_scope AND x.retired_at IS NULL
     AND x.first_seen > p_at;
  INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source, retired_at,
      retired_reason)
    VALUES ('phone', p_scope, p_value, p_person, p_dial, p_at, p_at, p_source,
            gateway.left_at(p_at, coalesce(left_by, p_at)),
            CASE WHEN left_by IS NULL THEN 'recycled' ELSE 'number_change' END);
  PERFORM gateway.log_identities(p_person);
END $$;

-- As before (0011), but late news contradicts nothing newer. Of a number and an account id that have parted since, a
-- message is the account's, and teaches that the number was theirs. One under an account id that somebody gave up for
-- another teaches no more than that; one under a number alone that was theirs (0016), nothing.
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
  former uuid;
  past_scope text;
  past text;
  past_dial bigint;
  n integer := array_position(p_kind, 'phone');
  a integer := (SELECT min(i) FROM generate_subscripts(p_kind, 1) i
                 WHERE p_kind[i] IN ('bsuid', 'lid', 'igsid', 'psid'));
BEGIN
  SELECT (array_agg(x.person_id) FILTER (WHERE x.kind = 'phone'))[1],
         (array_agg(x.person_id) FILTER (WHERE x.kind NOT IN ('phone', 'parent_bsuid')))[1],
         (array_agg(x.person_id) FILTER (WHERE x.kind = 'parent_bsuid'))[1]
    INTO by_phone, by_id, by_parent
    FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
    JOIN gateway.identities x ON x.kind = u.kind AND x.scope = u.scope AND x.value = u.value
     AND x.retired_at IS NULL
   WHERE u.kind <> 'username';
  IF by_id IS NULL THEN former := gateway.former_holder(p_kind[a], p_scope[a], p_value[a]); END IF;
  IF n IS NOT NULL AND a IS NOT NULL AND gateway.parted_by(
       p_scope[n], p_value[n], p_kind[a], p_scope[a], p_value[a], by_phone, coalesce(by_id, former), p_at) IS NOT NULL
  THEN
    past_scope := p_scope[n];
    past := p_value[n];
    past_dial := p_dial[n];
    p_scope := p_scope[:n - 1] || p_scope[n + 1:];
    p_value := p_value[:n - 1] || p_value[n + 1:];
    p_dial := p_dial[:n - 1] || p_dial[n + 1:];
    p_kind := p_kind[:n - 1] || p_kind[n + 1:];
    by_phone := NULL;
  END IF;
  IF former IS NOT NULL THEN
    IF past IS NOT NULL THEN
      PERFORM gateway.note_past_number(former, past_scope, past, past_dial, p_at, p_source);
    END IF;
    RETURN;
  END IF;
  IF a IS NULL AND by_phone IS NULL AND gateway.number_holder_at(p_scope[n], p_value[n], p_at) IS NOT NULL THEN
    RETURN;
  END IF;
  -- The number's person shows another live account id of this kind and scope. An account id does not change while
  -- the number stays, so another human holds the number now.
  rival := by_phone IS NOT NULL AND by_phone IS DISTINCT FROM by_id AND EXISTS (
    SELECT FROM unnest(p_kind, p_scope, p_value) u(kind, scope, value)
      JOIN gateway.identities x ON x.person_id = by_phone AND x.kind = u.kind AND x.scope = u.scope
     WHERE u.kind IN ('bsuid', 'lid', 'igsid', 'psid') AND x.value <> u.value AND x.retired_at IS NULL);
  IF rival THEN
    UPDATE gateway.identities SET retired_at = gateway.left_at(first_seen, p_at), retired_reason = 'recycled'
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
  IF past IS NOT NULL THEN
    PERFORM gateway.note_past_number(person, past_scope, past, past_dial, p_at, p_source);
  END IF;
  IF changed THEN PERFORM gateway.log_identities(person); END IF;
END $$;

-- As before (0011), and an account id that somebody gave up for another is known, and theirs. So is a number
-- alone that was somebody's, whoever shows it in the same batch.
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
    SELECT u.rid, bool_or(x.id IS NOT NULL OR gateway.former_holder(u.kind, u.scope, u.value) IS NOT NULL
             OR u.kind = 'phone' AND gateway.number_holder_at(u.scope, u.value, u.at) IS NOT NULL) AS known,
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
    SELECT u.rid, (array_agg(x.person ORDER BY (u.kind = 'parent_bsuid'), (u.kind = 'phone')))[1],
           count(DISTINCT x.person) FILTER (WHERE u.kind <> 'parent_bsuid') > 1
      FROM (SELECT *, bool_and(t.kind IN ('phone', 'parent_bsuid', 'username')) OVER (PARTITION BY t.rid) AS is_alone
              FROM unnest(p_row, p_kind, p_scope, p_value, p_at) AS t(rid, kind, scope, value, at)) u
     CROSS JOIN LATERAL (
       SELECT coalesce(
         CASE WHEN u.kind = 'phone' AND u.is_alone THEN gateway.number_holder_at(u.scope, u.value, u.at) END,
         (SELECT i.person_id FROM gateway.identities i WHERE i.kind = u.kind AND i.scope = u.scope
             AND i.value = u.value AND i.retired_at IS NULL),
         gateway.former_holder(u.kind, u.scope, u.value)) AS person) x
     WHERE u.kind <> 'username' AND x.person IS NOT NULL GROUP BY u.rid;
END $$;

-- As before (0015), and the provider's word corrects when somebody left a value, where another value of theirs had
-- shown it first. What was written under the old one in between is about its next holder.
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
    PERFORM gateway.correct_departure(q, p_kind, p_scope, p_old, p_at);
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
    IF FOUND THEN
      PERFORM gateway.correct_departure(p, p_kind, p_scope, p_old, p_at);
      RETURN p;
    END IF;
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

SELECT gateway.guard_tables();
