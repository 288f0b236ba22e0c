-- 0006 intake: journals and their fence, the webhook log, parked updates, the ladder's lookups, questions, claiming.

CREATE TABLE IF NOT EXISTS gateway.journals (
  journal_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  journal_uuid uuid NOT NULL UNIQUE,             -- written into the journal when it was made
  host text,
  created_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz);
-- The fence: whoever records moves the position from where they believe it is, and only as the present owner.
CREATE TABLE IF NOT EXISTS gateway.journal_checkpoints (
  journal_id integer PRIMARY KEY REFERENCES gateway.journals,
  position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
  owner uuid,                                    -- a new one each time a process opens the journal
  claimed_at timestamptz,
  records bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 10);

-- Makes the caller the recorder of a journal. was_known = false: neither journal nor checkpoint was here before.
CREATE OR REPLACE FUNCTION gateway.claim_journal(p_journal uuid, p_owner uuid, p_host text DEFAULT NULL)
RETURNS TABLE (journal_id integer, "position" bigint, was_known boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  j integer;
  known boolean;
BEGIN
  INSERT INTO gateway.journals AS x (journal_uuid, host) VALUES (p_journal, p_host)
    ON CONFLICT (journal_uuid) DO UPDATE SET host = coalesce(excluded.host, x.host) RETURNING x.journal_id INTO j;
  UPDATE gateway.journal_checkpoints c SET owner = p_owner, claimed_at = now() WHERE c.journal_id = j;
  known := FOUND;
  IF NOT known THEN
    INSERT INTO gateway.journal_checkpoints (journal_id, owner, claimed_at) VALUES (j, p_owner, now());
  END IF;
  RETURN QUERY SELECT c.journal_id, c.position, known FROM gateway.journal_checkpoints c WHERE c.journal_id = j;
END $$;

-- Raw bytes, not jsonb: a signature is over bytes, and one \u0000 would fail the insert and the batch with it.
-- Each update of a webhook has one verdict; the table refuses a row whose counts do not add up.
CREATE TABLE IF NOT EXISTS gateway.webhook_log (
  received_at timestamptz NOT NULL,
  journal_id integer NOT NULL,
  journal_pos bigint NOT NULL,
  updates integer NOT NULL DEFAULT 0,
  routed integer NOT NULL DEFAULT 0,
  withheld integer NOT NULL DEFAULT 0,
  held integer NOT NULL DEFAULT 0,
  unclaimed integer NOT NULL DEFAULT 0,
  status_applied integer NOT NULL DEFAULT 0,
  duplicate integer NOT NULL DEFAULT 0,
  ignored integer NOT NULL DEFAULT 0,
  parked integer NOT NULL DEFAULT 0,
  signature_ok boolean NOT NULL DEFAULT true,
  processed boolean NOT NULL DEFAULT false,      -- nothing of it is parked
  source text NOT NULL,
  event text NOT NULL,
  payload bytea COMPRESSION lz4 NOT NULL,
  error text,
  PRIMARY KEY (received_at, journal_id, journal_pos),
  CONSTRAINT verdicts_conserved CHECK (
    updates = routed + withheld + held + unclaimed + status_applied + duplicate + ignored + parked
    AND least(routed, withheld, held, unclaimed, status_applied, duplicate, ignored, parked) >= 0)
) PARTITION BY RANGE (received_at);
CREATE INDEX IF NOT EXISTS webhook_log_unprocessed_idx ON gateway.webhook_log (received_at) WHERE NOT processed;
CREATE OR REPLACE VIEW gateway.webhook_log_text WITH (security_invoker = true) AS
  SELECT received_at, journal_id, journal_pos, source, event, processed, error,
         convert_from(payload, 'UTF8') AS payload
    FROM gateway.webhook_log;
CREATE OR REPLACE VIEW gateway.verdicts_by_day WITH (security_invoker = true) AS
  SELECT date_trunc('day', received_at, 'UTC') AS day, source, count(*) AS webhooks, sum(updates) AS updates,
         sum(routed) AS routed, sum(withheld) AS withheld, sum(held) AS held, sum(unclaimed) AS unclaimed,
         sum(status_applied) AS status_applied, sum(duplicate) AS duplicate, sum(ignored) AS ignored,
         sum(parked) AS parked
    FROM gateway.webhook_log GROUP BY 1, 2;

-- Updates that could not be processed. They do not age out; a body that parks many is kept once.
CREATE TABLE IF NOT EXISTS gateway.parked_payloads (
  hash bytea PRIMARY KEY,                        -- SHA-256
  payload bytea COMPRESSION lz4 NOT NULL);
CREATE TABLE IF NOT EXISTS gateway.parked_updates (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash bytea NOT NULL REFERENCES gateway.parked_payloads (hash),
  idx integer NOT NULL CHECK (idx >= 0),         -- its place among the updates of the body
  journal_id integer NOT NULL,                   -- of the webhook that brought it first
  journal_pos bigint NOT NULL,
  received_at timestamptz NOT NULL,
  source text NOT NULL,
  reason text NOT NULL CHECK (length(reason) <= 64),
  detail text,                                   -- masked
  endpoint_kind text,
  endpoint_provider_id text,
  times integer NOT NULL DEFAULT 1,              -- how often the same body brought it
  attempts integer NOT NULL DEFAULT 0,           -- how often it was tried again
  first_seen timestamptz NOT NULL DEFAULT now(),
  last_seen timestamptz NOT NULL DEFAULT now(),
  redrive_requested_at timestamptz,
  UNIQUE (hash, idx));
CREATE INDEX IF NOT EXISTS parked_updates_redrive_idx ON gateway.parked_updates (redrive_requested_at, id)
  WHERE redrive_requested_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS parked_updates_endpoint_idx
  ON gateway.parked_updates (endpoint_kind, endpoint_provider_id) WHERE reason = 'unknown_endpoint';

-- Updates parked because nobody knew their endpoint, once it is known. One that was parked again all the same waits
-- a little longer each time.
CREATE OR REPLACE FUNCTION gateway.redrive_known_endpoints() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  UPDATE gateway.parked_updates p SET redrive_requested_at = now() FROM gateway.endpoints e
   WHERE p.reason = 'unknown_endpoint' AND p.redrive_requested_at IS NULL
     AND p.endpoint_kind = e.kind AND p.endpoint_provider_id = e.provider_id
     AND p.last_seen <= now() - least(interval '1 hour', p.attempts * interval '10 seconds');
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- After a redrive: n updates of a webhook are parked no longer; these are the verdicts of its messages, the rest are
-- statuses, as many as the caller says, or ignored. A message another gateway redrove first is no duplicate twice.
CREATE OR REPLACE FUNCTION gateway.relog_redriven(
  p_journal integer, p_pos bigint, p_at timestamptz, n integer, p_routed integer, p_withheld integer, p_held integer,
  p_unclaimed integer, p_duplicate integer, p_statuses integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  rest integer := n - p_routed - p_withheld - p_held - p_unclaimed - p_duplicate;
BEGIN
  UPDATE gateway.webhook_log
     SET parked = parked - n, processed = parked = n, routed = routed + p_routed, withheld = withheld + p_withheld,
         held = held + p_held, unclaimed = unclaimed + p_unclaimed,
         duplicate = duplicate + p_duplicate + least(rest, 0),
         status_applied = status_applied + least(greatest(rest, 0), p_statuses),
         ignored = ignored + greatest(rest - p_statuses, 0)
   WHERE received_at = p_at AND journal_id = p_journal AND journal_pos = p_pos;
END $$;

CREATE TABLE IF NOT EXISTS gateway.webhook_replays (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  requested_by uuid,
  requested_at timestamptz NOT NULL DEFAULT now(),
  source text,
  from_at timestamptz NOT NULL,
  to_at timestamptz NOT NULL CHECK (to_at > from_at),
  only_failed boolean NOT NULL DEFAULT true,
  cursor_at timestamptz,
  cursor_pos bigint,
  replayed bigint NOT NULL DEFAULT 0,
  finished_at timestamptz,
  error text);

-- Asked once a batch, for messages that quote something or whose sender has not exactly one running lease: the
-- thread of the quoted message, if it is the sender's own, and the threads the sender has. A blocked thread is found
-- by a quote alone: what answers it belongs there, and is withheld there.
CREATE OR REPLACE FUNCTION gateway.ladder_lookup(
  p_n integer[], p_endpoint uuid[], p_phone_key bigint[], p_account text[], p_quoted text[])
RETURNS TABLE (n integer, is_quoted boolean, conversation_id uuid, landlord_id uuid, tenant_id uuid, property_id uuid,
               last_message_at timestamptz, last_outbound_at timestamptz)
LANGUAGE sql STABLE AS $$
  WITH u AS MATERIALIZED (
    SELECT u.*, e.phone_scope, e.id_scope, e.id_kind, e.channel
      FROM unnest(p_n, p_endpoint, p_phone_key, p_account, p_quoted) AS u(n, endpoint_id, pk, account, quoted)
      JOIN gateway.endpoints e ON e.id = u.endpoint_id),
  who AS MATERIALIZED (                -- LATERAL: an index probe a row, however young the planner thinks the tables
    SELECT u.n, i.person_id FROM u CROSS JOIN LATERAL (
      SELECT x.person_id FROM gateway.identities x WHERE x.value = u.pk::text AND x.kind = 'phone'
         AND x.scope = u.phone_scope AND x.retired_at IS NULL LIMIT 1) i
    UNION
    SELECT u.n, i.person_id FROM u CROSS JOIN LATERAL (
      SELECT x.person_id FROM gateway.identities x WHERE x.value = u.account AND x.kind = u.id_kind
         AND x.scope = u.id_scope AND x.retired_at IS NULL LIMIT 1) i),
  quote AS MATERIALIZED (
    SELECT u.n, m.conversation_id AS id FROM u
     CROSS JOIN LATERAL (SELECT * FROM gateway.message_ids x
                          WHERE x.key = gateway.message_key(u.endpoint_id, u.quoted) LIMIT 1) x
     CROSS JOIN LATERAL (SELECT y.conversation_id FROM gateway.whatsapp_messages y
                          WHERE y.sent_at = x.sent_at AND y.id = x.message_id LIMIT 1) m
     WHERE u.quoted IS NOT NULL)
  SELECT u.n, q.id IS NOT NULL, c.id, c.landlord_id, c.tenant_id, c.property_id, c.last_message_at, c.last_outbound_at
    FROM u JOIN who w ON w.n = u.n
   CROSS JOIN LATERAL (SELECT * FROM gateway.whatsapp_conversations x
                        WHERE x.person_id = w.person_id AND x.channel = u.channel OFFSET 0) c
    LEFT JOIN quote q ON q.n = u.n AND q.id = c.id
   WHERE q.id IS NOT NULL
      OR (c.status <> 'blocked' AND (SELECT gateway.setting('conversation_outlives_lease')::boolean))
$$;

-- "Which landlord is this for?" One open question for a person and endpoint; what they wrote since waits, unseen.
CREATE TABLE IF NOT EXISTS gateway.questions (
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  endpoint_id uuid NOT NULL REFERENCES gateway.endpoints (id),
  person_id uuid NOT NULL REFERENCES gateway.people (id),
  -- [{landlord, tenant, property, label}] as shown, in order; WhatsApp's list holds ten
  choices jsonb NOT NULL CHECK (jsonb_array_length(choices) BETWEEN 1 AND 10),
  status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'answered', 'expired', 'cancelled')),
  asked integer NOT NULL DEFAULT 1,
  asked_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  answer smallint,
  answered_at timestamptz,
  released integer);
