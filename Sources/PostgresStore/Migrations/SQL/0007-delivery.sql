-- 0007 delivery: the outbox and its three outcomes, idempotency keys, downstream webhooks.

-- ready -> sending -> accepted (the row goes) | ready again (known not sent) | uncertain -> accepted by a status, or
-- dead for a human to see. A job whose worker vanished in the middle of a send is uncertain, too: nothing is sent a
-- second time without knowing.
CREATE TABLE IF NOT EXISTS gateway.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('meta_send', 'ask', 'landlord_forward', 'downstream_webhook', 'bulletin',
                                     'vps_call', 'email', 'media_fetch')),
  state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'sending', 'uncertain')),
  idempotency_key text NOT NULL UNIQUE,          -- 'msg:<id>' for a message of ours: a status finds its job by it
  order_key bigint,                              -- jobs with the same key leave one at a time, oldest first
  landlord_id uuid,
  person_id uuid,
  purpose text,                                  -- what may_send() is asked about
  message_id uuid,
  message_sent_at timestamptz,
  endpoint_id uuid,
  downstream_id uuid,
  payload jsonb NOT NULL,
  attempts smallint NOT NULL DEFAULT 0,          -- also the fencing token of the worker
  max_attempts smallint NOT NULL DEFAULT 8,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),   -- also the lease: a claim moves it to the lease's end
  claimed_by text,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX IF NOT EXISTS outbox_due_idx ON gateway.outbox (kind, next_attempt_at, id) WHERE state <> 'uncertain';
CREATE INDEX IF NOT EXISTS outbox_order_idx ON gateway.outbox (order_key, id) WHERE order_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_uncertain_idx ON gateway.outbox (next_attempt_at) WHERE state = 'uncertain';
CREATE INDEX IF NOT EXISTS outbox_person_idx ON gateway.outbox (person_id) WHERE person_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS gateway.outbox_dead (
  id bigint PRIMARY KEY,
  kind text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('refused', 'uncertain')),
  idempotency_key text NOT NULL,
  order_key bigint,
  landlord_id uuid,
  person_id uuid,
  purpose text,
  message_id uuid,
  message_sent_at timestamptz,
  endpoint_id uuid,
  downstream_id uuid,
  payload jsonb NOT NULL,
  attempts smallint NOT NULL,
  last_error text,
  created_at timestamptz NOT NULL,
  died_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS outbox_dead_key_idx ON gateway.outbox_dead (idempotency_key);

-- Order is kept for a leg and conversation: a forward to the landlord that fails does not hold up the answer.
CREATE OR REPLACE FUNCTION gateway.order_key(p_kind text, p_conversation uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(p_kind || ':' || p_conversation, 0) $$;

-- The hint that something is due; workers look by themselves as well.
CREATE OR REPLACE FUNCTION gateway.on_outbox_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM queued) THEN PERFORM pg_notify('gateway_outbox', ''); END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER outbox_hint AFTER INSERT ON gateway.outbox REFERENCING NEW TABLE AS queued
  FOR EACH STATEMENT EXECUTE FUNCTION gateway.on_outbox_insert();

-- A caller's key counts for a user and route, and remembers what was asked under it and what it made.
CREATE TABLE IF NOT EXISTS gateway.idempotency_keys (
  user_id uuid NOT NULL,
  route text NOT NULL,
  key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  request_hash bytea NOT NULL,
  message_id uuid NOT NULL,
  message_sent_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, route, key));
CREATE INDEX IF NOT EXISTS idempotency_keys_brin ON gateway.idempotency_keys USING brin (created_at);

-- Due jobs of one kind under a lease, oldest first, at most one for an order key. id = ANY (ARRAY(...)) and not a
-- join: with the limit as a parameter the planner would scan the whole outbox in every claim.
CREATE OR REPLACE FUNCTION gateway.outbox_claim(
  p_kind text, p_worker text, p_limit integer, p_lease interval DEFAULT '60 seconds')
