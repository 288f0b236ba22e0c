-- 0016 ladder: what the rungs need in one query, questions and their answers, what rules order.

-- Labels a rule gave a thread, and whether it is to be looked at first.
ALTER TABLE gateway.whatsapp_conversations
  ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT '{}',
  ADD COLUMN IF NOT EXISTS priority text NOT NULL DEFAULT 'normal';
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'whatsapp_conversations_priority_check') THEN
    ALTER TABLE gateway.whatsapp_conversations ADD CONSTRAINT whatsapp_conversations_priority_check
      CHECK (priority IN ('normal', 'high')) NOT VALID;
  END IF;
END $$;
GRANT UPDATE (priority) ON gateway.whatsapp_conversations TO authenticated;      -- who has looked puts it back

-- by_rule: in the thread, and withheld because a rule says so. Nothing ends that reason, so it is never released. Not
-- validated: what is stored already is among the words before.
DO $$
BEGIN
  ALTER DOMAIN gateway.routing_status DROP CONSTRAINT IF EXISTS routing_status_check;
  ALTER DOMAIN gateway.routing_status ADD CONSTRAINT routing_status_check
    CHECK (VALUE IN ('pending', 'delivered', 'failed', 'unknown_sender', 'ambiguous', 'opted_out', 'blocked',
                     'over_limit', 'by_rule')) NOT VALID;
END $$;

-- Who had an account id that nobody has any more. It is nobody else's for ever, as a number is not.
CREATE OR REPLACE FUNCTION gateway.former_holder(p_kind text, p_scope text, p_value text) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT x.person_id FROM gateway.identities x
   WHERE x.value = p_value AND x.kind = p_kind AND x.scope = p_scope AND x.retired_at IS NOT NULL
     AND x.retired_reason = 'rotated' AND p_kind NOT IN ('phone', 'parent_bsuid', 'username') LIMIT 1
$$;

-- Whose a number was at p_at, asked where it is shown without an account id and nobody has it any more: who was the first
-- to leave it since, if they were first seen with it since, too. Else it may have been their next holder's already, for
-- when somebody left a number is known only by when another one showed, unless the provider told.
CREATE OR REPLACE FUNCTION gateway.number_holder_at(p_scope text, p_value text, p_at timestamptz) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN x.first_seen >= p_at THEN x.person_id END FROM gateway.identities x
   WHERE x.value = p_value AND x.kind = 'phone' AND x.scope = p_scope AND x.retired_at IS NOT NULL
     AND x.retired_reason IN ('number_change', 'recycled') AND (x.retired_at > p_at OR x.first_seen >= p_at)
   ORDER BY x.retired_at, x.id LIMIT 1
$$;

