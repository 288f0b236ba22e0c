-- 0025 late notices: a notice that comes after one of a later move.

-- As before (0023), and the row of the notice itself is no sign that who left was in a thread before.
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
                        AND m.direction = 'incoming' AND m.message_type <> 'system'
                        AND m.sent_at < p_at + interval '1 second');
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

-- As before (0023), and a value that somebody has left since, as the provider told, is nobody's by an older notice: of who
-- came to it then it is known that they have left it, too.
CREATE OR REPLACE FUNCTION gateway.change_identity(
  p_kind text, p_scope text, p_old text, p_new text, p_at timestamptz, p_source text DEFAULT 'webhook',
  p_dial bigint DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  p uuid;
  q uuid;
  further uuid;
  next_holder uuid;
  gone timestamptz;
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
  ELSE
    -- Whoever had the new value has left it since, whoever that was taken for; who has it now is its next holder.
    SELECT min(x.retired_at) INTO gone FROM gateway.identities x
     WHERE x.kind = p_kind AND x.scope = p_scope AND x.value = p_new AND x.retired_reason = why AND x.is_told
       AND x.retired_at > p_at + interval '1 second';
    IF EXISTS (SELECT FROM gateway.identities WHERE kind = p_kind AND scope = p_scope AND value = p_new
                  AND retired_at IS NULL AND first_seen >= gone) THEN
      q := NULL;
    END IF;
    IF p IS NULL AND q IS NULL THEN
      p := gateway.uuid7();
      INSERT INTO gateway.people (id, realm) VALUES (p, gateway.realm_of(p_kind, p_scope));
    END IF;
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
    INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source, retired_at,
        retired_reason, is_told)
      VALUES (p_kind, p_scope, p_new, p, p_dial, p_at, p_at, p_source, gone,
              CASE WHEN gone IS NOT NULL THEN why END, gone IS NOT NULL);
  END IF;
  IF p_kind = 'phone' THEN PERFORM gateway.show_numbers(array_remove(ARRAY[p, next_holder], NULL)); END IF;
  PERFORM gateway.log_identities(p);
  RETURN p;
END $$;

SELECT gateway.guard_tables();
