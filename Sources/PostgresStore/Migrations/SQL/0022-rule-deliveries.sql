-- 0022 rule deliveries: what rules forward, and what they notify administrators of, leaves for named endpoints.

-- Not validated: what is stored already is among the words before.
DO $$
BEGIN
  ALTER TABLE gateway.outbox DROP CONSTRAINT IF EXISTS outbox_kind_check;
  ALTER TABLE gateway.outbox ADD CONSTRAINT outbox_kind_check
    CHECK (kind IN ('meta_send', 'ask', 'landlord_forward', 'downstream_webhook', 'rule_delivery', 'bulletin',
                    'vps_call', 'email', 'media_fetch')) NOT VALID;
END $$;
CREATE INDEX IF NOT EXISTS rule_actions_failed_idx ON gateway.rule_actions (at)
  WHERE outcome = 'failed' AND closed_at IS NULL;

-- A job's payload: {"endpoint", "action", "body"}. The body is the text as it is sent, at every attempt the same. An
-- endpoint is a lane; the sender's order in it is the job's order key.
CREATE INDEX IF NOT EXISTS outbox_rule_delivery_idx ON gateway.outbox ((payload ->> 'endpoint'), id)
  WHERE kind = 'rule_delivery';
CREATE INDEX IF NOT EXISTS outbox_rule_delivery_claimed_idx ON gateway.outbox ((payload ->> 'endpoint'))
  WHERE kind = 'rule_delivery' AND state = 'sending';

-- What an endpoint is told, version 1 (docs/rules.md). A notice says that there is something to look at and where: no
-- word of the message, and nothing the number could be read from, which a provider's id of a message is.
CREATE OR REPLACE FUNCTION gateway.rule_delivery_body(
  m gateway.whatsapp_messages, p_person uuid, p_action uuid, p_kind text, p_rule text, p_endpoint text, p_subject text)
