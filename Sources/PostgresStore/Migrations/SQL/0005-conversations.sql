-- 0005 conversations: threads, messages by month, provider ids, statuses, costs, media.

-- One for a (landlord, channel, person, tenant). The person keeps a thread whole over a change of number; the tenant
-- keeps two humans apart who had one number after the other (the landlord's own data says "somebody else now").
-- tenant NULL = taken by hand. People who share a phone at one landlord share a thread; see conversation_participants.
CREATE TABLE IF NOT EXISTS gateway.whatsapp_conversations (
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  landlord_id uuid NOT NULL,
  tenant_id uuid,
  person_id uuid NOT NULL REFERENCES gateway.people (id),
  endpoint_id uuid NOT NULL REFERENCES gateway.endpoints (id),   -- where the last message came in; answers leave here
  tenant_phone gateway.e164,                                     -- the person's present number where known: to dial
  phone_key bigint,
  property_id uuid,
  lease_id uuid,
  business_id uuid,
  customer_id uuid,
  channel gateway.channel NOT NULL DEFAULT 'WHATSAPP',
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived', 'blocked')),
  unread_count integer NOT NULL DEFAULT 0 CHECK (unread_count >= 0),
  last_message_at timestamptz NOT NULL DEFAULT now(),
  last_inbound_at timestamptz,                                   -- see window_until()
  last_outbound_at timestamptz,                                  -- when the landlord spoke last, set when queued
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (id, landlord_id),                                      -- what messages refer to: no crossing of landlords
  CONSTRAINT whatsapp_conversations_key UNIQUE NULLS NOT DISTINCT (landlord_id, channel, person_id, tenant_id)
) WITH (fillfactor = 70);          -- no index holds last_message_at, so that updates stay inside the page
CREATE INDEX IF NOT EXISTS whatsapp_conversations_person_idx ON gateway.whatsapp_conversations (person_id);
CREATE OR REPLACE VIEW gateway.conversation_participants WITH (security_invoker = true) AS
  SELECT DISTINCT c.id AS conversation_id, c.landlord_id, r.tenant_id, r.tenant_name
    FROM gateway.whatsapp_conversations c
    JOIN gateway.routes r ON r.landlord_id = c.landlord_id AND r.phone_key = c.phone_key;

CREATE TABLE IF NOT EXISTS gateway.whatsapp_messages (
  id uuid NOT NULL DEFAULT gateway.uuid7(),
  sent_at timestamptz NOT NULL,                -- the provider's time when incoming, of queueing when outgoing
  conversation_id uuid,
  landlord_id uuid,
  tenant_id uuid,
  property_id uuid,
  endpoint_id uuid NOT NULL,
  person_id uuid,                              -- while there is no conversation; afterwards the conversation knows
  tenant_phone gateway.e164,
  channel gateway.channel NOT NULL DEFAULT 'WHATSAPP',
  direction text NOT NULL CHECK (direction IN ('incoming', 'outgoing')),
  is_from_tenant boolean GENERATED ALWAYS AS (direction = 'incoming') STORED,
  wamid text,                                  -- the provider's id, on any channel
  context_wamid text,                          -- of the message it quotes
  message_type text NOT NULL DEFAULT 'text',
  body text,
  raw bytea,                                   -- the JSON of a type that is not understood yet
  landlord_signature text,
  status gateway.message_status NOT NULL,
  delivered_at timestamptz,
  read_at timestamptz,
  failed_at timestamptz,
  outcome text CHECK (outcome IN ('accepted', 'refused', 'uncertain')),      -- of our send call
  error_code integer,
  error_detail text,
  routing_status gateway.routing_status NOT NULL DEFAULT 'pending',
  routing_metadata jsonb,
  journal_id integer,
  journal_pos bigint,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (sent_at, id),
  FOREIGN KEY (conversation_id, landlord_id) REFERENCES gateway.whatsapp_conversations (id, landlord_id),
  CONSTRAINT messages_owned CHECK ((conversation_id IS NULL) = (landlord_id IS NULL)
                               AND (conversation_id IS NULL) = (person_id IS NOT NULL))
) PARTITION BY RANGE (sent_at);
CREATE INDEX IF NOT EXISTS whatsapp_messages_conversation_idx
  ON gateway.whatsapp_messages (conversation_id, sent_at DESC);
CREATE INDEX IF NOT EXISTS whatsapp_messages_landlord_tenant_idx
  ON gateway.whatsapp_messages (landlord_id, tenant_id, sent_at DESC);
CREATE INDEX IF NOT EXISTS whatsapp_messages_unrouted_idx
  ON gateway.whatsapp_messages (person_id, sent_at DESC) WHERE conversation_id IS NULL;

-- (endpoint, provider's id) -> message: the one place where a provider's id is unique over all months, and where
-- statuses and quotes find their message. A hash of 16 bytes: a third of the index a text key would need.
CREATE OR REPLACE FUNCTION gateway.message_key(p_endpoint uuid, p_id text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT md5(p_endpoint::text || p_id)::uuid $$;
CREATE TABLE IF NOT EXISTS gateway.message_ids (
  key uuid PRIMARY KEY,
  message_id uuid NOT NULL,
  sent_at timestamptz NOT NULL);
-- BRIN: rows come in the order of time, and only the pruner reads by it.
CREATE INDEX IF NOT EXISTS message_ids_sent_brin ON gateway.message_ids USING brin (sent_at);

-- WhatsApp's free-form window belongs to the number and the human: a message to another landlord opens it, an
-- unclaimed one too.
CREATE OR REPLACE FUNCTION gateway.window_until(p_endpoint uuid, p_person uuid) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT max(at) + interval '24 hours' FROM (
    SELECT max(last_inbound_at) AS at FROM gateway.whatsapp_conversations
     WHERE person_id = p_person AND endpoint_id = p_endpoint
    UNION ALL
    SELECT max(least(sent_at, now())) FROM gateway.whatsapp_messages
     WHERE person_id = p_person AND conversation_id IS NULL AND endpoint_id = p_endpoint
       AND direction = 'incoming' AND sent_at > now() - interval '24 hours') x
$$;

-- A status that came before its message was known: the webhook was faster than the answer to our send.
CREATE TABLE IF NOT EXISTS gateway.pending_statuses (
  key uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  wamid text NOT NULL,
  status gateway.message_status NOT NULL,
  at timestamptz NOT NULL,
  error_code integer,
  error_detail text,
  pricing jsonb,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (key, status));

-- What Meta bills, once a message, from the pricing object of a status. Amounts come from the day's price list.
CREATE TABLE IF NOT EXISTS gateway.message_costs (
  message_id uuid PRIMARY KEY,
  at timestamptz NOT NULL,
  landlord_id uuid,
  endpoint_id uuid NOT NULL,
  category text NOT NULL,
  type text,
  model text,
  billable boolean NOT NULL);
CREATE INDEX IF NOT EXISTS message_costs_landlord_idx ON gateway.message_costs (landlord_id, at);
CREATE TABLE IF NOT EXISTS gateway.prices (
  category text NOT NULL,
  valid_from date NOT NULL,
  amount numeric(12,6) NOT NULL CHECK (amount >= 0),
  currency text NOT NULL,
  PRIMARY KEY (category, valid_from));
CREATE OR REPLACE VIEW gateway.costs_by_month WITH (security_invoker = true) AS
  SELECT c.landlord_id, date_trunc('month', c.at, 'UTC') AS month, c.category, count(*) AS messages,
         count(*) FILTER (WHERE c.billable) AS billable, sum(p.amount) FILTER (WHERE c.billable) AS amount, p.currency
    FROM gateway.message_costs c
    LEFT JOIN LATERAL (SELECT p.amount, p.currency FROM gateway.prices p
                        WHERE p.category = c.category AND p.valid_from <= c.at::date
                        ORDER BY p.valid_from DESC LIMIT 1) p ON true
   GROUP BY 1, 2, 3, 7;

-- Messaging.DeliveryStatus.rank gives the same numbers. failed stands below delivered: a late failure on one of a
-- person's devices does not undo a delivery, a late delivery undoes a failure.
CREATE OR REPLACE FUNCTION gateway.status_rank(s text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE s WHEN 'sent' THEN 1 WHEN 'failed' THEN 2 WHEN 'delivered' THEN 3 WHEN 'read' THEN 4
                WHEN 'played' THEN 5 WHEN 'deleted' THEN 6 ELSE 0 END
$$;

-- Provider ids nobody knows yet are locked by hash bucket, in order, by whoever is about to look one up or to make
-- one known. Else a status could miss the id and the id miss the status, and it would wait for ever.
CREATE OR REPLACE FUNCTION gateway.lock_message_keys(p_keys uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1735288187, bucket)
     FROM (SELECT DISTINCT hashtext(k::text) & 1023 AS bucket FROM unnest(p_keys) k
            WHERE NOT EXISTS (SELECT FROM gateway.message_ids m WHERE m.key = k) ORDER BY 1) b;
END $$;

-- A batch of statuses, in any order and any number of times: the rank only climbs, the first time of each stage
-- stays. p_ours and p_ours_at are our message's id and time, read back from biz_opaque_callback_data: with them a
-- status for an id we do not know is the receipt of a send whose answer was lost. It completes message and job.
CREATE OR REPLACE FUNCTION gateway.apply_statuses(
  p_endpoint uuid[], p_wamid text[], p_status text[], p_at timestamptz[], p_code integer[], p_detail text[],
  p_pricing jsonb[] DEFAULT NULL, p_ours uuid[] DEFAULT NULL, p_ours_at timestamptz[] DEFAULT NULL)
RETURNS TABLE (applied bigint, waiting bigint) LANGUAGE plpgsql AS $$
DECLARE
  made_known uuid[];
BEGIN
  PERFORM gateway.lock_message_keys(ARRAY(
    SELECT gateway.message_key(u.e, u.w) FROM unnest(p_endpoint, p_wamid) u(e, w)));
  IF array_length(p_ours, 1) > 0 THEN
    -- a worker locks the job before the message, so do we
    PERFORM 1 FROM gateway.outbox
      WHERE idempotency_key = ANY (ARRAY(SELECT 'msg:' || o FROM unnest(p_ours) o)) ORDER BY id FOR UPDATE;
    WITH u AS MATERIALIZED (
      SELECT DISTINCT ON (k) gateway.message_key(u.e, u.w) AS k, u.*
        FROM unnest(p_endpoint, p_wamid, p_ours, p_ours_at) AS u(e, w, o, oa) WHERE u.o IS NOT NULL ORDER BY 1),
    m AS MATERIALIZED (           -- another app of the account may write the same field: only what is ours and open
      SELECT DISTINCT ON (m.id) u.k, u.w, m.id, m.sent_at
        FROM u JOIN gateway.whatsapp_messages m ON m.sent_at = u.oa AND m.id = u.o AND m.endpoint_id = u.e
         AND m.direction = 'outgoing' AND m.wamid IS NULL
       WHERE NOT EXISTS (SELECT FROM gateway.message_ids x WHERE x.key = u.k) ORDER BY m.id),
    known AS (
      INSERT INTO gateway.message_ids (key, message_id, sent_at) SELECT k, id, sent_at FROM m
        ON CONFLICT DO NOTHING RETURNING key),
    completed AS (
      UPDATE gateway.whatsapp_messages w
         SET wamid = m.w, outcome = 'accepted', status = CASE WHEN w.status = 'queued' THEN 'sent' ELSE w.status END
        FROM m WHERE w.id = m.id AND w.sent_at = m.sent_at),
    buried AS (DELETE FROM gateway.outbox_dead d USING m WHERE d.idempotency_key = 'msg:' || m.id),
    queued AS (DELETE FROM gateway.outbox o USING m WHERE o.idempotency_key = 'msg:' || m.id)
    SELECT array_agg(key) INTO made_known FROM known;
    IF made_known IS NOT NULL THEN PERFORM gateway.drain_pending_statuses(made_known); END IF;
  END IF;
  RETURN QUERY
  WITH i AS MATERIALIZED (
    SELECT gateway.message_key(u.endpoint_id, u.wamid) AS key, u.*
      FROM unnest(p_endpoint, p_wamid, p_status, p_at, p_code, p_detail, p_pricing)
        AS u(endpoint_id, wamid, status, at, code, detail, pricing)),
  g AS MATERIALIZED (
    SELECT i.key, m.message_id, m.sent_at, (array_agg(i.endpoint_id))[1] AS endpoint_id,
           (array_agg(i.status ORDER BY gateway.status_rank(i.status) DESC))[1] AS top,
           min(i.at) FILTER (WHERE i.status = 'delivered') AS delivered,
           min(i.at) FILTER (WHERE i.status IN ('read', 'played')) AS read,
           min(i.at) FILTER (WHERE i.status = 'failed') AS failed,
           max(i.code) AS code, max(i.detail) AS detail,
           (array_agg(i.pricing) FILTER (WHERE i.pricing IS NOT NULL))[1] AS pricing, min(i.at) AS at
      FROM i LEFT JOIN gateway.message_ids m USING (key) GROUP BY 1, 2, 3),
  wait AS (
    INSERT INTO gateway.pending_statuses (key, endpoint_id, wamid, status, at, error_code, error_detail, pricing)
      SELECT DISTINCT ON (i.key, i.status) i.key, i.endpoint_id, i.wamid, i.status, i.at, i.code, i.detail, i.pricing
        FROM i JOIN g USING (key) WHERE g.message_id IS NULL ORDER BY i.key, i.status, i.at
      ON CONFLICT DO NOTHING RETURNING 1),
  cost AS (
    INSERT INTO gateway.message_costs (message_id, at, landlord_id, endpoint_id, category, type, model, billable)
      SELECT g.message_id, g.at, m.landlord_id, g.endpoint_id, coalesce(g.pricing ->> 'category', 'unknown'),
             g.pricing ->> 'type', g.pricing ->> 'pricing_model', coalesce((g.pricing ->> 'billable')::boolean, true)
        FROM g JOIN gateway.whatsapp_messages m ON m.sent_at = g.sent_at AND m.id = g.message_id
         AND m.direction = 'outgoing'
       WHERE g.pricing IS NOT NULL
      ON CONFLICT DO NOTHING),
  up AS (
    UPDATE gateway.whatsapp_messages m SET
           status = CASE WHEN gateway.status_rank(g.top) > gateway.status_rank(m.status) THEN g.top ELSE m.status END,
           delivered_at = least(m.delivered_at, g.delivered), read_at = least(m.read_at, g.read),
           failed_at = least(m.failed_at, g.failed),
           error_code = coalesce(m.error_code, g.code), error_detail = coalesce(m.error_detail, g.detail)
      FROM g
     WHERE m.id = g.message_id AND m.sent_at = g.sent_at AND m.direction = 'outgoing'
       AND (gateway.status_rank(g.top) > gateway.status_rank(m.status)
         OR coalesce(g.delivered < m.delivered_at, g.delivered IS NOT NULL)
         OR coalesce(g.read < m.read_at, g.read IS NOT NULL)
         OR coalesce(g.failed < m.failed_at, g.failed IS NOT NULL)) RETURNING 1)
  SELECT (SELECT count(*) FROM up), (SELECT count(*) FROM wait);
END $$;

-- The answer to our send: the queued message gets its provider id, statuses that waited for it catch up. Harmless
-- when it comes twice.
CREATE OR REPLACE FUNCTION gateway.message_sent(p_id uuid, p_sent_at timestamptz, p_wamid text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  k uuid;
BEGIN
  SELECT gateway.message_key(endpoint_id, p_wamid) INTO k FROM gateway.whatsapp_messages
   WHERE id = p_id AND sent_at = p_sent_at AND direction = 'outgoing';
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM gateway.lock_message_keys(ARRAY[k]);
  UPDATE gateway.whatsapp_messages
     SET wamid = p_wamid, outcome = 'accepted', status = CASE WHEN status = 'queued' THEN 'sent' ELSE status END
   WHERE id = p_id AND sent_at = p_sent_at;
  INSERT INTO gateway.message_ids (key, message_id, sent_at) VALUES (k, p_id, p_sent_at) ON CONFLICT DO NOTHING;
  PERFORM gateway.drain_pending_statuses(ARRAY[k]);
END $$;
CREATE OR REPLACE FUNCTION gateway.drain_pending_statuses(p_keys uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  x record;
BEGIN
  WITH d AS (
    DELETE FROM gateway.pending_statuses p USING gateway.message_ids m
     WHERE p.key = m.key AND p.key = ANY (p_keys) RETURNING p.*)
  SELECT array_agg(endpoint_id) AS endpoints, array_agg(wamid) AS wamids, array_agg(status::text) AS statuses,
         array_agg(at) AS times, array_agg(error_code) AS codes, array_agg(error_detail) AS details,
         array_agg(pricing) AS pricing INTO x FROM d;
  IF x.wamids IS NOT NULL THEN
    PERFORM gateway.apply_statuses(x.endpoints, x.wamids, x.statuses, x.times, x.codes, x.details, x.pricing);
  END IF;
END $$;

CREATE TABLE IF NOT EXISTS gateway.media (
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  message_id uuid NOT NULL,
  message_sent_at timestamptz NOT NULL,
  landlord_id uuid,
  provider_media_id text NOT NULL,
  mime_type text,
  sha256 bytea,
  byte_size bigint,
  file_name text,
  storage_key text,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'stored', 'expired', 'failed', 'purged')),
  created_at timestamptz NOT NULL DEFAULT now(),
  stored_at timestamptz,
  FOREIGN KEY (message_sent_at, message_id) REFERENCES gateway.whatsapp_messages (sent_at, id) ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS media_message_idx ON gateway.media (message_sent_at, message_id);
CREATE INDEX IF NOT EXISTS media_landlord_idx ON gateway.media (landlord_id);
