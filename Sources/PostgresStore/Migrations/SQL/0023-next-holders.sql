-- 0023 next holders: what becomes known only when two are one, or when a notice comes late, of a number's next holder.

-- Whether the provider told when a number was left; else it is known only by when another one showed.
ALTER TABLE gateway.identities ADD COLUMN IF NOT EXISTS is_told boolean NOT NULL DEFAULT false;

-- As before (0016), and of somebody who left it as the provider told it is theirs until then: a message that comes late is
-- not their next holder's.
CREATE OR REPLACE FUNCTION gateway.number_holder_at(p_scope text, p_value text, p_at timestamptz) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN x.first_seen >= p_at OR x.is_told AND x.retired_at > p_at THEN x.person_id END
    FROM gateway.identities x
   WHERE x.value = p_value AND x.kind = 'phone' AND x.scope = p_scope AND x.retired_at IS NOT NULL
     AND x.retired_reason IN ('number_change', 'recycled') AND (x.retired_at > p_at OR x.first_seen >= p_at)
   ORDER BY x.retired_at, x.id LIMIT 1
$$;

-- As before (0019), and what the provider told is known as such.
CREATE OR REPLACE FUNCTION gateway.correct_departure(
  p_person uuid, p_kind text, p_scope text, p_value text, p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE gateway.identities x SET retired_at = gateway.left_at(x.first_seen, p_at), is_told = true
   WHERE x.person_id = p_person AND x.kind = p_kind AND x.scope = p_scope AND x.value = p_value
     AND x.retired_reason IN ('number_change', 'rotated') AND x.first_seen < p_at + interval '1 second'
     AND x.retired_at > gateway.left_at(x.first_seen, p_at);
  IF FOUND THEN PERFORM gateway.log_identities(p_person); END IF;
END $$;

-- As before (0018), and of a number that two had who are one by what is shown now, the one seen later stands: the other
-- was left by then, as absorb_person() writes it down.
CREATE OR REPLACE FUNCTION gateway.sender_reach(
  p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text, p_account text, p_sent_at timestamptz)
RETURNS TABLE (key bigint, learnt_from timestamptz, learnt_before timestamptz) LANGUAGE sql STABLE AS $$
  WITH s AS MATERIALIZED (
    SELECT gateway.sender_people(p_phone_scope, p_phone_key, p_id_kind, p_id_scope, p_account, p_sent_at) AS people,
           gateway.parted_by(p_phone_scope, p_phone_key::text, p_id_kind, p_id_scope, p_account, (
               SELECT person_id FROM gateway.identities
                WHERE value = p_phone_key::text AND kind = 'phone' AND scope = p_phone_scope AND retired_at IS NULL),
             coalesce((
               SELECT person_id FROM gateway.identities
                WHERE value = p_account AND kind = p_id_kind AND scope = p_id_scope AND retired_at IS NULL),
               gateway.former_holder(p_id_kind, p_id_scope, p_account)), p_sent_at) AS left_by)
  SELECT p_phone_key, (
           SELECT max(d.retired_at) FROM gateway.identities d
            WHERE d.value = p_phone_key::text AND d.kind = 'phone' AND d.scope = p_phone_scope
              AND d.retired_reason = 'number_change' AND d.person_id <> ALL (s.people)
              AND (s.left_by IS NULL OR d.retired_at <= s.left_by)), s.left_by
    FROM s
   WHERE p_phone_key IS NOT NULL AND NOT EXISTS (
     SELECT FROM gateway.identities d
      WHERE d.value = p_phone_key::text AND d.kind = 'phone' AND d.scope = p_phone_scope
        AND d.retired_at IS NOT NULL AND d.retired_reason IN ('number_change', 'recycled')
        AND d.person_id = ANY (s.people) AND NOT EXISTS (
        SELECT FROM gateway.identities h WHERE h.value = d.value AND h.kind = 'phone' AND h.scope = d.scope
           AND h.retired_at IS NULL AND h.person_id = d.person_id))
  UNION ALL
  SELECT k.phone_key, (
           SELECT max(d.retired_at) FROM gateway.identities d
            WHERE d.value = k.value AND d.kind = 'phone' AND d.scope = p_phone_scope
              AND d.retired_reason = 'number_change' AND d.person_id <> k.person_id
              AND (k.until IS NULL OR d.retired_at <= k.until)),
         CASE WHEN k.phone_key <> p_phone_key AND p_sent_at IS NOT NULL
              THEN least(k.until, greatest(p_sent_at + interval '1 second', (
                     SELECT h.first_seen FROM gateway.identities h
                      WHERE h.value = k.value AND h.kind = 'phone' AND h.scope = p_phone_scope
                        AND h.retired_at IS NULL)), (
                     SELECT gateway.left_at(k.since, n.first_seen) FROM gateway.identities n
                      WHERE n.value = p_phone_key::text AND n.kind = 'phone' AND n.scope = p_phone_scope
                        AND n.retired_at IS NULL AND n.person_id = ANY (s.people) AND n.first_seen > k.since))
              ELSE k.until END
    FROM s CROSS JOIN LATERAL (
          SELECT i.person_id, i.value, i.phone_key,
                 CASE WHEN NOT bool_or(i.retired_at IS NULL) THEN
                   coalesce(max(i.retired_at) FILTER (WHERE i.retired_reason = 'number_change'), max(i.first_seen)) END
                   AS until,
                 max(i.first_seen) FILTER (WHERE i.retired_at IS NULL) AS since
            FROM gateway.identities i
           WHERE i.person_id = ANY (s.people) AND i.kind = 'phone' AND i.scope = p_phone_scope
             AND (i.retired_at IS NULL OR i.retired_reason = 'number_change'
               OR i.retired_reason = 'recycled' AND i.phone_key = p_phone_key)
           GROUP BY 1, 2, 3
          HAVING i.phone_key IS DISTINCT FROM p_phone_key OR NOT bool_or(i.retired_at IS NULL)) k
$$;

-- Somebody left a number at p_at, and account ids that they are known by were first shown after that: with the number,
-- or they would not be theirs. So these are its next holder's, and the number; and so is what came from them since then:
-- what is nobody's or held, and threads in which nobody wrote before. Ids of somebody who had one by then may have changed
-- into each other, and what a status tells may be about a message from before: these stay. One that a notice gave to somebody
-- else counts for nothing. Who the next holder is.
CREATE OR REPLACE FUNCTION gateway.part_next_holder(p_person uuid, p_scope text, p_value text, p_at timestamptz)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  next_holder uuid;
  scopes text[];
  since timestamptz;
BEGIN
  SELECT array_agg(g.scope), min(g.since) INTO scopes, since FROM (
    SELECT x.scope, min(x.first_seen) AS since FROM gateway.identities x
     WHERE x.person_id = p_person AND x.kind IN ('bsuid', 'lid', 'igsid', 'psid')
       AND x.retired_reason IS DISTINCT FROM 'repointed' GROUP BY x.scope
    HAVING min(x.first_seen) >= p_at + interval '1 second' AND bool_or(x.retired_at IS NULL)
       AND bool_and(x.source <> 'status')) g;
  IF scopes IS NULL THEN RETURN NULL; END IF;
  next_holder := gateway.uuid7();
  INSERT INTO gateway.people (id, realm) SELECT next_holder, x.realm FROM gateway.people x WHERE x.id = p_person;
  UPDATE gateway.identities x SET person_id = next_holder
   WHERE x.person_id = p_person AND x.kind <> 'phone' AND x.scope = ANY (scopes)
     AND x.first_seen >= p_at + interval '1 second' AND x.retired_reason IS DISTINCT FROM 'repointed';
  INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source)
    SELECT x.kind, x.scope, x.value, next_holder, x.dial, since, greatest(x.last_seen, since), x.source
      FROM gateway.identities x
     WHERE x.person_id = p_person AND x.kind = 'phone' AND x.scope = p_scope AND x.value = p_value
     ORDER BY x.id DESC LIMIT 1;
  UPDATE gateway.whatsapp_conversations c SET person_id = next_holder, updated_at = now()
   WHERE c.person_id = p_person AND c.created_at >= p_at
     AND EXISTS (SELECT FROM gateway.whatsapp_messages m WHERE m.conversation_id = c.id AND m.direction = 'incoming')
     AND NOT EXISTS (SELECT FROM gateway.whatsapp_messages m WHERE m.conversation_id = c.id
                        AND m.direction = 'incoming' AND m.sent_at < p_at + interval '1 second');
  UPDATE gateway.whatsapp_messages SET person_id = next_holder
   WHERE person_id = p_person AND conversation_id IS NULL AND direction = 'incoming'
     AND sent_at >= p_at + interval '1 second';
  -- What they were asked about waits no more.
  UPDATE gateway.questions q SET status = 'cancelled' WHERE q.person_id = p_person AND q.status = 'open'
     AND NOT EXISTS (SELECT FROM gateway.whatsapp_messages m WHERE m.person_id = p_person AND m.conversation_id IS NULL
                        AND m.endpoint_id = q.endpoint_id AND m.routing_status = 'ambiguous');
  PERFORM gateway.log_identities(next_holder);
  RETURN next_holder;