CREATE UNIQUE INDEX IF NOT EXISTS questions_open_key ON gateway.questions (endpoint_id, person_id)
  WHERE status = 'open';
CREATE INDEX IF NOT EXISTS questions_expiry_idx ON gateway.questions (expires_at) WHERE status = 'open';

-- Why messages of a conversation do not go on to the landlord; NULL = they do. A block outlives an opt-in.
CREATE OR REPLACE FUNCTION gateway.withheld_status(p_conversation_status text, p_landlord_enabled boolean)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_conversation_status = 'blocked' THEN 'blocked'
              WHEN NOT coalesce(p_landlord_enabled, false) THEN 'opted_out' END
$$;

-- Moves a person's waiting messages into a thread, in order: the one way out of held and unclaimed. How many.
CREATE OR REPLACE FUNCTION gateway.attach_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_tenant uuid, p_property uuid, p_from text[], p_meta jsonb)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  withheld text;
  moved integer;
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.whatsapp_messages WHERE person_id = p_person AND conversation_id IS NULL
       AND endpoint_id = p_endpoint AND direction = 'incoming' AND routing_status = ANY (p_from)) THEN
    RETURN 0;
  END IF;
  -- a thread taken by hand becomes the tenant's, once there is a tenant
  UPDATE gateway.whatsapp_conversations w SET tenant_id = p_tenant
   WHERE w.landlord_id = p_landlord AND w.person_id = p_person AND w.tenant_id IS NULL AND p_tenant IS NOT NULL
     AND NOT EXISTS (SELECT FROM gateway.whatsapp_conversations o WHERE o.landlord_id = p_landlord
                        AND o.person_id = p_person AND o.channel = w.channel AND o.tenant_id = p_tenant);
  INSERT INTO gateway.whatsapp_conversations AS w
      (landlord_id, tenant_id, person_id, endpoint_id, channel, property_id, tenant_phone, phone_key)
    SELECT p_landlord, p_tenant, p_person, e.id, e.channel, p_property, i.dial, i.phone_key FROM gateway.endpoints e
      LEFT JOIN gateway.identities i ON i.person_id = p_person AND i.kind = 'phone' AND i.retired_at IS NULL
     WHERE e.id = p_endpoint ORDER BY i.last_seen DESC LIMIT 1
    ON CONFLICT (landlord_id, channel, person_id, tenant_id) DO UPDATE SET updated_at = now() RETURNING * INTO c;
  withheld := gateway.withheld_status(c.status,
    (SELECT whatsapp_enabled FROM gateway.route_landlords WHERE landlord_id = p_landlord));
  WITH m AS (
    UPDATE gateway.whatsapp_messages SET conversation_id = c.id, landlord_id = p_landlord, tenant_id = p_tenant,
           property_id = p_property, person_id = NULL, routing_status = coalesce(withheld, 'delivered'),
           routing_metadata = coalesce(routing_metadata, '{}') || p_meta
     WHERE person_id = p_person AND conversation_id IS NULL AND endpoint_id = p_endpoint AND direction = 'incoming'
       AND routing_status = ANY (p_from)
    RETURNING id, sent_at, body),
  job AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
      SELECT 'landlord_forward', 'fwd:' || id, gateway.order_key('landlord_forward', c.id), p_landlord, id, sent_at,
             jsonb_build_object('text', body)
        FROM m WHERE withheld IS NULL AND gateway.setting('forward_to_landlord')::boolean ORDER BY sent_at, id
      ON CONFLICT DO NOTHING)
  UPDATE gateway.whatsapp_conversations w SET unread_count = w.unread_count + x.n,
         last_message_at = greatest(w.last_message_at, x.t),
         last_inbound_at = greatest(w.last_inbound_at, least(x.t, now())), updated_at = now()
    FROM (SELECT count(*)::integer AS n, max(sent_at) AS t FROM m) x WHERE w.id = c.id RETURNING x.n INTO moved;
  RETURN moved;
