-- 0013 healing: what waited moves on once its reason has ended; what was stored undecoded is decoded again.

-- Moves a person's waiting messages into a thread, in order: the one way out of held and unclaimed. How many. Messages
-- from before p_since stay where they are. One more parameter makes another function: the former one goes.
DROP FUNCTION IF EXISTS gateway.attach_messages(uuid, uuid, uuid, uuid, uuid, text[], jsonb);
CREATE OR REPLACE FUNCTION gateway.attach_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_tenant uuid, p_property uuid, p_from text[], p_meta jsonb,
  p_since timestamptz DEFAULT '-infinity', p_lease uuid DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  withheld text;
  moved integer;
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.whatsapp_messages WHERE person_id = p_person AND conversation_id IS NULL
       AND endpoint_id = p_endpoint AND direction = 'incoming' AND routing_status = ANY (p_from)
       AND sent_at >= p_since) THEN
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
    UPDATE gateway.whatsapp_messages SET conversation_id = c.id, landlord_id = p_landlord, tenant_id = p_tenant,
           property_id = p_property, person_id = NULL, routing_status = coalesce(withheld, 'delivered'),
           routing_metadata = coalesce(routing_metadata, '{}') || p_meta
             || CASE WHEN withheld IS NULL THEN '{}' ELSE jsonb_build_object('withheld', withheld) END
     WHERE person_id = p_person AND conversation_id IS NULL AND endpoint_id = p_endpoint AND direction = 'incoming'
       AND routing_status = ANY (p_from) AND sent_at >= p_since
    RETURNING id, sent_at, body),
  files AS (
    UPDATE gateway.media f SET landlord_id = p_landlord FROM m
     WHERE f.message_sent_at = m.sent_at AND f.message_id = m.id),
  job AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
      SELECT 'landlord_forward', 'fwd:' || id, gateway.order_key('landlord_forward', c.id), p_landlord, id, sent_at,
             jsonb_build_object('text', body)
        FROM m WHERE withheld IS NULL AND gateway.setting('forward_to_landlord')::boolean ORDER BY sent_at, id
      ON CONFLICT DO NOTHING)
  UPDATE gateway.whatsapp_conversations w
     SET unread_count = w.unread_count + CASE c.status WHEN 'blocked' THEN 0 ELSE x.n END,
         last_message_at = coalesce(greatest(nullif(w.last_message_at, '-infinity'), x.t), now()),
         last_inbound_at = greatest(w.last_inbound_at, least(x.t, now())), updated_at = now()
    FROM (SELECT count(*)::integer AS n, max(sent_at) AS t FROM m) x WHERE w.id = c.id RETURNING x.n INTO moved;
  RETURN moved;
END $$;

-- Unclaimed messages. Who leads where is decided by the resolver, as for a message that comes in now; the database
-- says who waits, and whether the lease that was chosen still holds. The former claim_unclaimed() decided by itself.
DROP FUNCTION IF EXISTS gateway.claim_unclaimed(bigint[]);
CREATE OR REPLACE FUNCTION gateway.claim_since() RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT now() - make_interval(days => gateway.setting('claim_unclaimed_days')::integer) $$;

-- People somebody is known by: those with these numbers, now or before they moved, and with these account ids.
CREATE OR REPLACE FUNCTION gateway.people_known_by(
  p_keys bigint[], p_kinds text[], p_scopes text[], p_values text[])
RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  SELECT i.person_id FROM unnest(p_keys) k CROSS JOIN LATERAL (
    SELECT x.person_id FROM gateway.identities x WHERE x.value = k::text AND x.kind = 'phone'
       AND (x.retired_at IS NULL OR x.retired_reason = 'number_change') OFFSET 0) i
  UNION
  SELECT i.person_id FROM unnest(p_kinds, p_scopes, p_values) u(kind, scope, value) CROSS JOIN LATERAL (
    SELECT x.person_id FROM gateway.identities x WHERE x.value = u.value AND x.kind = u.kind AND x.scope = u.scope
       AND x.retired_at IS NULL OFFSET 0) i
