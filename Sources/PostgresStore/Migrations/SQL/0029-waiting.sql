-- 0029 waiting: what waits between landlords goes on when its sender says whom they mean, or when one landlord is left.

-- As before (0016), and of these messages alone, where they are named.
DROP FUNCTION IF EXISTS gateway.attach_messages(
  uuid, uuid, uuid, uuid, uuid, text[], jsonb, timestamptz, uuid, timestamptz, uuid[]);
CREATE OR REPLACE FUNCTION gateway.attach_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_tenant uuid, p_property uuid, p_from text[], p_meta jsonb,
  p_since timestamptz DEFAULT '-infinity', p_lease uuid DEFAULT NULL,
  p_recorded_since timestamptz DEFAULT '-infinity', p_except uuid[] DEFAULT '{}',
  p_only uuid[] DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  withheld text;
  moved integer;
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.whatsapp_messages WHERE person_id = p_person AND conversation_id IS NULL
       AND endpoint_id = p_endpoint AND direction = 'incoming' AND routing_status = ANY (p_from)
       AND sent_at >= p_since AND recorded_at >= p_recorded_since AND id <> ALL (p_except)
       AND (p_only IS NULL OR id = ANY (p_only))) THEN
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
       AND x.recorded_at >= p_recorded_since AND x.id <> ALL (p_except) AND (p_only IS NULL OR x.id = ANY (p_only))
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