RETURNS text LANGUAGE sql STABLE AS $$
  SELECT json_strip_nulls(json_build_object(
    'version', 1, 'kind', p_kind, 'id', p_action, 'to', p_endpoint, 'rule', p_rule, 'subject', p_subject,
    'message', json_build_object(
      'id', m.id, 'wamid', CASE p_kind WHEN 'message' THEN m.wamid END,
      'channel', CASE e.kind WHEN 'cloud' THEN 'whatsapp' WHEN 'vps_session' THEN 'vps' ELSE e.kind END,
      'endpoint', e.provider_id, 'type', m.message_type,
      'text', CASE p_kind WHEN 'message' THEN m.body END,
      'quoted', CASE p_kind WHEN 'message' THEN m.context_wamid END,
      'sent_at', to_char(m.sent_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'routing_status', m.routing_status, 'rules', m.routing_metadata -> 'matched',
      'tags', m.routing_metadata -> 'tags', 'priority', m.routing_metadata ->> 'priority'),
    'sender', json_build_object(
      'phone', CASE p_kind WHEN 'message' THEN '+' || m.tenant_phone ELSE gateway.masked_phone(m.tenant_phone) END,
      'account', CASE p_kind WHEN 'message' THEN (
        SELECT i.value FROM gateway.identities i
         WHERE i.person_id = p_person AND i.kind = e.id_kind AND i.scope = e.id_scope AND i.retired_at IS NULL
         ORDER BY i.last_seen DESC, i.id DESC LIMIT 1) END),
    'landlord', m.landlord_id, 'tenant', m.tenant_id, 'property', m.property_id,
    'conversation', m.conversation_id))::text
    FROM gateway.endpoints e WHERE e.id = m.endpoint_id
$$;

-- Queues a message or a notice for an endpoint. false: the message goes there already, because of another rule.
CREATE OR REPLACE FUNCTION gateway.queue_rule_delivery(
  m gateway.whatsapp_messages, p_person uuid, p_action uuid, p_kind text, p_rule text, p_endpoint text, p_subject text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, person_id, message_id, message_sent_at,
      payload)
    VALUES ('rule_delivery',
      'rule:' || CASE p_kind WHEN 'message' THEN m.id || ':' || p_endpoint ELSE p_action::text END,
      hashtextextended('rule_delivery:' || p_endpoint || ':' || p_person, 0), m.landlord_id, p_person, m.id, m.sent_at,
      jsonb_build_object('endpoint', p_endpoint, 'action', p_action, 'body',
        gateway.rule_delivery_body(m, p_person, p_action, p_kind, p_rule, p_endpoint, p_subject)))
  ON CONFLICT (idempotency_key) DO NOTHING;
  RETURN FOUND;
END $$;

-- The oldest jobs of an endpoint, in order, for one worker: without those that rest after a failure, and without those
-- of the same sender behind them. Only the first is marked, as in claim_forwards() (0014); p_claim is a name used once,
-- the fence of settle_rule_deliveries(). A vanished worker's run is taken again once its lease is over.
CREATE OR REPLACE FUNCTION gateway.claim_rule_deliveries(
  p_endpoint text, p_claim text, p_limit integer, p_bytes bigint, p_lease interval)
RETURNS TABLE (id bigint, attempt integer, age_seconds bigint, action_id uuid, body text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  run bigint[];
BEGIN
  -- Two claims at once would otherwise divide a run between them.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('rule_delivery:' || p_endpoint, 0)) THEN RETURN; END IF;
  IF EXISTS (SELECT FROM gateway.outbox o WHERE o.kind = 'rule_delivery' AND o.state = 'sending'
                AND o.payload ->> 'endpoint' = p_endpoint AND o.next_attempt_at > now()) THEN RETURN; END IF;
  run := ARRAY(
    SELECT o.id FROM gateway.outbox o
     WHERE o.kind = 'rule_delivery' AND o.payload ->> 'endpoint' = p_endpoint AND o.next_attempt_at <= now()
       AND NOT EXISTS (SELECT FROM gateway.outbox e WHERE e.order_key = o.order_key AND e.id < o.id
                          AND e.next_attempt_at > now())
     ORDER BY o.payload ->> 'endpoint', o.id LIMIT p_limit);
  IF cardinality(run) = 0 THEN RETURN; END IF;
  UPDATE gateway.outbox o SET state = 'sending', claimed_by = p_claim, next_attempt_at = now() + p_lease
   WHERE o.id = run[1];
  RETURN QUERY
    SELECT x.id, x.attempts + 1, extract(epoch FROM now() - x.created_at)::bigint, (x.payload ->> 'action')::uuid,
           x.payload ->> 'body'
      FROM (SELECT o.*, sum(octet_length(o.payload ->> 'body')) OVER (ORDER BY o.id)
                          - octet_length(o.payload ->> 'body') AS before
              FROM gateway.outbox o WHERE o.id = ANY (run)) x
     WHERE x.before < p_bytes ORDER BY x.id;
END $$;

-- settle_forwards() (0014), and what came of it beside the rules' orders. false: the lease was lost.
CREATE OR REPLACE FUNCTION gateway.settle_rule_deliveries(
  p_head bigint, p_claim text, p_done bigint[], p_failed bigint, p_error text, p_pause interval)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  done uuid[] := ARRAY(SELECT (o.payload ->> 'action')::uuid FROM gateway.outbox o WHERE o.id = ANY (p_done));
  failed uuid := (SELECT (o.payload ->> 'action')::uuid FROM gateway.outbox o WHERE o.id = p_failed);
BEGIN
  IF NOT gateway.settle_forwards(p_head, p_claim, p_done, p_failed, p_error, p_pause) THEN RETURN false; END IF;
  UPDATE gateway.rule_actions a SET outcome = 'done', detail = NULL, closed_at = now() WHERE a.id = ANY (done);
  IF failed IS NOT NULL THEN
    UPDATE gateway.rule_actions a
       SET outcome = CASE WHEN p_pause IS NULL THEN 'failed' ELSE 'queued' END, detail = p_error
     WHERE a.id = failed;
  END IF;
  RETURN true;
END $$;

-- As that of 0007; what a rule ordered is queued again.
CREATE OR REPLACE FUNCTION gateway.outbox_revive(p_ids bigint[]) RETURNS bigint LANGUAGE sql AS $$
  WITH d AS (DELETE FROM gateway.outbox_dead WHERE id = ANY (p_ids) RETURNING *),
  m AS (
    UPDATE gateway.whatsapp_messages m
       SET status = 'queued', outcome = NULL, failed_at = NULL, error_code = NULL, error_detail = NULL
      FROM d WHERE m.sent_at = d.message_sent_at AND m.id = d.message_id AND m.direction = 'outgoing'
       AND m.wamid IS NULL AND m.status IN ('queued', 'failed')),
  a AS (
    UPDATE gateway.rule_actions a SET outcome = 'queued', detail = NULL, closed_at = NULL, closed_by = NULL
      FROM d WHERE d.kind = 'rule_delivery' AND a.id = (d.payload ->> 'action')::uuid),
  i AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, person_id, purpose, message_id,
        message_sent_at, endpoint_id, downstream_id, payload)
      SELECT kind, idempotency_key, order_key, landlord_id, person_id, purpose, message_id, message_sent_at,
             endpoint_id, downstream_id, payload FROM d ORDER BY id
      ON CONFLICT (idempotency_key) DO NOTHING RETURNING 1)
  SELECT count(*) FROM i