END $$;

-- As before (0019), and a notice that comes late tells which account ids are the number's next holder's.
CREATE OR REPLACE FUNCTION gateway.change_identity(
  p_kind text, p_scope text, p_old text, p_new text, p_at timestamptz, p_source text DEFAULT 'webhook',
  p_dial bigint DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  p uuid;
  q uuid;
  further uuid;
  next_holder uuid;
  has_left boolean := false;
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
    UPDATE gateway.identities x
       SET retired_at = gateway.left_at(x.first_seen, p_at), retired_reason = why, is_told = true
     WHERE kind = p_kind AND scope = p_scope AND value = p_old AND retired_at IS NULL AND person_id = p;
    has_left := FOUND;
  END IF;
  IF has_left AND p_kind = 'phone' THEN
    next_holder := gateway.part_next_holder(p, p_scope, p_old, p_at);
  ELSIF NOT has_left THEN                            -- never seen: noted, so that routes under the old value follow
    p := coalesce(p, q);
    INSERT INTO gateway.identities
        (kind, scope, value, person_id, first_seen, last_seen, source, retired_at, retired_reason, is_told)
      VALUES (p_kind, p_scope, p_old, p, p_at, p_at, p_source, gateway.left_at(p_at, p_at), why, true);
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
  IF p_kind = 'phone' THEN PERFORM gateway.show_numbers(array_remove(ARRAY[p, next_holder], NULL)); END IF;
  PERFORM gateway.log_identities(p);
  RETURN p;
END $$;

SELECT gateway.guard_tables();