END $$;

-- Opens a question, unless one is open; the first of several is the one that is asked.
CREATE OR REPLACE FUNCTION gateway.ask(p_id uuid, p_endpoint uuid, p_person uuid, p_choices jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  q gateway.questions;
BEGIN
  INSERT INTO gateway.questions AS q (id, endpoint_id, person_id, choices, expires_at)
    VALUES (p_id, p_endpoint, p_person, p_choices,
            now() + make_interval(hours => gateway.setting('question_hours')::integer))
    ON CONFLICT (endpoint_id, person_id) WHERE status = 'open' DO NOTHING RETURNING * INTO q;
  IF q.id IS NULL THEN RETURN false; END IF;
  INSERT INTO gateway.outbox (kind, idempotency_key, endpoint_id, person_id, purpose, payload)
    VALUES ('ask', 'ask:' || q.id, p_endpoint, p_person, 'service',
            jsonb_build_object('question', q.id, 'choices', q.choices));
  RETURN true;
END $$;

-- The taps of a batch. A late one counts while messages wait; a second one, or another person's, does nothing.
CREATE OR REPLACE FUNCTION gateway.answer_questions(p_question uuid[], p_choice smallint[], p_person uuid[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  a record;
  q gateway.questions;
  pick jsonb;
  k integer;
  total integer := 0;
BEGIN
  FOR a IN SELECT * FROM unnest(p_question, p_choice, p_person) AS u(question, choice, person) LOOP
    SELECT * INTO q FROM gateway.questions
     WHERE id = a.question AND status IN ('open', 'expired') AND person_id = a.person FOR UPDATE;
    pick := q.choices -> (a.choice - 1);
    CONTINUE WHEN q.id IS NULL OR pick IS NULL OR a.choice < 1;
    k := gateway.attach_messages(q.person_id, q.endpoint_id, (pick ->> 'landlord')::uuid, (pick ->> 'tenant')::uuid,
      (pick ->> 'property')::uuid, '{ambiguous}',
      jsonb_build_object('rung', 'asked', 'question', q.id, 'choice', a.choice));
    UPDATE gateway.questions SET status = 'answered', answer = a.choice, answered_at = now(), released = k
     WHERE id = q.id;
    total := total + k;
  END LOOP;
  RETURN total;
END $$;
-- Questions nobody answered in time. Their messages go on waiting for an administrator; nothing is guessed.
CREATE OR REPLACE FUNCTION gateway.expire_questions() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  n integer;
BEGIN
  UPDATE gateway.questions SET status = 'expired' WHERE id IN (
    SELECT id FROM gateway.questions WHERE status = 'open' AND expires_at < now() FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Senders who wrote before they were tenants, asked with the phone keys of a delta. One landlord: their messages
-- move there. Several: the sender is asked. Repeatable; a key without waiting messages costs one index probe.
CREATE OR REPLACE FUNCTION gateway.claim_unclaimed(p_phone_keys bigint[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  w record;
  n integer := 0;
  since timestamptz := now() - make_interval(days => gateway.setting('claim_unclaimed_days')::integer);
BEGIN
  FOR w IN
    SELECT i.person_id, m.endpoint_id, c.choices
      FROM unnest(p_phone_keys) k
      JOIN gateway.identities i ON i.value = k::text AND i.kind = 'phone'
       AND (i.retired_at IS NULL OR i.retired_reason = 'number_change')
      JOIN LATERAL (
        SELECT DISTINCT x.endpoint_id FROM gateway.whatsapp_messages x
         WHERE x.person_id = i.person_id AND x.conversation_id IS NULL AND x.direction = 'incoming'
           AND x.routing_status = 'unknown_sender' AND x.sent_at > since) m ON true
      JOIN gateway.endpoints e ON e.id = m.endpoint_id
      JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('landlord', r.landlord_id, 'tenant', r.tenant_id,
                                            'property', r.property_id, 'label', r.landlord_name)
                         ORDER BY r.landlord_name, r.landlord_id) AS choices
          FROM (SELECT DISTINCT ON (r.landlord_id) r.*, l.landlord_name
                  FROM gateway.routes r
                  JOIN gateway.route_landlords l ON l.landlord_id = r.landlord_id AND l.whatsapp_enabled
                 WHERE r.phone_key = k AND r.lease_status = 'active'
                   AND (r.valid_from IS NULL OR r.valid_from <= current_date)
                   AND (r.valid_until IS NULL OR r.valid_until >= current_date)
                   AND (e.scope = 'platform' OR e.owner_id = r.landlord_id)
                   -- the routes of a number that changed hands are its former holder's or its next one's, by date
                   AND ((i.retired_at IS NOT NULL AND r.learnt_at <= i.retired_at)
                     OR (i.retired_at IS NULL AND NOT EXISTS (
                          SELECT FROM gateway.identities o WHERE o.value = i.value AND o.scope = i.scope
                             AND o.retired_reason = 'number_change' AND o.person_id <> i.person_id
                             AND o.retired_at >= r.learnt_at)))
                 ORDER BY r.landlord_id, r.valid_from NULLS FIRST, r.tenant_id) r) c ON c.choices IS NOT NULL
  LOOP
    IF jsonb_array_length(w.choices) = 1 THEN
      n := n + gateway.attach_messages(w.person_id, w.endpoint_id, (w.choices #>> '{0,landlord}')::uuid,
        (w.choices #>> '{0,tenant}')::uuid, (w.choices #>> '{0,property}')::uuid, '{unknown_sender}',
        '{"rung":"claimed"}');
    ELSE
      UPDATE gateway.whatsapp_messages SET routing_status = 'ambiguous'
       WHERE person_id = w.person_id AND conversation_id IS NULL AND endpoint_id = w.endpoint_id
         AND direction = 'incoming' AND routing_status = 'unknown_sender' AND sent_at > since;
      IF FOUND THEN PERFORM gateway.ask(gateway.uuid7(), w.endpoint_id, w.person_id, w.choices); END IF;
    END IF;
  END LOOP;
  RETURN n;
END $$;

-- A landlord who writes first to a tenant.
CREATE OR REPLACE FUNCTION gateway.open_conversation(p_landlord uuid, p_tenant uuid, p_endpoint uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  r gateway.routes;
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
  SELECT person_id INTO person FROM gateway.resolve_people(ARRAY[r.tenant_id], '{phone}', ARRAY[e.phone_scope],
    ARRAY[r.phone_key::text], ARRAY[r.tenant_phone], ARRAY[now()], 'landlord');
  SELECT c2.id INTO c FROM gateway.whatsapp_conversations c2        -- a couple's one thread
    JOIN gateway.routes o ON o.tenant_id = c2.tenant_id AND o.landlord_id = p_landlord AND o.phone_key = r.phone_key
   WHERE c2.landlord_id = p_landlord AND c2.person_id = person AND c2.channel = e.channel LIMIT 1;
  IF c IS NULL THEN
    INSERT INTO gateway.whatsapp_conversations
        (landlord_id, tenant_id, person_id, endpoint_id, channel, tenant_phone, phone_key, property_id, lease_id)
      VALUES (p_landlord, p_tenant, person, e.id, e.channel, r.tenant_phone, r.phone_key, r.property_id, r.lease_id)
      ON CONFLICT (landlord_id, channel, person_id, tenant_id) DO UPDATE SET updated_at = now() RETURNING id INTO c;
  END IF;
  RETURN c;
END $$;
