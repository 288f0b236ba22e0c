-- 0017 reassign: a message that went to the wrong thread goes to the right one.

-- A message by its id alone. The id tells when it was made, which is nearly always when it was sent: a look into a day or
-- two, and only for what came late a look into all months.
CREATE OR REPLACE FUNCTION gateway.find_message(p_id uuid) RETURNS gateway.whatsapp_messages
LANGUAGE plpgsql STABLE AS $$
DECLARE
  made timestamptz := to_timestamp(('x' || left(replace(p_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);
  m gateway.whatsapp_messages;
BEGIN
  SELECT * INTO m FROM gateway.whatsapp_messages
   WHERE id = p_id AND sent_at BETWEEN made - interval '1 day' AND made + interval '1 day';
  IF NOT FOUND THEN SELECT * INTO m FROM gateway.whatsapp_messages WHERE id = p_id; END IF;
  RETURN m;
END $$;

-- What is left of a thread that a message was taken out of: counts, times and tags as if it had never been there. A
-- thread without any message is nobody's business any more.
CREATE OR REPLACE FUNCTION gateway.settle_after_loss(
  p_conversation uuid, m gateway.whatsapp_messages, p_was_unread boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.whatsapp_messages WHERE conversation_id = p_conversation) THEN
    DELETE FROM gateway.whatsapp_conversations WHERE id = p_conversation;
    RETURN;
  END IF;
  UPDATE gateway.whatsapp_conversations c
     SET unread_count = greatest(0, c.unread_count - CASE WHEN p_was_unread THEN 1 ELSE 0 END),
         last_message_at = (SELECT max(x.sent_at) FROM gateway.whatsapp_messages x WHERE x.conversation_id = c.id),
         last_inbound_at = (SELECT least(max(x.sent_at), now()) FROM gateway.whatsapp_messages x
                             WHERE x.conversation_id = c.id AND x.direction = 'incoming'),
         tags = ARRAY(SELECT t FROM unnest(c.tags) t
                       WHERE NOT coalesce(m.routing_metadata -> 'tags' ? t, false)
                          OR EXISTS (SELECT FROM gateway.whatsapp_messages x WHERE x.conversation_id = c.id
                                        AND x.routing_metadata -> 'tags' ? t) ORDER BY t),
         priority = CASE WHEN m.routing_metadata ->> 'priority' = 'high' AND NOT EXISTS (
                                SELECT FROM gateway.whatsapp_messages x WHERE x.conversation_id = c.id
                                   AND x.routing_metadata ->> 'priority' = 'high')
                         THEN 'normal' ELSE c.priority END,
         updated_at = now()
   WHERE c.id = p_conversation;
END $$;

-- An administrator's decision: one message of a tenant goes to the thread of one of their leases. false = it is there
-- already, and nothing was done. ZR404: no such message is in a thread; ZR006: that lease is not this sender's, or its
-- landlord may not receive what comes in at this endpoint.
CREATE OR REPLACE FUNCTION gateway.inbox_reassign(
  p_message uuid, p_lease uuid, p_actor text, p_actor_id uuid DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  m gateway.whatsapp_messages := gateway.find_message(p_message);
  f gateway.whatsapp_conversations;
  t gateway.whatsapp_conversations;
  r gateway.routes;
  was_unread boolean;
  withheld text;
BEGIN
  IF m.id IS NULL OR m.conversation_id IS NULL OR m.direction <> 'incoming' THEN
    RAISE EXCEPTION 'no such message of a tenant is in a thread' USING ERRCODE = 'ZR404';
  END IF;
  SELECT * INTO STRICT f FROM gateway.whatsapp_conversations WHERE id = m.conversation_id FOR UPDATE;
  m := gateway.find_message(p_message);
  IF m.conversation_id IS DISTINCT FROM f.id THEN
    RAISE EXCEPTION 'somebody else moves this message' USING ERRCODE = 'serialization_failure';
  END IF;
  SELECT x.* INTO r FROM (
    SELECT y.* FROM gateway.identities i JOIN gateway.routes y ON y.phone_key = i.phone_key
     WHERE i.person_id = f.person_id AND i.kind = 'phone' AND y.lease_id = p_lease
       AND (i.retired_at IS NULL OR i.retired_reason = 'number_change')
    UNION
    SELECT y.* FROM gateway.whatsapp_conversations c
      JOIN gateway.routes y ON y.tenant_id = c.tenant_id AND y.lease_id = p_lease AND y.landlord_id = c.landlord_id
     WHERE c.person_id = f.person_id) x
    JOIN gateway.endpoints e ON e.id = m.endpoint_id AND (e.scope = 'platform' OR e.owner_id = x.landlord_id)
   ORDER BY x.tenant_id LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'that is not a lease of this sender' USING ERRCODE = 'ZR006';
  END IF;
  IF f.landlord_id = r.landlord_id AND f.tenant_id IS NOT DISTINCT FROM r.tenant_id THEN RETURN false; END IF;

  INSERT INTO gateway.whatsapp_conversations AS w
      (landlord_id, tenant_id, person_id, endpoint_id, channel, property_id, lease_id, tenant_phone, phone_key,
       last_message_at)
    VALUES (r.landlord_id, r.tenant_id, f.person_id, m.endpoint_id, m.channel, r.property_id, r.lease_id, f.tenant_phone,
      f.phone_key, m.sent_at)
    ON CONFLICT (landlord_id, channel, person_id, tenant_id) DO UPDATE SET updated_at = now() RETURNING * INTO t;
  was_unread := f.status <> 'blocked' AND f.unread_count > (
    SELECT count(*) FROM gateway.whatsapp_messages x WHERE x.conversation_id = f.id AND x.direction = 'incoming'
       AND (x.sent_at, x.id) > (m.sent_at, m.id));
  withheld := gateway.withheld_status(t.status,
    (SELECT whatsapp_enabled FROM gateway.route_landlords WHERE landlord_id = t.landlord_id));
  UPDATE gateway.whatsapp_messages x
     SET conversation_id = t.id, landlord_id = t.landlord_id, tenant_id = t.tenant_id, property_id = r.property_id,
         routing_status = coalesce(withheld, CASE WHEN x.routing_metadata ? 'by_rule' THEN 'by_rule' END, 'delivered'),
         routing_metadata = (coalesce(x.routing_metadata, '{}') - '{candidates,withheld,released_at}'::text[])
           || jsonb_build_object('rung', 'reassigned', 'lease', r.lease_id, 'by', p_actor)
           || CASE WHEN withheld IS NULL THEN '{}' ELSE jsonb_build_object('withheld', withheld) END
   WHERE x.sent_at = m.sent_at AND x.id = m.id;
  UPDATE gateway.media SET landlord_id = t.landlord_id WHERE message_sent_at = m.sent_at AND message_id = m.id;
  UPDATE gateway.rule_actions SET landlord_id = t.landlord_id WHERE message_id = m.id;
  -- what has not left for the wrong landlord yet does not leave any more
  DELETE FROM gateway.outbox WHERE kind = 'landlord_forward' AND message_id = m.id AND state = 'ready';
  INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
    SELECT 'landlord_forward', 'fwd:' || m.id || ':' || t.id, gateway.order_key('landlord_forward', t.id),
           t.landlord_id, m.id, m.sent_at, jsonb_build_object('text', m.body)
     WHERE withheld IS NULL AND NOT m.routing_metadata ? 'by_rule'
       AND gateway.setting('forward_to_landlord')::boolean
    ON CONFLICT DO NOTHING;
  UPDATE gateway.whatsapp_conversations w
     SET unread_count = w.unread_count + CASE w.status WHEN 'blocked' THEN 0 ELSE 1 END,
         last_message_at = greatest(w.last_message_at, m.sent_at),
         last_inbound_at = greatest(w.last_inbound_at, least(m.sent_at, now())),
         tags = ARRAY(SELECT DISTINCT x FROM (
                        SELECT unnest(w.tags) UNION ALL
                        SELECT jsonb_array_elements_text(m.routing_metadata -> 'tags')
                         WHERE jsonb_typeof(m.routing_metadata -> 'tags') = 'array') y(x) ORDER BY x),
         priority = CASE WHEN m.routing_metadata ->> 'priority' = 'high' THEN 'high' ELSE w.priority END,
         updated_at = now()
   WHERE w.id = t.id;
  PERFORM gateway.settle_after_loss(f.id, m, was_unread);
  INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, landlord_id, detail)
    VALUES (p_actor_id, p_actor, 'inbox.reassign', 'message', p_message, t.landlord_id,
            jsonb_build_object('lease', p_lease, 'from_landlord', f.landlord_id, 'from_conversation', f.id,
                               'to_conversation', t.id));
  RETURN true;
END $$;

SELECT gateway.guard_tables();