-- By when whoever wrote under an account id at p_at had left the number they showed, where the two are known to have
-- parted since: the account's person has another number first seen later, or left this one later, or another account
-- id showed it later; or the number's holder has another account id, and was first seen with one of the two later.
-- Where nothing tells of a moment it is p_at itself. NULL: they have not parted as far as is known.
CREATE OR REPLACE FUNCTION gateway.parted_by(
  p_phone_scope text, p_phone text, p_id_kind text, p_id_scope text, p_account text, p_by_phone uuid, p_by_id uuid,
  p_at timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT coalesce((
           SELECT gateway.left_at(p_at, x.first_seen) FROM gateway.identities x
            WHERE x.person_id = p_by_id AND x.kind = 'phone' AND x.scope = p_phone_scope AND x.value <> p_phone
              AND x.retired_at IS NULL AND x.first_seen > p_at ORDER BY x.first_seen LIMIT 1), p_at)
   WHERE p_by_phone IS DISTINCT FROM p_by_id AND (EXISTS (
           SELECT FROM gateway.identities x WHERE x.person_id = p_by_id AND x.kind = 'phone' AND x.scope = p_phone_scope
              AND CASE WHEN x.value <> p_phone
                       THEN x.retired_at IS NULL AND x.first_seen >= p_at + interval '1 second'
                       ELSE x.retired_reason IN ('number_change', 'recycled') AND x.retired_at > p_at END)
      OR EXISTS (
           SELECT FROM gateway.identities x JOIN gateway.identities n ON n.person_id = x.person_id
            WHERE x.person_id = p_by_phone AND x.kind = p_id_kind AND x.scope = p_id_scope AND x.value <> p_account
              AND n.kind = 'phone' AND n.scope = p_phone_scope AND n.value = p_phone AND n.retired_at IS NULL
              AND x.retired_at IS NULL AND greatest(x.first_seen, n.first_seen) >= p_at + interval '1 second'))
$$;

-- Whose messages a sender's are. The account id decides, and without one the number; an account id that somebody gave
-- up for another is theirs, and a number alone that nobody has now is whose it was before (number_holder_at). Where
-- number and account id are known and apart, both count, unless the number was recycled (its person shows another
-- account id), the two have parted since the message was sent, or they are in conflict. link_identities() comes to the
-- same.
DROP FUNCTION IF EXISTS gateway.sender_people(text, bigint, text, text, text);
CREATE OR REPLACE FUNCTION gateway.sender_people(
  p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text, p_account text, p_sent_at timestamptz)
RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  a uuid;
  h uuid;
BEGIN
  SELECT person_id INTO a FROM gateway.identities
   WHERE value = p_account AND kind = p_id_kind AND scope = p_id_scope AND retired_at IS NULL;
  IF a IS NULL AND p_account IS NOT NULL THEN
    a := gateway.former_holder(p_id_kind, p_id_scope, p_account);
    IF a IS NOT NULL THEN RETURN ARRAY[a]; END IF;
  END IF;
  SELECT person_id INTO h FROM gateway.identities
   WHERE value = p_phone_key::text AND kind = 'phone' AND scope = p_phone_scope AND retired_at IS NULL;
  IF h IS NULL AND p_account IS NULL THEN
    h := gateway.number_holder_at(p_phone_scope, p_phone_key::text, p_sent_at);
  END IF;
  IF h <> a OR (a IS NULL AND h IS NOT NULL AND p_account IS NOT NULL) THEN
    IF EXISTS (SELECT FROM gateway.identities WHERE person_id = h AND kind = p_id_kind AND scope = p_id_scope
                  AND value <> p_account AND retired_at IS NULL)
       OR gateway.parted_by(p_phone_scope, p_phone_key::text, p_id_kind, p_id_scope, p_account, h, a, p_sent_at)
          IS NOT NULL
       OR (a IS NOT NULL AND gateway.has_history(a) AND gateway.has_history(h)) THEN
      h := NULL;
    END IF;
  END IF;
  RETURN array_remove(CASE WHEN a = h THEN ARRAY[a] ELSE ARRAY[a, h] END, NULL);
END $$;

-- Everything the ladder asks of the database, once a batch: for messages that quote something or tap an option, and for
-- senders without exactly one lease. Rows of threads: the sender's, and the quoted message's if it is theirs. A blocked
-- thread is found by a quote alone: what answers it belongs there, and is withheld there. Rows of choices: those of the
-- sender's open question, and of the one that was tapped.
DROP FUNCTION IF EXISTS gateway.ladder_lookup(integer[], uuid[], bigint[], text[], text[]);
CREATE OR REPLACE FUNCTION gateway.ladder_facts(
  p_n integer[], p_endpoint uuid[], p_phone_key bigint[], p_account text[], p_quoted text[], p_question uuid[],
  p_sent_at timestamptz[])
RETURNS TABLE (n integer, question_id uuid, is_open boolean, choice integer, is_quoted boolean, conversation_id uuid,
               landlord_id uuid, tenant_id uuid, property_id uuid, last_message_at timestamptz,
               last_outbound_at timestamptz, is_archived boolean, shown_property text, shown_landlord text)
LANGUAGE sql STABLE AS $$
  WITH u AS MATERIALIZED (
    SELECT u.*, e.channel,
           gateway.sender_people(e.phone_scope, u.pk, e.id_kind, e.id_scope, u.account, u.sent_at) AS people
      FROM unnest(p_n, p_endpoint, p_phone_key, p_account, p_quoted, p_question, p_sent_at)
        AS u(n, endpoint_id, pk, account, quoted, question, sent_at)
      JOIN gateway.endpoints e ON e.id = u.endpoint_id),
  quote AS MATERIALIZED (
    SELECT u.n, m.conversation_id AS id FROM u
     CROSS JOIN LATERAL (SELECT * FROM gateway.message_ids x
                          WHERE x.key = gateway.message_key(u.endpoint_id, u.quoted) LIMIT 1) x
     CROSS JOIN LATERAL (SELECT y.conversation_id FROM gateway.whatsapp_messages y
                          WHERE y.sent_at = x.sent_at AND y.id = x.message_id LIMIT 1) m
     WHERE u.quoted IS NOT NULL),
  asked AS MATERIALIZED (
    SELECT u.n, q.id, q.status, q.choices FROM u CROSS JOIN LATERAL unnest(u.people) w(person_id)
     CROSS JOIN LATERAL (SELECT * FROM gateway.questions x
                          WHERE x.endpoint_id = u.endpoint_id AND x.person_id = w.person_id AND x.status = 'open'
                          OFFSET 0) q
    UNION
    SELECT u.n, q.id, q.status, q.choices FROM u
     CROSS JOIN LATERAL (SELECT * FROM gateway.questions x WHERE x.id = u.question OFFSET 0) q
     WHERE u.question IS NOT NULL AND q.endpoint_id = u.endpoint_id AND q.person_id = ANY (u.people))
  SELECT u.n, NULL::uuid, NULL::boolean, NULL::integer, q.id IS NOT NULL, c.id, c.landlord_id, c.tenant_id,
         c.property_id, c.last_message_at, c.last_outbound_at, c.status = 'archived', NULL::text, NULL::text
    FROM u CROSS JOIN LATERAL unnest(u.people) w(person_id)      -- LATERAL: an index probe a row
   CROSS JOIN LATERAL (SELECT * FROM gateway.whatsapp_conversations x
                        WHERE x.person_id = w.person_id AND x.channel = u.channel OFFSET 0) c
    LEFT JOIN quote q ON q.n = u.n AND q.id = c.id
   WHERE q.id IS NOT NULL OR c.status <> 'blocked'
  UNION ALL
  SELECT a.n, a.id, a.status = 'open', x.ord::integer, NULL, (x.c ->> 'conversation')::uuid,
         (x.c ->> 'landlord')::uuid, NULL, NULL, NULL, NULL, NULL, x.c ->> 'shown_property', x.c ->> 'shown_landlord'
    FROM asked a CROSS JOIN LATERAL jsonb_array_elements(a.choices) WITH ORDINALITY AS x(c, ord)
$$;

-- choices: [{landlord, tenant, lease, conversation, property, shown_property, shown_landlord}], those that there are, in
-- the order shown. What cannot be shown as buttons or rows is a numbered list.
ALTER TABLE gateway.questions DROP CONSTRAINT IF EXISTS questions_choices_check;
ALTER TABLE gateway.questions ADD CONSTRAINT questions_choices_check
  CHECK (jsonb_array_length(choices) BETWEEN 1 AND 100);
CREATE INDEX IF NOT EXISTS questions_person_idx ON gateway.questions (person_id, endpoint_id);

-- What rules ordered, one row an action, with what came of it: the record of what was done because of a message, and the
-- list of what waits for somebody to take it up.
CREATE TABLE IF NOT EXISTS gateway.rule_actions (
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),     -- those of one batch keep their order
  message_id uuid NOT NULL,
  message_sent_at timestamptz NOT NULL,
  person_id uuid,
  landlord_id uuid,
  rule text NOT NULL,
  action text NOT NULL,
  value text,
  -- done; waiting for somebody; queued to be sent; failed, for good; suppressed, for a reason
  outcome text NOT NULL CHECK (outcome IN ('done', 'waiting', 'queued', 'failed', 'suppressed')),
  detail text,
  made_message_id uuid,                            -- the answer that was queued
  closed_at timestamptz,
  closed_by text);