$$;

-- People with unclaimed messages, in the order of their ids, after one of them: to go through all in steps.
CREATE OR REPLACE FUNCTION gateway.people_unclaimed(p_after uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT m.person_id FROM gateway.whatsapp_messages m
   WHERE m.conversation_id IS NULL AND m.person_id > p_after AND m.direction = 'incoming'
     AND m.routing_status = 'unknown_sender' AND m.sent_at >= gateway.claim_since()
   ORDER BY m.person_id LIMIT p_limit
$$;

-- Of these people, those with unclaimed messages to whom a lease or a thread leads by now: whom they wrote to, and what
-- they are known by there. Strangers, who are the most, cost some index probes each.
CREATE OR REPLACE FUNCTION gateway.unclaimed_senders(p_people uuid[])
RETURNS TABLE (person_id uuid, endpoint_id uuid, endpoint_kind text, endpoint_provider_id text, phone bigint,
               account_id text)
LANGUAGE sql STABLE AS $$
  SELECT u.id, e.id, e.kind, e.provider_id, p.dial, a.value
    FROM unnest(p_people) u(id)
   CROSS JOIN LATERAL (
     SELECT DISTINCT x.endpoint_id FROM gateway.whatsapp_messages x
      WHERE x.person_id = u.id AND x.conversation_id IS NULL AND x.direction = 'incoming'
        AND x.routing_status = 'unknown_sender' AND x.sent_at >= gateway.claim_since()) w
    JOIN gateway.endpoints e ON e.id = w.endpoint_id
    LEFT JOIN LATERAL (
      SELECT coalesce(i.dial, i.phone_key) AS dial FROM gateway.identities i WHERE i.person_id = u.id
         AND i.kind = 'phone' AND i.scope = e.phone_scope AND i.retired_at IS NULL LIMIT 1) p ON true
    LEFT JOIN LATERAL (
      SELECT i.value FROM gateway.identities i WHERE i.person_id = u.id AND i.kind = e.id_kind
         AND i.scope = e.id_scope AND i.retired_at IS NULL LIMIT 1) a ON true
   WHERE EXISTS (SELECT FROM gateway.identities i JOIN gateway.routes r ON r.phone_key = i.phone_key
                  WHERE i.person_id = u.id AND i.kind = 'phone'
                    AND (i.retired_at IS NULL OR i.retired_reason = 'number_change'))
      OR EXISTS (SELECT FROM gateway.whatsapp_conversations c WHERE c.person_id = u.id)
   ORDER BY u.id, e.id
$$;

-- Gives all that a person has unclaimed at an endpoint to the landlord the resolver found, or, without one, holds it.
-- How many messages; NULL = the lease or thread does not hold (any more), and nothing was done. The person is locked,
-- so that two gateways claim one after the other, and nobody is absorbed meanwhile.
CREATE OR REPLACE FUNCTION gateway.claim_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_tenant uuid, p_property uuid, p_lease uuid, p_route_key bigint,
  p_conversation uuid, p_meta jsonb)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := gateway.claim_since();
  meta jsonb := p_meta || jsonb_build_object('claimed_at', now());
  grace integer := gateway.setting('lease_grace_days')::integer;
  r gateway.routes;
  c gateway.whatsapp_conversations;
  n integer;
