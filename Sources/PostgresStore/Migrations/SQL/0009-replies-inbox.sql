-- 0009 what people do: the landlord's reply, the administrator's inbox, the audit log.

CREATE TABLE IF NOT EXISTS gateway.audit_log (
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  id uuid NOT NULL DEFAULT gateway.uuid7(),
  actor uuid,
  actor_role text,                                 -- for an administrator at the command line, their login
  action text NOT NULL,
  entity text,
  entity_id text,
  business_id uuid,
  landlord_id uuid,
  detail jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON gateway.audit_log
  FOR EACH ROW EXECUTE FUNCTION gateway.append_only();

-- The signature before a landlord's text. Control and format characters of the name become blanks, for a name must
-- not be able to look like a second message; LandlordSignature.text(landlord:) does the same.
CREATE OR REPLACE FUNCTION gateway.render_signature(p_template text, p_name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT overlay(p_template PLACING regexp_replace(coalesce(p_name, 'your landlord'),
      E'[\\u0001-\\u001F\\u007F-\\u009F\\u00AD\\u0600-\\u0605\\u061C\\u06DD\\u070F\\u0890\\u0891\\u08E2\\u180E'
      '\\u200B-\\u200F\\u2028-\\u202E\\u2060-\\u2064\\u2066-\\u206F\\uFEFF\\uFFF9-\\uFFFB'
      '\\U000110BD\\U000110CD\\U00013430-\\U0001343F\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A'
      '\\U000E0001\\U000E0020-\\U000E007F]', ' ', 'g')
    FROM position('{landlord}' IN p_template) FOR length('{landlord}'))
$$;

-- Length as WhatsApp is taken to count: UTF-16 code units.
CREATE OR REPLACE FUNCTION gateway.utf16_length(s text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT length(s) + regexp_count(s, '[\U00010000-\U0010FFFF]') $$;

-- A landlord's answer: the message and its job in one transaction, for the conversation of auth.uid() and no other.
-- The only write path of the role authenticated into messages and outbox. The same key with the same request gives
-- the first message again. Refusals, each with its own SQLSTATE; DETAIL is for programs:
--   ZR404 no such conversation   ZR422 same key, another request   ZR010 window closed (DETAIL: when the person wrote
--   last, in microseconds)   ZR011 endpoint cannot send   ZR012 blocked   ZR013 opted out (DETAIL: may_send's word)
--   ZR014 too long (DETAIL: UTF-16 units of signature and text together; 4096 are allowed)
CREATE OR REPLACE FUNCTION gateway.reply(
  p_conversation uuid, p_message uuid, p_sent_at timestamptz, p_text text, p_signature_template text,
  p_quoted text DEFAULT NULL, p_key text DEFAULT NULL, p_route text DEFAULT NULL, p_request_hash bytea DEFAULT NULL)
RETURNS TABLE (id uuid, conversation_id uuid, direction text, message_type text, body text, landlord_signature text,
               context_wamid text, wamid text, status text, routing_status text, outcome text, error_code integer,
               error_detail text, sent_at timestamptz, delivered_at timestamptz, read_at timestamptz,
               failed_at timestamptz, is_replay boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  caller uuid := auth.uid();
  c gateway.whatsapp_conversations;
  e gateway.endpoints;
  l gateway.route_landlords;
  first_use gateway.idempotency_keys;
  may text;
  window_end timestamptz;
  signature text;
  units integer;
  the_id uuid := p_message;
  the_time timestamptz := p_sent_at;
BEGIN
  IF p_text IS NULL OR p_text = '' OR p_message IS NULL OR abs(extract(epoch FROM now() - p_sent_at)) > 86400 THEN
    RAISE EXCEPTION 'a reply needs a text, an id and the present time' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT * INTO c FROM gateway.whatsapp_conversations x WHERE x.id = p_conversation AND x.landlord_id = caller
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such conversation' USING ERRCODE = 'ZR404'; END IF;

  IF p_key IS NOT NULL THEN
    INSERT INTO gateway.idempotency_keys (user_id, route, key, request_hash, message_id, message_sent_at)
      VALUES (caller, coalesce(p_route, ''), p_key, coalesce(p_request_hash, ''::bytea), p_message, p_sent_at)
      ON CONFLICT DO NOTHING;                      -- waits for a request with the same key that is under way
    IF NOT FOUND THEN
      SELECT * INTO first_use FROM gateway.idempotency_keys x
       WHERE x.user_id = caller AND x.route = coalesce(p_route, '') AND x.key = p_key;
      IF first_use.request_hash IS DISTINCT FROM coalesce(p_request_hash, ''::bytea) THEN
        RAISE EXCEPTION 'this key was used for another request' USING ERRCODE = 'ZR422';
      END IF;
      the_id := first_use.message_id;
      the_time := first_use.message_sent_at;
    END IF;
  END IF;

  IF first_use.message_id IS NULL THEN
    SELECT * INTO STRICT e FROM gateway.endpoints x WHERE x.id = c.endpoint_id;
    SELECT * INTO l FROM gateway.route_landlords x WHERE x.landlord_id = caller;
    may := gateway.may_send(c.person_id, caller, 'service', c.channel);
    window_end := gateway.window_until(c.endpoint_id, c.person_id);
    signature := gateway.render_signature(
      CASE WHEN position('{landlord}' IN l.message_signature) > 0 THEN l.message_signature
           ELSE p_signature_template END, l.landlord_name);
    units := gateway.utf16_length(signature || p_text);
    IF c.status = 'blocked' THEN
      RAISE EXCEPTION 'the conversation is blocked' USING ERRCODE = 'ZR012';
    ELSIF e.status <> 'connected' OR e.kind <> 'cloud' OR NOT EXISTS (
        SELECT FROM gateway.identities i WHERE i.person_id = c.person_id AND i.retired_at IS NULL
           AND ((i.kind = 'phone' AND i.scope = e.phone_scope) OR (i.kind = e.id_kind AND i.scope = e.id_scope))) THEN
      RAISE EXCEPTION 'the endpoint of this conversation cannot send' USING ERRCODE = 'ZR011';
    ELSIF may <> 'ok' THEN
      RAISE EXCEPTION 'the recipient asked not to be written to' USING ERRCODE = 'ZR013', DETAIL = may;
    ELSIF window_end IS NULL OR window_end <= now() THEN
      RAISE EXCEPTION 'the 24-hour window is closed' USING ERRCODE = 'ZR010', DETAIL = coalesce(
        (extract(epoch FROM window_end - interval '24 hours') * 1000000)::bigint::text, '');
    ELSIF units > 4096 THEN
      RAISE EXCEPTION 'signature and text are too long together' USING ERRCODE = 'ZR014', DETAIL = units::text;
    END IF;
    INSERT INTO gateway.whatsapp_messages (id, sent_at, conversation_id, landlord_id, tenant_id, property_id,
        endpoint_id, tenant_phone, channel, direction, context_wamid, message_type, body, landlord_signature, status,
        routing_status)
      VALUES (p_message, p_sent_at, c.id, caller, c.tenant_id, c.property_id, c.endpoint_id, c.tenant_phone,
        c.channel, 'outgoing', p_quoted, 'text', p_text, signature, 'queued', 'delivered');
    INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, person_id, purpose, message_id,
        message_sent_at, endpoint_id, payload)
      VALUES ('meta_send', 'msg:' || p_message, gateway.order_key('meta_send', c.id), caller, c.person_id, 'service',
        p_message, p_sent_at, c.endpoint_id, '{}');
    UPDATE gateway.whatsapp_conversations w SET last_outbound_at = greatest(w.last_outbound_at, p_sent_at),
           last_message_at = greatest(w.last_message_at, p_sent_at), updated_at = now()
     WHERE w.id = c.id;
  END IF;
  RETURN QUERY
    SELECT m.id, m.conversation_id, m.direction, m.message_type, m.body, m.landlord_signature, m.context_wamid,
           m.wamid, m.status::text, m.routing_status::text, m.outcome, m.error_code, m.error_detail, m.sent_at,
           m.delivered_at, m.read_at, m.failed_at, first_use.message_id IS NOT NULL
      FROM gateway.whatsapp_messages m WHERE m.sent_at = the_time AND m.id = the_id;
END $$;

-- Until when a free-form answer may be sent, for conversations of the caller: people and unclaimed messages, which
-- decide it, are not theirs to read.
CREATE OR REPLACE FUNCTION gateway.conversation_windows(p_ids uuid[])
RETURNS TABLE (conversation_id uuid, open_until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.id, gateway.window_until(c.endpoint_id, c.person_id) FROM gateway.whatsapp_conversations c
   WHERE c.id = ANY (p_ids) AND c.landlord_id = auth.uid()
$$;

-- outbox_claim() with all a sender of messages needs. The recipient is who the person is now: the number they have, or
-- the account id the endpoint knows them by.
CREATE OR REPLACE FUNCTION gateway.outbox_claim_messages(
  p_kind text, p_worker text, p_limit integer, p_lease interval DEFAULT '60 seconds')
RETURNS TABLE (id bigint, attempt smallint, max_attempts smallint, message_id uuid, sent_at timestamptz,
               endpoint_kind text, endpoint_provider_id text, recipient_phone bigint, recipient_account text,
               text text, quoted_wamid text, permission text)
LANGUAGE sql AS $$
  SELECT c.id, c.attempts, c.max_attempts, m.id, m.sent_at, e.kind, e.provider_id, p.dial, a.value,
         coalesce(m.landlord_signature, '') || m.body, m.context_wamid,
         gateway.may_send(w.person_id, c.landlord_id, coalesce(c.purpose, 'service'), w.channel)
    FROM gateway.outbox_claim(p_kind, p_worker, p_limit, p_lease) c
    LEFT JOIN gateway.whatsapp_messages m ON m.sent_at = c.message_sent_at AND m.id = c.message_id
    LEFT JOIN gateway.whatsapp_conversations w ON w.id = m.conversation_id
    LEFT JOIN gateway.endpoints e ON e.id = c.endpoint_id
    LEFT JOIN LATERAL (
      SELECT coalesce(i.dial, i.phone_key) AS dial FROM gateway.identities i
       WHERE i.person_id = w.person_id AND i.kind = 'phone' AND i.scope = e.phone_scope AND i.retired_at IS NULL
       ORDER BY i.last_seen DESC, i.id DESC LIMIT 1) p ON true
    LEFT JOIN LATERAL (
      SELECT i.value FROM gateway.identities i
       WHERE i.person_id = w.person_id AND i.kind = e.id_kind AND i.scope = e.id_scope AND i.retired_at IS NULL
       ORDER BY i.last_seen DESC, i.id DESC LIMIT 1) a ON true
   ORDER BY c.id
$$;

-- Messages that wait in the inbox, newest first: held ('ambiguous') or unclaimed ('unknown_sender').
CREATE INDEX IF NOT EXISTS whatsapp_messages_waiting_idx ON gateway.whatsapp_messages (routing_status, sent_at DESC)
  WHERE conversation_id IS NULL;
CREATE OR REPLACE FUNCTION gateway.inbox_messages(p_status text, p_limit integer DEFAULT 50)
RETURNS TABLE (id uuid, sent_at timestamptz, recorded_at timestamptz, person_id uuid, endpoint_id uuid,
               endpoint_kind text, endpoint_provider_id text, phone bigint, account_id text, message_type text,
               body text, candidates jsonb)
LANGUAGE sql STABLE AS $$
  SELECT m.id, m.sent_at, m.recorded_at, m.person_id, m.endpoint_id, e.kind, e.provider_id, m.tenant_phone, a.value,
         m.message_type, m.body, (
           SELECT jsonb_agg(c || jsonb_build_object('landlord_name', l.landlord_name, 'tenant_name', r.tenant_name,
                    'property_address', r.property_address) ORDER BY n)
             FROM jsonb_array_elements(m.routing_metadata -> 'candidates') WITH ORDINALITY x(c, n)
             LEFT JOIN gateway.route_landlords l ON l.landlord_id = (c ->> 'landlord')::uuid
             LEFT JOIN gateway.routes r ON r.tenant_id = (c ->> 'tenant')::uuid AND r.lease_id = (c ->> 'lease')::uuid)
    FROM gateway.whatsapp_messages m LEFT JOIN gateway.endpoints e ON e.id = m.endpoint_id
    LEFT JOIN LATERAL (
      SELECT i.value FROM gateway.identities i WHERE i.person_id = m.person_id AND i.kind = e.id_kind
         AND i.scope = e.id_scope AND i.retired_at IS NULL ORDER BY i.id DESC LIMIT 1) a ON true
   WHERE m.conversation_id IS NULL AND m.routing_status = p_status
   ORDER BY m.sent_at DESC, m.id DESC LIMIT p_limit
$$;

-- An administrator's decision: all that this message's sender has waiting at that endpoint goes to a landlord, filed
-- under a tenant of theirs, or under none. How many messages moved. ZR404: it waits no longer; ZR006: the landlord is
-- not known, or the tenant is not theirs.
CREATE OR REPLACE FUNCTION gateway.inbox_assign(
  p_message uuid, p_landlord uuid, p_tenant uuid, p_actor text, p_actor_id uuid DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  m gateway.whatsapp_messages;
  e gateway.endpoints;
  r gateway.routes;
  moved integer;
BEGIN
  SELECT * INTO m FROM gateway.whatsapp_messages WHERE id = p_message AND conversation_id IS NULL
     AND routing_status IN ('ambiguous', 'unknown_sender');
  IF NOT FOUND THEN RAISE EXCEPTION 'no such message waits' USING ERRCODE = 'ZR404'; END IF;
  SELECT * INTO e FROM gateway.endpoints WHERE id = m.endpoint_id;
  IF p_tenant IS NOT NULL THEN
    SELECT * INTO r FROM gateway.routes WHERE tenant_id = p_tenant AND landlord_id = p_landlord
     ORDER BY lease_status = 'active' DESC, valid_from NULLS FIRST, lease_id LIMIT 1;
  END IF;
  IF NOT EXISTS (SELECT FROM gateway.route_landlords WHERE landlord_id = p_landlord)
     OR (p_tenant IS NOT NULL AND r.tenant_id IS NULL) OR (e.scope <> 'platform' AND e.owner_id <> p_landlord) THEN
    RAISE EXCEPTION 'the landlord is not known here, or the tenant has no lease with them' USING ERRCODE = 'ZR006';
  END IF;
  moved := gateway.attach_messages(m.person_id, m.endpoint_id, p_landlord, p_tenant, r.property_id,
    '{ambiguous,unknown_sender}', jsonb_build_object('rung', 'assigned', 'by', p_actor));
  INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, landlord_id, detail)
    VALUES (p_actor_id, p_actor, 'inbox.assign', 'message', p_message, p_landlord,
            jsonb_build_object('tenant', p_tenant, 'messages', moved));
  RETURN moved;
END $$;

-- Parked updates asked to be tried again; the recorder takes them up.
CREATE OR REPLACE FUNCTION gateway.inbox_redrive(p_ids bigint[], p_actor text, p_actor_id uuid DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  n integer;
BEGIN
  UPDATE gateway.parked_updates SET redrive_requested_at = now() WHERE id = ANY (p_ids);
  GET DIAGNOSTICS n = ROW_COUNT;
  INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, detail)
    VALUES (p_actor_id, p_actor, 'inbox.redrive', 'parked_update', array_to_string(p_ids, ','),
            jsonb_build_object('updates', n));
  RETURN n;
END $$;