CREATE INDEX IF NOT EXISTS rule_actions_message_idx ON gateway.rule_actions (message_id);
CREATE INDEX IF NOT EXISTS rule_actions_answers_idx ON gateway.rule_actions (person_id, at) WHERE outcome = 'queued';
CREATE INDEX IF NOT EXISTS rule_actions_waiting_idx ON gateway.rule_actions (at) WHERE outcome = 'waiting';
CREATE INDEX IF NOT EXISTS rule_actions_at_brin ON gateway.rule_actions USING brin (at);
INSERT INTO gateway.settings (key, value) VALUES
  ('rule_actions_retention_days', '180'),
  ('automatic_answers_per_hour', '5')              -- to one person, whatever the rules say
ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION gateway.prune_rule_actions() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM gateway.rule_actions WHERE outcome <> 'waiting' AND NOT (outcome = 'failed' AND closed_at IS NULL)
     AND at < now() - make_interval(days => gateway.setting('rule_actions_retention_days')::integer);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Moves a person's waiting messages into a thread, in order: the one way out of held and unclaimed. How many. Messages
-- from before p_since, or recorded before p_recorded_since, stay where they are, and so do those excepted. The tags and
-- the priority that rules gave them become the thread's. Who else was a candidate is nothing for the landlord to read.
DROP FUNCTION IF EXISTS gateway.attach_messages(uuid, uuid, uuid, uuid, uuid, text[], jsonb, timestamptz, uuid);
CREATE OR REPLACE FUNCTION gateway.attach_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_tenant uuid, p_property uuid, p_from text[], p_meta jsonb,
  p_since timestamptz DEFAULT '-infinity', p_lease uuid DEFAULT NULL,
  p_recorded_since timestamptz DEFAULT '-infinity', p_except uuid[] DEFAULT '{}')
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  withheld text;
  moved integer;
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.whatsapp_messages WHERE person_id = p_person AND conversation_id IS NULL
       AND endpoint_id = p_endpoint AND direction = 'incoming' AND routing_status = ANY (p_from)
       AND sent_at >= p_since AND recorded_at >= p_recorded_since AND id <> ALL (p_except)) THEN
    RETURN 0;
  END IF;
  -- a thread taken by hand becomes the tenant's, once there is a tenant
  UPDATE gateway.whatsapp_conversations w SET tenant_id = p_tenant
   WHERE w.landlord_id = p_landlord AND w.person_id = p_person AND w.tenant_id IS NULL AND p_tenant IS NOT NULL
     AND NOT EXISTS (SELECT FROM gateway.whatsapp_conversations o WHERE o.landlord_id = p_landlord
                        AND o.person_id = p_person AND o.channel = w.channel AND o.tenant_id = p_tenant);
  INSERT INTO gateway.whatsapp_conversations AS w
      (landlord_id, tenant_id, person_id, endpoint_id, channel, property_id, lease_id, tenant_phone, phone_key,
       last_message_at)
    SELECT p_landlord, p_tenant, p_person, e.id, e.channel, p_property, p_lease, i.dial, i.phone_key, '-infinity'
      FROM gateway.endpoints e
      LEFT JOIN gateway.identities i ON i.person_id = p_person AND i.kind = 'phone' AND i.retired_at IS NULL
     WHERE e.id = p_endpoint ORDER BY i.last_seen DESC LIMIT 1
    ON CONFLICT (landlord_id, channel, person_id, tenant_id) DO UPDATE SET
      property_id = coalesce(w.property_id, excluded.property_id), lease_id = coalesce(w.lease_id, excluded.lease_id),
      updated_at = now()
    RETURNING * INTO c;
  withheld := gateway.withheld_status(c.status,
    (SELECT whatsapp_enabled FROM gateway.route_landlords WHERE landlord_id = p_landlord));
  WITH m AS (
    UPDATE gateway.whatsapp_messages x SET conversation_id = c.id, landlord_id = p_landlord, tenant_id = p_tenant,
           property_id = p_property, person_id = NULL,
           routing_status = coalesce(withheld, CASE WHEN x.routing_metadata ? 'by_rule' THEN 'by_rule' END, 'delivered'),
           routing_metadata = (coalesce(x.routing_metadata, '{}') - 'candidates') || p_meta
             || CASE WHEN withheld IS NULL THEN '{}' ELSE jsonb_build_object('withheld', withheld) END
     WHERE x.person_id = p_person AND x.conversation_id IS NULL AND x.endpoint_id = p_endpoint
       AND x.direction = 'incoming' AND x.routing_status = ANY (p_from) AND x.sent_at >= p_since
       AND x.recorded_at >= p_recorded_since AND x.id <> ALL (p_except)
    RETURNING x.id, x.sent_at, x.body, x.routing_status, x.routing_metadata),
  files AS (
    UPDATE gateway.media f SET landlord_id = p_landlord FROM m
     WHERE f.message_sent_at = m.sent_at AND f.message_id = m.id),
  job AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
      SELECT 'landlord_forward', 'fwd:' || id, gateway.order_key('landlord_forward', c.id), p_landlord, id, sent_at,
             jsonb_build_object('text', body)
        FROM m WHERE routing_status = 'delivered' AND gateway.setting('forward_to_landlord')::boolean
       ORDER BY sent_at, id
      ON CONFLICT DO NOTHING)
  UPDATE gateway.whatsapp_conversations w
     SET unread_count = w.unread_count + CASE c.status WHEN 'blocked' THEN 0 ELSE x.n END,
         last_message_at = coalesce(greatest(nullif(w.last_message_at, '-infinity'), x.t), now()),
         last_inbound_at = greatest(w.last_inbound_at, least(x.t, now())), updated_at = now(),
         tags = ARRAY(SELECT DISTINCT t FROM (
                        SELECT unnest(w.tags) UNION ALL
                        SELECT jsonb_array_elements_text(m.routing_metadata -> 'tags') FROM m
                         WHERE jsonb_typeof(m.routing_metadata -> 'tags') = 'array') y(t) ORDER BY t),
         priority = CASE WHEN EXISTS (SELECT FROM m WHERE m.routing_metadata ->> 'priority' = 'high') THEN 'high'
                         ELSE w.priority END
    FROM (SELECT count(*)::integer AS n, max(sent_at) AS t FROM m) x WHERE w.id = c.id RETURNING x.n INTO moved;
  RETURN moved;