RETURNS SETOF gateway.outbox LANGUAGE sql AS $$
  WITH c AS (
    UPDATE gateway.outbox o SET attempts = o.attempts + 1, claimed_by = p_worker,
           state = CASE WHEN o.state = 'sending' AND o.kind NOT IN ('downstream_webhook', 'media_fetch')
                        THEN 'uncertain' ELSE 'sending' END,
           last_error = CASE WHEN o.state = 'sending' THEN 'the worker vanished' ELSE o.last_error END,
           next_attempt_at = CASE WHEN o.state = 'sending' AND o.kind NOT IN ('downstream_webhook', 'media_fetch')
             THEN now() + make_interval(mins => gateway.setting('uncertain_wait_minutes')::integer)
             ELSE now() + p_lease END
     WHERE o.id = ANY (ARRAY(
       SELECT q.id FROM gateway.outbox q
        WHERE q.kind = p_kind AND q.next_attempt_at <= now() AND q.state <> 'uncertain'
          AND (q.order_key IS NULL OR NOT EXISTS (
                SELECT 1 FROM gateway.outbox e WHERE e.order_key = q.order_key AND e.id < q.id
                   AND e.state <> 'uncertain'))
        ORDER BY q.next_attempt_at, q.id LIMIT p_limit FOR UPDATE SKIP LOCKED))
    RETURNING o.*),
  lost AS (
    UPDATE gateway.whatsapp_messages m SET outcome = 'uncertain' FROM c
     WHERE c.state = 'uncertain' AND m.sent_at = c.message_sent_at AND m.id = c.message_id AND m.outcome IS NULL)
  SELECT * FROM c WHERE state = 'sending'
$$;

-- Done, for jobs without a message. A worker whose lease ran out and was taken over changes nothing.
CREATE OR REPLACE FUNCTION gateway.outbox_done(p_ids bigint[], p_attempts smallint[]) RETURNS bigint LANGUAGE sql AS $$
  WITH d AS (
    DELETE FROM gateway.outbox o USING unnest(p_ids, p_attempts) AS u(id, attempt)
     WHERE o.id = u.id AND (o.attempts = u.attempt OR o.state = 'uncertain') RETURNING 1)
  SELECT count(*) FROM d