$$;

-- What waits because of rules: with an endpoint, deliveries that have not left for it; without, notices.
CREATE OR REPLACE FUNCTION gateway.rule_standing()
RETURNS TABLE (endpoint text, waiting bigint, oldest_seconds bigint) LANGUAGE sql STABLE AS $$
  SELECT NULL, count(*), coalesce(extract(epoch FROM now() - min(a.at))::bigint, 0)
    FROM gateway.rule_actions a WHERE a.outcome = 'waiting'
  UNION ALL
  SELECT o.payload ->> 'endpoint', count(*), extract(epoch FROM now() - min(o.created_at))::bigint
    FROM gateway.outbox o WHERE o.kind = 'rule_delivery' GROUP BY 1
$$;

-- Answers a person by itself, with a text or a template: NULL = queued, else why not. Two machines that answer each
-- other stop here: a rule answers a person once in its time, all rules together a few times an hour, and never one of
-- our own numbers. The receipt of a stop is the one thing somebody still hears who asked to hear nothing.
CREATE OR REPLACE FUNCTION gateway.queue_answer(
  m gateway.whatsapp_messages, p_person uuid, p_id uuid, p_rule text, p_text text, p_template text, p_language text,
  p_seconds integer, p_purpose text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  e gateway.endpoints;
BEGIN
  SELECT * INTO e FROM gateway.endpoints WHERE id = m.endpoint_id;
  IF e.kind <> 'cloud' THEN RETURN 'endpoint_cannot_send'; END IF;
  IF EXISTS (SELECT FROM gateway.endpoints x WHERE x.phone = m.tenant_phone) THEN RETURN 'own_number'; END IF;
  IF EXISTS (SELECT FROM gateway.rule_actions a WHERE a.person_id = p_person AND a.outcome = 'queued'
                AND a.made_message_id IS NOT NULL AND a.rule = p_rule
                AND a.at > now() - make_interval(secs => p_seconds)) THEN
    RETURN 'answered_already';
  END IF;
  IF (SELECT count(*) FROM gateway.rule_actions a WHERE a.person_id = p_person AND a.outcome = 'queued'
         AND a.made_message_id IS NOT NULL AND a.at > now() - interval '1 hour')
       >= gateway.setting('automatic_answers_per_hour')::integer THEN
    RETURN 'too_many_answers';
  END IF;
  INSERT INTO gateway.whatsapp_messages (id, sent_at, conversation_id, landlord_id, tenant_id, property_id,
      endpoint_id, person_id, tenant_phone, channel, direction, message_type, body, status, routing_status,
      routing_metadata)
    VALUES (p_id, now(), m.conversation_id, m.landlord_id, m.tenant_id, m.property_id, m.endpoint_id,
      CASE WHEN m.conversation_id IS NULL THEN p_person END, m.tenant_phone, m.channel, 'outgoing',
      CASE WHEN p_template IS NULL THEN 'text' ELSE 'template' END, coalesce(p_text, p_template), 'queued', 'delivered',
      jsonb_build_object('rule', p_rule, 'answers', m.id));
  INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, person_id, purpose, message_id,
      message_sent_at, endpoint_id, payload)
    VALUES ('meta_send', 'msg:' || p_id, gateway.order_key('meta_send', coalesce(m.conversation_id, p_person)),
      m.landlord_id, p_person, p_purpose, p_id, now(), m.endpoint_id,
      jsonb_strip_nulls(jsonb_build_object('template', p_template, 'language', p_language)));
  RETURN NULL;