END $$;

-- Lets the oldest withheld messages of a thread go on, if nothing withholds them any more (0013); what a rule withheld as
-- well stays withheld by it.
CREATE OR REPLACE FUNCTION gateway.release_thread(p_conversation uuid, p_limit integer DEFAULT 500) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  n integer;
BEGIN
  SELECT * INTO c FROM gateway.whatsapp_conversations WHERE id = p_conversation FOR NO KEY UPDATE;
  IF NOT FOUND OR gateway.withheld_status(c.status,
       (SELECT whatsapp_enabled FROM gateway.route_landlords WHERE landlord_id = c.landlord_id)) IS NOT NULL THEN
    RETURN 0;
  END IF;
  WITH due AS MATERIALIZED (
    SELECT m.id, m.sent_at, m.routing_status::text AS reason FROM gateway.whatsapp_messages m
     WHERE m.routing_status IN ('opted_out', 'blocked') AND m.landlord_id = c.landlord_id AND m.conversation_id = c.id
     ORDER BY m.sent_at, m.id LIMIT p_limit),
  m AS (
    UPDATE gateway.whatsapp_messages w
       SET routing_status = CASE WHEN w.routing_metadata ? 'by_rule' THEN 'by_rule' ELSE 'delivered' END,
           routing_metadata = coalesce(w.routing_metadata, '{}')
             || jsonb_build_object('withheld', due.reason, 'released_at', now())
      FROM due WHERE w.sent_at = due.sent_at AND w.id = due.id
    RETURNING w.id, w.sent_at, w.body, due.reason, w.routing_status),
  job AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
      SELECT 'landlord_forward', 'fwd:' || id, gateway.order_key('landlord_forward', c.id), c.landlord_id, id, sent_at,
             jsonb_build_object('text', body)
        FROM m WHERE routing_status = 'delivered' AND gateway.setting('forward_to_landlord')::boolean
       ORDER BY sent_at, id
      ON CONFLICT DO NOTHING),
  counted AS (
    UPDATE gateway.whatsapp_conversations w SET unread_count = w.unread_count + x.n, updated_at = now()
      FROM (SELECT count(*)::integer AS n FROM m WHERE reason = 'blocked') x WHERE w.id = c.id)
  SELECT count(*) INTO n FROM m;
  RETURN n;