BEGIN
  PERFORM 1 FROM gateway.people WHERE id = p_person AND merged_into IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF p_landlord IS NULL THEN
    UPDATE gateway.whatsapp_messages
       SET routing_status = 'ambiguous', routing_metadata = coalesce(routing_metadata, '{}') || meta
     WHERE person_id = p_person AND conversation_id IS NULL AND endpoint_id = p_endpoint AND direction = 'incoming'
       AND routing_status = 'unknown_sender' AND sent_at >= since;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
  END IF;
  IF p_conversation IS NOT NULL THEN
    SELECT * INTO c FROM gateway.whatsapp_conversations x
     WHERE x.id = p_conversation AND x.landlord_id = p_landlord AND x.person_id = p_person;
    IF NOT FOUND THEN RETURN NULL; END IF;
  ELSE
    SELECT * INTO r FROM gateway.routes x WHERE x.tenant_id = p_tenant AND x.lease_id = p_lease
       AND x.landlord_id = p_landlord AND x.phone_key = p_route_key
       AND coalesce(x.valid_from <= current_date + 1, true)
       AND coalesce(x.valid_until + grace >= current_date - 1, x.lease_status = 'active');
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  RETURN gateway.attach_messages(p_person, p_endpoint, p_landlord, coalesce(c.tenant_id, r.tenant_id),
    coalesce(r.property_id, c.property_id, p_property), '{unknown_sender}', meta, since, r.lease_id);
END $$;

-- Withheld messages. Nothing sets over_limit yet; what does will say when its reason ends.
CREATE INDEX IF NOT EXISTS whatsapp_messages_withheld_idx
  ON gateway.whatsapp_messages (landlord_id, conversation_id, sent_at)
  WHERE routing_status IN ('opted_out', 'blocked');

-- Landlords with withheld messages who are switched on, in the order of their ids, after one of them. From landlord to
-- landlord through the index, however much is withheld for each.
CREATE OR REPLACE FUNCTION gateway.landlords_withheld(p_after uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE l AS (
    (SELECT m.landlord_id AS id FROM gateway.whatsapp_messages m
      WHERE m.routing_status IN ('opted_out', 'blocked') AND m.landlord_id > p_after ORDER BY m.landlord_id LIMIT 1)
    UNION ALL
    SELECT n.id FROM l CROSS JOIN LATERAL (
      SELECT m.landlord_id AS id FROM gateway.whatsapp_messages m
       WHERE m.routing_status IN ('opted_out', 'blocked') AND m.landlord_id > l.id ORDER BY m.landlord_id LIMIT 1) n)
  SELECT l.id FROM l JOIN gateway.route_landlords r ON r.landlord_id = l.id AND r.whatsapp_enabled
   ORDER BY l.id LIMIT p_limit
$$;

-- The threads of some landlords whose withheld messages may go on.
CREATE OR REPLACE FUNCTION gateway.threads_to_release(p_landlords uuid[]) RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  SELECT c.id FROM unnest(p_landlords) u(id)
    JOIN gateway.route_landlords r ON r.landlord_id = u.id
   CROSS JOIN LATERAL (
     WITH RECURSIVE t AS (
       (SELECT m.conversation_id AS id FROM gateway.whatsapp_messages m
         WHERE m.routing_status IN ('opted_out', 'blocked') AND m.landlord_id = u.id
         ORDER BY m.conversation_id LIMIT 1)
       UNION ALL
       SELECT n.id FROM t CROSS JOIN LATERAL (
         SELECT m.conversation_id AS id FROM gateway.whatsapp_messages m
          WHERE m.routing_status IN ('opted_out', 'blocked') AND m.landlord_id = u.id AND m.conversation_id > t.id
          ORDER BY m.conversation_id LIMIT 1) n)
     SELECT id FROM t) w
    JOIN gateway.whatsapp_conversations c ON c.id = w.id
   WHERE gateway.withheld_status(c.status, r.whatsapp_enabled) IS NULL
   ORDER BY u.id, c.id
$$;

-- Lets the oldest withheld messages of a thread go on, if nothing withholds them any more. How many; fewer than the
-- limit = all. The reason stays on record. What came while the thread was blocked was not counted as unread; it is now.
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
    UPDATE gateway.whatsapp_messages w SET routing_status = 'delivered',
           routing_metadata = coalesce(w.routing_metadata, '{}')
             || jsonb_build_object('withheld', due.reason, 'released_at', now())
      FROM due WHERE w.sent_at = due.sent_at AND w.id = due.id
    RETURNING w.id, w.sent_at, w.body, due.reason),
  job AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
      SELECT 'landlord_forward', 'fwd:' || id, gateway.order_key('landlord_forward', c.id), c.landlord_id, id, sent_at,
             jsonb_build_object('text', body)
        FROM m WHERE gateway.setting('forward_to_landlord')::boolean ORDER BY sent_at, id
      ON CONFLICT DO NOTHING),
  counted AS (
    UPDATE gateway.whatsapp_conversations w SET unread_count = w.unread_count + x.n, updated_at = now()
      FROM (SELECT count(*)::integer AS n FROM m WHERE reason = 'blocked') x WHERE w.id = c.id)
  SELECT count(*) INTO n FROM m;
  RETURN n;