END $$;

-- What is to be done about new messages beside filing them: one row an order, in the order of the messages. p_batch is
-- all new messages of the batch in order. Called by the recording statement, after its messages are written.
--   answer  p_id question, p_number choice
--   ask     p_id question, p_value text, p_detail button and number hint (a line each), p_number seconds to wait
--   reply   p_id message, p_value text, p_number seconds until the same rule answers again
--   template  p_id message, p_value name, p_detail language, p_number as above
--   notify  p_value subject, p_detail the endpoint that notices go to, if there is one
--   tag, forward  p_value        priority, opt_out, opt_in
CREATE OR REPLACE FUNCTION gateway.apply_orders(
  p_batch uuid[], p_message uuid[], p_sent_at timestamptz[], p_kind text[], p_rule text[], p_value text[],
  p_detail text[], p_id uuid[], p_number integer[])
RETURNS TABLE (asked integer, released integer, answered integer) LANGUAGE plpgsql AS $$
DECLARE
  o record;
  m gateway.whatsapp_messages;
  person uuid;
  made uuid;
  came text;
  note text;
BEGIN
  asked := 0; released := 0; answered := 0;
  -- in the order of their ids: two gateways that answer the same people wait for each other, not for ever
  IF p_kind && '{reply,template}' THEN
    PERFORM 1 FROM gateway.people WHERE id IN (
      SELECT coalesce(x.person_id, c.person_id) FROM unnest(p_message, p_sent_at) u(id, at)
        JOIN gateway.whatsapp_messages x ON x.sent_at = u.at AND x.id = u.id
        LEFT JOIN gateway.whatsapp_conversations c ON c.id = x.conversation_id) ORDER BY id FOR NO KEY UPDATE;
  END IF;
  FOR o IN SELECT * FROM unnest(p_message, p_sent_at, p_kind, p_rule, p_value, p_detail, p_id, p_number)
             WITH ORDINALITY AS u(message, at, kind, rule, value, detail, id, number, n) ORDER BY u.n LOOP
    SELECT * INTO m FROM gateway.whatsapp_messages x WHERE x.sent_at = o.at AND x.id = o.message;
    CONTINUE WHEN m.id IS NULL;
    person := coalesce(m.person_id, (SELECT c.person_id FROM gateway.whatsapp_conversations c
                                      WHERE c.id = m.conversation_id));
    IF o.kind = 'answer' THEN
      released := released + gateway.answer_question(m, o.id, o.number,
        coalesce(p_batch[array_position(p_batch, o.message) + 1 : ], '{}'));
      CONTINUE;
    ELSIF o.kind = 'ask' THEN
      IF m.conversation_id IS NULL AND m.routing_status = 'ambiguous' AND gateway.open_question(m, o.id, o.value,
           split_part(o.detail, E'\n', 1), substr(o.detail, position(E'\n' IN o.detail) + 1), o.number) THEN
        asked := asked + 1;
      END IF;
      CONTINUE;
    END IF;
    made := gateway.uuid7();
    came := 'done';
    note := NULL;
    CASE o.kind
      WHEN 'reply', 'template' THEN
        note := gateway.queue_answer(m, person, o.id, o.rule, CASE o.kind WHEN 'reply' THEN o.value END,
          CASE o.kind WHEN 'template' THEN o.value END, o.detail, o.number,
          CASE WHEN EXISTS (SELECT FROM unnest(p_message, p_kind) u(message, kind)
                             WHERE u.message = o.message AND u.kind = 'opt_out') THEN 'receipt' ELSE 'service' END);
        came := CASE WHEN note IS NULL THEN 'queued' ELSE 'suppressed' END;
        IF note IS NULL THEN answered := answered + 1; END IF;
      WHEN 'tag' THEN
        UPDATE gateway.whatsapp_conversations c SET tags = gateway.with_tag(c.tags, o.value)
         WHERE c.id = m.conversation_id AND NOT o.value = ANY (c.tags);
      WHEN 'priority' THEN
        UPDATE gateway.whatsapp_conversations c SET priority = 'high'
         WHERE c.id = m.conversation_id AND c.priority <> 'high';
      WHEN 'opt_out', 'opt_in' THEN
        INSERT INTO gateway.consent_events (person_id, channel, purpose, action, source, wording, proof)
          VALUES (person, m.channel, 'all', CASE o.kind WHEN 'opt_out' THEN 'revoke' ELSE 'grant' END,
            'inbound_keyword', left(coalesce(m.body, ''), 500),
            jsonb_build_object('wamid', m.wamid, 'rule', o.rule));
      WHEN 'forward' THEN
        came := 'queued';
        IF NOT gateway.queue_rule_delivery(m, person, made, 'message', o.rule, o.value, NULL) THEN
          came := 'suppressed';
          note := 'forwarded_already';
        END IF;
      ELSE came := 'waiting';                      -- notify
    END CASE;
    INSERT INTO gateway.rule_actions (id, message_id, message_sent_at, person_id, landlord_id, rule, action, value,
        outcome, detail, made_message_id)
      VALUES (made, m.id, m.sent_at, person, m.landlord_id, o.rule, o.kind, o.value, came, note,
        CASE WHEN came = 'queued' THEN o.id END);
    IF o.kind = 'notify' AND o.detail IS NOT NULL THEN
      made := gateway.uuid7();
      PERFORM gateway.queue_rule_delivery(m, person, made, 'notice', o.rule, o.detail, o.value);
      INSERT INTO gateway.rule_actions (id, message_id, message_sent_at, person_id, landlord_id, rule, action, value,
          outcome)
        VALUES (made, m.id, m.sent_at, person, m.landlord_id, o.rule, 'send_notice', o.detail, 'queued');
    END IF;
  END LOOP;
  RETURN NEXT;