END $$;

-- Tags are few: what nobody can take in is no label.
CREATE OR REPLACE FUNCTION gateway.with_tag(p_tags text[], p_tag text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN p_tag = ANY (p_tags) OR cardinality(p_tags) >= 32 THEN p_tags
               ELSE ARRAY(SELECT t FROM unnest(p_tags || p_tag) t ORDER BY t) END $$;

-- Opens the question whom a held message is for, and queues it, unless one is open for this person already. The names
-- are those of the day. Whether it was opened.
CREATE OR REPLACE FUNCTION gateway.open_question(
  m gateway.whatsapp_messages, p_id uuid, p_text text, p_button text, p_hint text, p_seconds integer)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  chosen jsonb;
  made uuid := gateway.uuid7();
BEGIN
  SELECT jsonb_agg(jsonb_strip_nulls(c || jsonb_build_object(
           'shown_property', translate(r.property_address, E'\x1E\x1F', '  '),
           'shown_landlord', translate(l.landlord_name, E'\x1E\x1F', '  '))) ORDER BY n) INTO chosen
    FROM jsonb_array_elements(m.routing_metadata -> 'candidates') WITH ORDINALITY x(c, n)
    LEFT JOIN gateway.route_landlords l ON l.landlord_id = (c ->> 'landlord')::uuid
    LEFT JOIN LATERAL (
      SELECT y.property_address FROM gateway.routes y
       WHERE y.tenant_id = (c ->> 'tenant')::uuid AND y.landlord_id = (c ->> 'landlord')::uuid
       ORDER BY y.lease_id IS NOT DISTINCT FROM (c ->> 'lease')::uuid DESC,
                y.property_id IS NOT DISTINCT FROM (c ->> 'property')::uuid DESC, y.lease_id LIMIT 1) r ON true;
  IF chosen IS NULL THEN RETURN false; END IF;
  INSERT INTO gateway.questions (id, endpoint_id, person_id, choices, expires_at)
    VALUES (p_id, m.endpoint_id, m.person_id, chosen, now() + make_interval(secs => p_seconds))
    ON CONFLICT (endpoint_id, person_id) WHERE status = 'open' DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO gateway.whatsapp_messages (id, sent_at, endpoint_id, person_id, tenant_phone, channel, direction,
      message_type, body, status, routing_status, routing_metadata)
    VALUES (made, now(), m.endpoint_id, m.person_id, m.tenant_phone, m.channel, 'outgoing', 'interactive', p_text,
      'queued', 'delivered', jsonb_build_object('question', p_id));
  INSERT INTO gateway.outbox (kind, idempotency_key, endpoint_id, person_id, purpose, message_id, message_sent_at,
      payload)
    VALUES ('ask', 'msg:' || made, m.endpoint_id, m.person_id, 'service', made, now(),
      jsonb_build_object('question', p_id, 'text', p_text, 'button', p_button, 'hint', p_hint));
  RETURN true;
END $$;

-- A person's answer, filed already: what waits since they were asked follows it into its thread, except what came after
-- the answer. Whatever question of theirs is open is answered with it; a second answer finds nothing. How many.
CREATE OR REPLACE FUNCTION gateway.answer_question(
  m gateway.whatsapp_messages, p_question uuid, p_choice integer, p_except uuid[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  since timestamptz;
  moved integer := 0;
BEGIN
  SELECT * INTO c FROM gateway.whatsapp_conversations WHERE id = m.conversation_id;
  PERFORM 1 FROM gateway.questions WHERE id = p_question AND person_id = c.person_id AND endpoint_id = m.endpoint_id;
  IF c.id IS NULL OR NOT FOUND THEN RETURN 0; END IF;
  SELECT min(q.asked_at) INTO since FROM gateway.questions q
   WHERE q.person_id = c.person_id AND q.endpoint_id = m.endpoint_id
     AND (q.status = 'open' OR (q.id = p_question AND q.status = 'expired'));
  IF since IS NULL THEN RETURN 0; END IF;
  moved := gateway.attach_messages(c.person_id, m.endpoint_id, c.landlord_id, c.tenant_id,
    coalesce(m.property_id, c.property_id), '{ambiguous}',
    jsonb_build_object('rung', 'asked', 'question', p_question, 'choice', p_choice),
    '-infinity', c.lease_id, since, p_except);
  UPDATE gateway.questions q SET status = 'answered', answered_at = now(),
         answer = CASE WHEN q.id = p_question THEN p_choice END,
         released = CASE WHEN q.id = p_question THEN moved ELSE 0 END
   WHERE q.person_id = c.person_id AND q.endpoint_id = m.endpoint_id
     AND (q.status = 'open' OR (q.id = p_question AND q.status = 'expired'));
  RETURN moved;
END $$;

-- Questions nobody answered in time. Their messages go to the landlord whom the rules name, if that was one of the
-- choices and its lease still holds; else they wait for an administrator, and a late answer counts.
DROP FUNCTION IF EXISTS gateway.expire_questions();
DROP FUNCTION IF EXISTS gateway.ask(uuid, uuid, uuid, jsonb);
DROP FUNCTION IF EXISTS gateway.answer_questions(uuid[], smallint[], uuid[]);
CREATE OR REPLACE FUNCTION gateway.expire_questions(p_landlord uuid)
RETURNS TABLE (expired integer, released integer) LANGUAGE plpgsql AS $$
DECLARE
  q gateway.questions;
  r gateway.routes;
  grace integer := gateway.setting('lease_grace_days')::integer;
BEGIN
  expired := 0; released := 0;
  FOR q IN SELECT * FROM gateway.questions x WHERE x.status = 'open' AND x.expires_at < now()
            ORDER BY x.expires_at, x.id LIMIT 500 FOR UPDATE SKIP LOCKED LOOP
    expired := expired + 1;
    UPDATE gateway.questions x SET status = 'expired' WHERE x.id = q.id;
    CONTINUE WHEN p_landlord IS NULL;
    PERFORM 1 FROM gateway.people WHERE id = q.person_id AND merged_into IS NULL FOR NO KEY UPDATE;
    CONTINUE WHEN NOT FOUND;
    SELECT y.* INTO r FROM jsonb_array_elements(q.choices) c
      JOIN gateway.routes y ON y.tenant_id = (c ->> 'tenant')::uuid AND y.lease_id = (c ->> 'lease')::uuid
       AND y.landlord_id = p_landlord
     WHERE (c ->> 'landlord')::uuid = p_landlord
       AND coalesce(y.valid_from <= current_date, true)
       AND coalesce(y.valid_until + grace >= current_date, y.lease_status = 'active')
       AND EXISTS (SELECT FROM gateway.identities i WHERE i.person_id = q.person_id AND i.kind = 'phone'
                      AND i.phone_key = y.phone_key
                      AND (i.retired_at IS NULL OR i.retired_reason = 'number_change'))
     LIMIT 1;
    CONTINUE WHEN NOT FOUND;
    released := released + gateway.attach_messages(q.person_id, q.endpoint_id, p_landlord, r.tenant_id, r.property_id,
      '{ambiguous}', jsonb_build_object('rung', 'timeout', 'question', q.id), '-infinity', r.lease_id, q.asked_at);
  END LOOP;
  RETURN NEXT;
END $$;

-- outbox_claim() with all a sender of messages needs, of whatever kind they are. The recipient is who the person is now:
-- the number they have, or the account id the endpoint knows them by. labels: property and landlord of each choice,
-- apart by U+001F, choices by U+001E. A question that is closed by now is not asked any more. Where nothing is due, as
-- nearly always, one probe of an index and nothing planned: whatever is queued is hinted at to all who work on the
-- outbox, and with webhooks passed on that is every batch.
DROP FUNCTION IF EXISTS gateway.outbox_claim_messages(text, text, integer, interval);
CREATE OR REPLACE FUNCTION gateway.claim_sends(
  p_kind text, p_worker text, p_limit integer, p_lease interval DEFAULT '60 seconds')
RETURNS TABLE (id bigint, attempt smallint, max_attempts smallint, message_id uuid, sent_at timestamptz,
               endpoint_kind text, endpoint_provider_id text, recipient_phone bigint, recipient_account text,
               text text, quoted_wamid text, permission text, template text, language text, question uuid,
               button text, hint text, labels text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.outbox o WHERE o.kind = p_kind AND o.next_attempt_at <= now()
                    AND o.state <> 'uncertain') THEN RETURN; END IF;
  RETURN QUERY
  SELECT c.id, c.attempts, c.max_attempts, m.id, m.sent_at, e.kind, e.provider_id, p.dial, a.value,
         coalesce(m.landlord_signature, '') || m.body, m.context_wamid,
         CASE WHEN c.kind = 'ask' AND q.status IS DISTINCT FROM 'open' THEN 'question_closed'
              WHEN c.purpose = 'receipt' THEN 'ok'
              ELSE gateway.may_send(w.person_id, c.landlord_id, coalesce(c.purpose, 'service'), m.channel) END,
         c.payload ->> 'template', c.payload ->> 'language', q.id, c.payload ->> 'button', c.payload ->> 'hint',
         (SELECT string_agg(coalesce(x.c ->> 'shown_property', '') || E'\x1F' || coalesce(x.c ->> 'shown_landlord', ''),
                            E'\x1E' ORDER BY x.n)
            FROM jsonb_array_elements(q.choices) WITH ORDINALITY AS x(c, n))
    FROM gateway.outbox_claim(p_kind, p_worker, p_limit, p_lease) c
    LEFT JOIN LATERAL (SELECT * FROM gateway.whatsapp_messages x WHERE x.sent_at = c.message_sent_at
                          AND x.id = c.message_id LIMIT 1) m ON true
    LEFT JOIN LATERAL (SELECT * FROM gateway.whatsapp_conversations x WHERE x.id = m.conversation_id LIMIT 1) v ON true
   CROSS JOIN LATERAL (SELECT coalesce(v.person_id, m.person_id) AS person_id) w
    LEFT JOIN gateway.endpoints e ON e.id = c.endpoint_id
    LEFT JOIN gateway.questions q ON c.kind = 'ask' AND q.id = (c.payload ->> 'question')::uuid
    LEFT JOIN LATERAL (
      SELECT coalesce(i.dial, i.phone_key) AS dial FROM gateway.identities i
       WHERE i.person_id = w.person_id AND i.kind = 'phone' AND i.scope = e.phone_scope AND i.retired_at IS NULL
       ORDER BY i.last_seen DESC, i.id DESC LIMIT 1) p ON true
    LEFT JOIN LATERAL (
      SELECT i.value FROM gateway.identities i
       WHERE i.person_id = w.person_id AND i.kind = e.id_kind AND i.scope = e.id_scope AND i.retired_at IS NULL
       ORDER BY i.last_seen DESC, i.id DESC LIMIT 1) a ON true
   ORDER BY c.id;
END $$;

SELECT gateway.guard_tables();