END $$;

-- A thread that is unblocked is news of its landlord: the feed carries it to whoever releases. Recording never sets the
-- status, so it does not pay for this.
CREATE OR REPLACE FUNCTION gateway.on_unblock() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO gateway.route_changes (kind, landlord_id) VALUES ('l', NEW.landlord_id);
  PERFORM gateway.notify_routes();
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER conversation_unblocked AFTER UPDATE OF status ON gateway.whatsapp_conversations
  FOR EACH ROW WHEN (OLD.status = 'blocked' AND NEW.status <> 'blocked') EXECUTE FUNCTION gateway.on_unblock();

-- Replay: stored webhooks decoded again, in the order of (received_at, journal, position), a slice a transaction.
ALTER TABLE gateway.webhook_replays
  ADD COLUMN IF NOT EXISTS actor text,
  ADD COLUMN IF NOT EXISTS cursor_journal integer,
  ADD COLUMN IF NOT EXISTS recorded bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS refreshed bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS files bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS statuses bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS refused bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS updated_at timestamptz;
CREATE INDEX IF NOT EXISTS webhook_replays_open_idx ON gateway.webhook_replays (id) WHERE finished_at IS NULL;

CREATE OR REPLACE FUNCTION gateway.request_replay(
  p_source text, p_from timestamptz, p_to timestamptz, p_actor text, p_actor_id uuid DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  INSERT INTO gateway.webhook_replays (requested_by, actor, source, from_at, to_at, only_failed)
    VALUES (p_actor_id, p_actor, p_source, p_from, p_to, false) RETURNING id INTO n;
  INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, detail)
    VALUES (p_actor_id, p_actor, 'replay.request', 'webhook_replay', n,
            jsonb_build_object('source', p_source, 'from', p_from, 'to', p_to));
  RETURN n;
END $$;

-- Stored webhooks of a span after a place, with the indexes of their updates that are parked: those have a way of
-- their own. At most so many, and no more once so many bytes are full; one always comes.
CREATE OR REPLACE FUNCTION gateway.stored_webhooks(
  p_from timestamptz, p_to timestamptz, p_source text, p_at timestamptz, p_journal integer, p_pos bigint,
  p_limit integer, p_bytes bigint)
RETURNS TABLE (received_at timestamptz, journal_id integer, journal_pos bigint, source text, payload bytea,
               parked integer[])
LANGUAGE sql STABLE AS $$
  SELECT x.received_at, x.journal_id, x.journal_pos, x.source, x.payload,
         CASE WHEN x.parked > 0 THEN ARRAY(SELECT u.idx FROM gateway.parked_updates u WHERE u.hash = sha256(x.payload))
              ELSE '{}' END
    FROM (
      SELECT w.*, sum(octet_length(w.payload)) OVER o - octet_length(w.payload) AS before FROM (
        SELECT l.* FROM gateway.webhook_log l
         WHERE l.received_at >= coalesce(p_at, p_from) AND l.received_at < p_to
           AND (p_at IS NULL OR (l.received_at, l.journal_id, l.journal_pos) > (p_at, p_journal, p_pos))
           AND (p_source IS NULL OR l.source = p_source)
         ORDER BY l.received_at, l.journal_id, l.journal_pos LIMIT p_limit) w
      WINDOW o AS (ORDER BY w.received_at, w.journal_id, w.journal_pos)) x
   WHERE x.before < p_bytes ORDER BY 1, 2, 3