END $$;

-- What rules want somebody to see, and what they ordered in vain, newest first.
CREATE OR REPLACE FUNCTION gateway.rule_notices(p_limit integer DEFAULT 50)
RETURNS TABLE (id uuid, at timestamptz, rule text, action text, value text, message_id uuid, landlord_id uuid,
               landlord_name text, phone bigint, failure text)
LANGUAGE sql STABLE AS $$
  SELECT a.id, a.at, a.rule, a.action, a.value, a.message_id, a.landlord_id, l.landlord_name, m.tenant_phone,
         CASE a.outcome WHEN 'failed' THEN coalesce(a.detail, '') END
    FROM gateway.rule_actions a
    LEFT JOIN gateway.route_landlords l ON l.landlord_id = a.landlord_id
    LEFT JOIN gateway.whatsapp_messages m ON m.sent_at = a.message_sent_at AND m.id = a.message_id
   WHERE a.outcome = 'waiting' OR (a.outcome = 'failed' AND a.closed_at IS NULL)
   ORDER BY a.at DESC, a.id DESC LIMIT p_limit
$$;
CREATE OR REPLACE FUNCTION gateway.close_notices(p_ids uuid[], p_actor text, p_actor_id uuid DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  n integer;
BEGIN
  UPDATE gateway.rule_actions SET outcome = CASE outcome WHEN 'waiting' THEN 'done' ELSE outcome END, closed_at = now(),
         closed_by = p_actor
   WHERE id = ANY (p_ids) AND (outcome = 'waiting' OR (outcome = 'failed' AND closed_at IS NULL));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, detail)
      VALUES (p_actor_id, p_actor, 'inbox.notices', 'rule_action', array_to_string(p_ids, ','),
              jsonb_build_object('closed', n));
  END IF;
  RETURN n;
END $$;

SELECT gateway.guard_tables();