-- The landlords among candidates or choices, in order; none: NULL.
CREATE OR REPLACE FUNCTION gateway.landlords_among(p_choices jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT array_agg(DISTINCT c ->> 'landlord' ORDER BY c ->> 'landlord')
    FROM jsonb_array_elements(CASE jsonb_typeof(p_choices) WHEN 'array' THEN p_choices END) c
   WHERE c ? 'landlord'
$$;

-- A person's answer, filed already (0016): it holds in this transaction, and whatever waits between the same landlords
-- follows it into its thread, whenever it came; so does what came since they were asked; what came after the answer does
-- not. Whatever question of theirs is open is answered with it; a second answer finds nothing. How many.
CREATE OR REPLACE FUNCTION gateway.answer_question(
  m gateway.whatsapp_messages, p_question uuid, p_choice integer, p_except uuid[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c gateway.whatsapp_conversations;
  since timestamptz;
  landlords text[];
  moved integer := 0;
BEGIN
  SELECT * INTO c FROM gateway.whatsapp_conversations WHERE id = m.conversation_id;
  SELECT gateway.landlords_among(q.choices) INTO landlords FROM gateway.questions q
   WHERE q.id = p_question AND q.person_id = c.person_id AND q.endpoint_id = m.endpoint_id;
  IF c.id IS NULL OR NOT FOUND THEN RETURN 0; END IF;
  SELECT min(q.asked_at) INTO since FROM gateway.questions q
   WHERE q.person_id = c.person_id AND q.endpoint_id = m.endpoint_id
     AND (q.status = 'open' OR (q.id = p_question AND q.status = 'expired'));
  IF since IS NULL THEN RETURN 0; END IF;
  moved := gateway.attach_messages(c.person_id, m.endpoint_id, c.landlord_id, c.tenant_id,
    coalesce(m.property_id, c.property_id), '{ambiguous}',
    jsonb_build_object('rung', 'asked', 'question', p_question, 'choice', p_choice),
    '-infinity', c.lease_id, '-infinity', p_except, ARRAY(
      SELECT w.id FROM gateway.whatsapp_messages w
       WHERE w.person_id = c.person_id AND w.conversation_id IS NULL AND w.endpoint_id = m.endpoint_id
         AND w.direction = 'incoming' AND w.routing_status = 'ambiguous'
         AND (w.recorded_at >= since
           OR c.landlord_id::text = ANY (landlords)
              AND gateway.landlords_among(w.routing_metadata -> 'candidates') = landlords)));
  UPDATE gateway.questions q SET status = 'answered', answered_at = now(),
         answer = CASE WHEN q.id = p_question THEN p_choice END,
         released = CASE WHEN q.id = p_question THEN moved ELSE 0 END
   WHERE q.person_id = c.person_id AND q.endpoint_id = m.endpoint_id
     AND (q.status = 'open' OR (q.id = p_question AND q.status = 'expired'));
  RETURN moved;
END $$;

-- As before (0015), and of people with messages that wait between landlords.
CREATE OR REPLACE FUNCTION gateway.people_unclaimed(p_after uuid, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SET enable_sort = off SET enable_hashagg = off SET enable_seqscan = off AS $$
  SELECT DISTINCT m.person_id FROM gateway.whatsapp_messages m
   WHERE m.conversation_id IS NULL AND m.person_id > p_after AND m.direction = 'incoming'
     AND m.routing_status IN ('unknown_sender', 'ambiguous') AND m.sent_at >= gateway.claim_since()
   ORDER BY m.person_id LIMIT p_limit
$$;

-- A person's messages at an endpoint that may go to a landlord now, oldest first: nobody's, and, where one landlord is
-- left, those that were held between that one and others. While a question is open the answer is waited for.
CREATE OR REPLACE FUNCTION gateway.messages_to_claim(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_held boolean, p_limit integer)
RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  SELECT m.id FROM gateway.whatsapp_messages m
   WHERE m.person_id = p_person AND m.conversation_id IS NULL AND m.endpoint_id = p_endpoint
     AND m.direction = 'incoming' AND m.sent_at >= gateway.claim_since()
     AND (m.routing_status = 'unknown_sender'
       OR p_held AND m.routing_status = 'ambiguous'
          AND p_landlord::text = ANY (gateway.landlords_among(m.routing_metadata -> 'candidates'))
          AND NOT EXISTS (SELECT FROM gateway.questions q WHERE q.person_id = p_person
                             AND q.endpoint_id = p_endpoint AND q.status = 'open'))
   ORDER BY m.sent_at, m.id LIMIT p_limit
$$;

-- Of these people, as before (0013), those with messages that nobody has or that wait between landlords.
CREATE OR REPLACE FUNCTION gateway.unclaimed_senders(p_people uuid[])
RETURNS TABLE (person_id uuid, endpoint_id uuid, endpoint_kind text, endpoint_provider_id text, phone bigint,
               account_id text)
LANGUAGE sql STABLE AS $$
  SELECT u.id, e.id, e.kind, e.provider_id, p.dial, a.value
    FROM unnest(p_people) u(id)
   CROSS JOIN LATERAL (
     SELECT DISTINCT x.endpoint_id FROM gateway.whatsapp_messages x
      WHERE x.person_id = u.id AND x.conversation_id IS NULL AND x.direction = 'incoming'
        AND x.routing_status IN ('unknown_sender', 'ambiguous') AND x.sent_at >= gateway.claim_since()) w
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

-- As before (0018), in steps: no more than so many messages, oldest first. p_held: the landlord is the only one left, so
-- that what was held between them and others goes on, too. Their own endpoint is nobody else's.
DROP FUNCTION IF EXISTS gateway.claim_messages(uuid, uuid, uuid, bigint, uuid, jsonb);
CREATE OR REPLACE FUNCTION gateway.claim_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_route_key bigint, p_conversation uuid, p_meta jsonb,
  p_held boolean DEFAULT false, p_limit integer DEFAULT 2147483647)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := gateway.claim_since();
  meta jsonb := p_meta || jsonb_build_object('claimed_at', now());
  e gateway.endpoints;
  r gateway.routes;
  c gateway.whatsapp_conversations;
  phone bigint;
  account text;
  due uuid[];
  n integer;
BEGIN
  PERFORM 1 FROM gateway.whatsapp_conversations WHERE person_id = p_person AND landlord_id = p_landlord
    ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM gateway.people WHERE id = p_person AND merged_into IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  SELECT * INTO e FROM gateway.endpoints WHERE id = p_endpoint;
  IF NOT FOUND OR p_landlord IS NOT NULL AND e.scope <> 'platform' AND e.owner_id IS DISTINCT FROM p_landlord THEN
    RETURN NULL;
  END IF;
  SELECT i.phone_key INTO phone FROM gateway.identities i
   WHERE i.person_id = p_person AND i.kind = 'phone' AND i.scope = e.phone_scope AND i.retired_at IS NULL LIMIT 1;
  SELECT i.value INTO account FROM gateway.identities i
   WHERE i.person_id = p_person AND i.kind = e.id_kind AND i.scope = e.id_scope AND i.retired_at IS NULL LIMIT 1;
  due := ARRAY(SELECT * FROM gateway.messages_to_claim(
    p_person, p_endpoint, p_landlord, p_held AND p_landlord IS NOT NULL, p_limit));
  IF p_landlord IS NULL THEN
    meta := meta || jsonb_build_object('candidates',
      gateway.candidate_leases(p_meta -> 'candidates', p_endpoint, phone, account, now()));
    UPDATE gateway.whatsapp_messages
       SET routing_status = 'ambiguous', routing_metadata = coalesce(routing_metadata, '{}') || meta
     WHERE person_id = p_person AND conversation_id IS NULL AND endpoint_id = p_endpoint AND direction = 'incoming'
       AND routing_status = 'unknown_sender' AND sent_at >= since AND id = ANY (due);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
  END IF;
  IF p_conversation IS NOT NULL THEN
    SELECT * INTO c FROM gateway.whatsapp_conversations x
     WHERE x.id = p_conversation AND x.landlord_id = p_landlord AND x.person_id = p_person;
    IF NOT FOUND THEN RETURN NULL; END IF;
  ELSE
    SELECT * INTO r FROM gateway.sender_lease(p_landlord, p_route_key, e.phone_scope, phone, e.id_kind, e.id_scope,
      account, now(), gateway.setting('lease_grace_days')::integer);
    IF NOT FOUND THEN RETURN NULL; END IF;
    meta := meta || jsonb_build_object('lease', r.lease_id);
  END IF;
  RETURN gateway.attach_messages(p_person, p_endpoint, p_landlord, coalesce(c.tenant_id, r.tenant_id),
    coalesce(r.property_id, c.property_id), '{unknown_sender,ambiguous}', meta, since, r.lease_id,
    '-infinity', '{}', due);
END $$;

SELECT gateway.guard_tables();