$$;

-- What today's decoder makes of messages, beside what is recorded of them. Only a message whose bytes were kept was
-- perhaps not understood; what is understood less by now keeps what it had.
CREATE OR REPLACE FUNCTION gateway.compare_messages(
  p_endpoint uuid[], p_wamid text[], p_body text[], p_quoted text[], p_file text[])
RETURNS TABLE (n bigint, message_id uuid, sent_at timestamptz, is_refreshed boolean, lacks_file boolean)
LANGUAGE sql STABLE AS $$
  SELECT u.n, k.message_id, k.sent_at,
         coalesce(m.raw IS NOT NULL AND (coalesce(u.body <> m.body, u.body IS NOT NULL)
                                      OR coalesce(u.quoted <> m.context_wamid, u.quoted IS NOT NULL)), false),
         m.id IS NOT NULL AND u.file IS NOT NULL
           AND NOT EXISTS (SELECT FROM gateway.media f WHERE f.message_sent_at = m.sent_at AND f.message_id = m.id)
    FROM unnest(p_endpoint, p_wamid, p_body, p_quoted, p_file) WITH ORDINALITY
      AS u(endpoint, wamid, body, quoted, file, n)
    LEFT JOIN LATERAL (SELECT * FROM gateway.message_ids x
                        WHERE x.key = gateway.message_key(u.endpoint, u.wamid) LIMIT 1) k ON true
    LEFT JOIN LATERAL (SELECT * FROM gateway.whatsapp_messages x WHERE x.sent_at = k.sent_at AND x.id = k.message_id
                          AND x.direction = 'incoming' LIMIT 1) m ON true
$$;

-- After a slice's messages went through the recording statement in the same transaction: moves the verdicts of the new
-- ones from `ignored` in their webhooks' rows, and those of statuses that were none before; brings the others up to
-- date. A row of webhooks: its place, its updates and statuses as today's decoder finds them. A row of messages: its
-- webhook (from 1), the id it was given now, and what was understood.
CREATE OR REPLACE FUNCTION gateway.apply_replay(
  w_journal integer[], w_pos bigint[], w_at timestamptz[], w_updates integer[], w_statuses integer[],
  m_webhook integer[], m_id uuid[], m_sent_at timestamptz[], m_endpoint uuid[], m_wamid text[], m_body text[],
  m_quoted text[], f_id text[], f_mime text[], f_sha256 text[], f_name text[])
RETURNS TABLE (recorded integer, refreshed integer, files integer) LANGUAGE plpgsql AS $$
DECLARE
  made integer;
  changed integer;
  added integer;