$$;
-- Accepted under this id. An answer that comes after the lease is still an answer.
CREATE OR REPLACE FUNCTION gateway.outbox_accepted(p_id bigint, p_attempt smallint, p_wamid text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  o gateway.outbox;
BEGIN
  -- before the job, for a status that completes it takes the two in this order
  PERFORM gateway.lock_message_keys(ARRAY(
    SELECT gateway.message_key(endpoint_id, p_wamid) FROM gateway.outbox WHERE id = p_id AND endpoint_id IS NOT NULL));
  DELETE FROM gateway.outbox WHERE id = p_id AND (attempts = p_attempt OR state = 'uncertain') RETURNING * INTO o;
  IF NOT FOUND THEN RETURN false; END IF;
  IF o.message_id IS NOT NULL THEN
    PERFORM gateway.message_sent(o.message_id, o.message_sent_at, p_wamid);
  END IF;
  RETURN true;
END $$;
CREATE OR REPLACE FUNCTION gateway.outbox_bury(o gateway.outbox, p_outcome text, p_error text, p_code integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM gateway.outbox WHERE id = o.id;
  INSERT INTO gateway.outbox_dead
      (id, kind, outcome, idempotency_key, order_key, landlord_id, person_id, purpose, message_id, message_sent_at,
       endpoint_id, downstream_id, payload, attempts, last_error, created_at)
    VALUES (o.id, o.kind, p_outcome, o.idempotency_key, o.order_key, o.landlord_id, o.person_id, o.purpose,
       o.message_id, o.message_sent_at, o.endpoint_id, o.downstream_id, o.payload, o.attempts, p_error, o.created_at);
  IF p_outcome = 'refused' THEN
    UPDATE gateway.whatsapp_messages
       SET outcome = 'refused', error_code = p_code, error_detail = p_error,
           status = CASE WHEN status = 'queued' THEN 'failed' ELSE status END,
           failed_at = CASE WHEN status = 'queued' THEN now() ELSE failed_at END
     WHERE sent_at = o.message_sent_at AND id = o.message_id AND direction = 'outgoing';
    -- a forward that cannot be delivered: the landlord has the message in the thread, not where they asked for it
    UPDATE gateway.whatsapp_messages SET routing_status = 'failed'
     WHERE sent_at = o.message_sent_at AND id = o.message_id AND direction = 'incoming'
       AND o.kind = 'landlord_forward' AND routing_status = 'delivered';
  END IF;
END $$;
-- Known not sent: again later, or refused for good. retry, dead, or lost (the lease was).
CREATE OR REPLACE FUNCTION gateway.outbox_fail(
  p_id bigint, p_attempt smallint, p_error text, p_retry_in interval, p_permanent boolean DEFAULT false,
  p_code integer DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  o gateway.outbox;
BEGIN
  SELECT * INTO o FROM gateway.outbox WHERE id = p_id AND attempts = p_attempt AND state = 'sending' FOR UPDATE;
  IF NOT FOUND THEN RETURN 'lost'; END IF;
  IF p_permanent OR o.attempts >= o.max_attempts THEN
    PERFORM gateway.outbox_bury(o, 'refused', p_error, p_code);
    RETURN 'dead';
  END IF;
  UPDATE gateway.outbox
     SET state = 'ready', next_attempt_at = now() + p_retry_in, claimed_by = NULL, last_error = p_error
   WHERE id = p_id;
  RETURN 'retry';
END $$;
-- Not known whether sent: a time-out after the request left, a lost connection, a 5xx without a word.
CREATE OR REPLACE FUNCTION gateway.outbox_uncertain(p_id bigint, p_attempt smallint, p_error text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  o gateway.outbox;
BEGIN
  UPDATE gateway.outbox SET state = 'uncertain', last_error = p_error,
         next_attempt_at = now() + make_interval(mins => gateway.setting('uncertain_wait_minutes')::integer)
   WHERE id = p_id AND attempts = p_attempt AND state = 'sending' RETURNING * INTO o;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE gateway.whatsapp_messages SET outcome = 'uncertain'
   WHERE sent_at = o.message_sent_at AND id = o.message_id AND direction = 'outgoing' AND outcome IS NULL;
  RETURN true;
END $$;
-- Every minute: no receipt within the wait. A late status still completes it, a human may revive it.
CREATE OR REPLACE FUNCTION gateway.outbox_sweep() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  o gateway.outbox;
  n integer := 0;
BEGIN
  FOR o IN SELECT * FROM gateway.outbox WHERE state = 'uncertain' AND next_attempt_at < now()
            FOR UPDATE SKIP LOCKED LOOP
    PERFORM gateway.outbox_bury(o, 'uncertain', coalesce(o.last_error, 'no answer and no status'), NULL);
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;
-- A human's decision to try dead jobs again.
CREATE OR REPLACE FUNCTION gateway.outbox_revive(p_ids bigint[]) RETURNS bigint LANGUAGE sql AS $$
  WITH d AS (DELETE FROM gateway.outbox_dead WHERE id = ANY (p_ids) RETURNING *),
  m AS (
    UPDATE gateway.whatsapp_messages m
       SET status = 'queued', outcome = NULL, failed_at = NULL, error_code = NULL, error_detail = NULL
      FROM d WHERE m.sent_at = d.message_sent_at AND m.id = d.message_id AND m.direction = 'outgoing'
       AND m.wamid IS NULL AND m.status IN ('queued', 'failed')),
  i AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, person_id, purpose, message_id,
        message_sent_at, endpoint_id, downstream_id, payload)
      SELECT kind, idempotency_key, order_key, landlord_id, person_id, purpose, message_id, message_sent_at,
             endpoint_id, downstream_id, payload FROM d
      ON CONFLICT (idempotency_key) DO NOTHING RETURNING 1)
  SELECT count(*) FROM i
$$;

CREATE TABLE IF NOT EXISTS gateway.downstream_endpoints (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  business_id uuid REFERENCES gateway.businesses (id) ON DELETE CASCADE,
  landlord_id uuid,
  url text NOT NULL CHECK (url LIKE 'https://%'),
  secret bytea NOT NULL,
  secret_key_id smallint NOT NULL REFERENCES gateway.encryption_keys (key_id),
  events text[] NOT NULL DEFAULT '{message.received,message.status}',
  is_active boolean NOT NULL DEFAULT true,
  consecutive_failures integer NOT NULL DEFAULT 0,
  disabled_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS downstream_endpoints_landlord_idx ON gateway.downstream_endpoints (landlord_id)
  WHERE is_active;
CREATE INDEX IF NOT EXISTS downstream_endpoints_business_idx ON gateway.downstream_endpoints (business_id)
  WHERE is_active;