BEGIN
  -- provenance: the recording statement knows its own journal alone
  UPDATE gateway.whatsapp_messages x SET journal_id = w_journal[u.w], journal_pos = w_pos[u.w]
    FROM unnest(m_webhook, m_id, m_sent_at) u(w, id, at) WHERE x.sent_at = u.at AND x.id = u.id;
  GET DIAGNOSTICS made = ROW_COUNT;
  WITH fresh AS (
    SELECT u.w, count(*)::integer AS n,
           count(*) FILTER (WHERE x.routing_status = 'delivered')::integer AS routed,
           count(*) FILTER (WHERE x.routing_status IN ('opted_out', 'blocked', 'over_limit'))::integer AS withheld,
           count(*) FILTER (WHERE x.routing_status = 'ambiguous')::integer AS held,
           count(*) FILTER (WHERE x.routing_status = 'unknown_sender')::integer AS unclaimed
      FROM unnest(m_webhook, m_id, m_sent_at) u(w, id, at)
      JOIN gateway.whatsapp_messages x ON x.sent_at = u.at AND x.id = u.id GROUP BY u.w),
  -- Room: what was ignored, and what the decoder tells apart now that was one update before. A message for which there
  -- is none had its verdict, and was deleted since.
  moves AS (
    SELECT l.received_at, l.journal_id, l.journal_pos, l.ignored, f.*,
           greatest(0, least(w.statuses - l.status_applied,
             l.ignored + greatest(0, w.updates - l.updates) - coalesce(f.n, 0))) AS s
      FROM unnest(w_journal, w_pos, w_at, w_updates, w_statuses) WITH ORDINALITY
             AS w(journal, pos, at, updates, statuses, n)
      JOIN gateway.webhook_log l ON l.received_at = w.at AND l.journal_id = w.journal AND l.journal_pos = w.pos
      LEFT JOIN fresh f ON f.w = w.n
     WHERE coalesce(f.n, 0) <= l.ignored + greatest(0, w.updates - l.updates))
  UPDATE gateway.webhook_log l
     SET updates = l.updates + greatest(0, coalesce(m.n, 0) + m.s - m.ignored),
         ignored = greatest(0, l.ignored - coalesce(m.n, 0) - m.s),
         routed = l.routed + coalesce(m.routed, 0), withheld = l.withheld + coalesce(m.withheld, 0),
         held = l.held + coalesce(m.held, 0), unclaimed = l.unclaimed + coalesce(m.unclaimed, 0),
         status_applied = l.status_applied + m.s
    FROM moves m
   WHERE l.received_at = m.received_at AND l.journal_id = m.journal_id AND l.journal_pos = m.journal_pos
     AND (m.n > 0 OR m.s > 0);
  WITH c AS MATERIALIZED (
    SELECT DISTINCT ON (x.message_id) x.*, m_body[x.n] AS body, m_quoted[x.n] AS quoted, f_id[x.n] AS file_id,
           f_mime[x.n] AS mime, f_sha256[x.n] AS hash, f_name[x.n] AS name
      FROM gateway.compare_messages(m_endpoint, m_wamid, m_body, m_quoted, f_id) x
     WHERE x.is_refreshed OR x.lacks_file ORDER BY x.message_id, x.n),
  told AS (
    UPDATE gateway.whatsapp_messages x
       SET body = coalesce(c.body, x.body), context_wamid = coalesce(c.quoted, x.context_wamid)
      FROM c WHERE c.is_refreshed AND x.sent_at = c.sent_at AND x.id = c.message_id RETURNING 1),
  filed AS (
    INSERT INTO gateway.media (message_id, message_sent_at, landlord_id, provider_media_id, mime_type, sha256,
        file_name)
      SELECT c.message_id, c.sent_at, x.landlord_id, c.file_id, c.mime,
             CASE WHEN c.hash ~ '^[0-9A-Fa-f]{64}$' THEN decode(c.hash, 'hex')
                  WHEN c.hash ~ '^[A-Za-z0-9+/]{43}=$' THEN decode(c.hash, 'base64') END, c.name
        FROM c JOIN gateway.whatsapp_messages x ON x.sent_at = c.sent_at AND x.id = c.message_id
       WHERE c.lacks_file RETURNING 1)
  SELECT (SELECT count(*) FROM told), (SELECT count(*) FROM filed) INTO changed, added;
  RETURN QUERY SELECT made, changed, added;
END $$;

-- An administrator's verdict on two people who may be one, on the record. ZR404: no such open conflict.
CREATE OR REPLACE FUNCTION gateway.inbox_close_conflict(
  p_id uuid, p_merge boolean, p_actor text, p_actor_id uuid DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM gateway.identity_conflicts WHERE id = p_id AND status = 'open';
  IF NOT FOUND THEN RAISE EXCEPTION 'no such conflict is open' USING ERRCODE = 'ZR404'; END IF;
  PERFORM gateway.close_conflict(p_id, p_merge, p_actor_id);
  INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, detail)
    VALUES (p_actor_id, p_actor, 'inbox.conflict', 'identity_conflict', p_id,
            jsonb_build_object('verdict', CASE WHEN p_merge THEN 'merged' ELSE 'kept_apart' END));
END $$;

SELECT gateway.guard_tables();
