-- 0018 sender lease: which of a landlord's leases a sender's message goes by is chosen where it is recorded. The table in
-- memory knows a candidate by the landlord and the number its lease is filed under, and keeps no ids of tenants and leases.

-- Of the leases with one landlord under one number that may be a sender's, the one that speaks for all: it runs, or
-- else is in its days of grace; the older one, then the smaller tenant id, then the smaller lease id. None: the message
-- does not go there. Dates are compared with a day to spare, for the decision was made a little earlier by another
-- clock: one that counts by that day alone comes last. What is caught here is a lease or number that changed hands. A number nobody had before, with an account id nobody gave
-- up, as nearly all are, takes two probes. Simple on purpose: it becomes a part of the statement that asks.
CREATE OR REPLACE FUNCTION gateway.sender_lease(
  p_landlord uuid, p_route_key bigint, p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text,
  p_account text, p_sent_at timestamptz, p_grace integer)
RETURNS SETOF gateway.routes LANGUAGE sql STABLE AS $$
  SELECT r.* FROM gateway.routes r
   WHERE r.phone_key = p_route_key AND r.landlord_id = p_landlord
     AND coalesce(r.valid_from <= greatest(p_sent_at, now())::date + 1, true)
     AND coalesce(r.valid_until + p_grace >= least(p_sent_at, now())::date - 1, r.lease_status = 'active')
     AND CASE WHEN p_route_key = p_phone_key AND NOT EXISTS (SELECT FROM gateway.identities x
                     WHERE x.value = p_phone_key::text AND x.kind = 'phone' AND x.retired_at IS NOT NULL)
                   AND NOT EXISTS (SELECT FROM gateway.identities x
                     WHERE x.value = p_account AND x.kind = p_id_kind AND x.scope = p_id_scope
                       AND x.retired_at IS NOT NULL) THEN true
              ELSE gateway.reaches_lease(p_phone_scope, p_phone_key, p_id_kind, p_id_scope, p_account, p_route_key,
                     r.learnt_at)
                   -- who shows one number has left every other
                   AND coalesce(p_phone_key = p_route_key OR r.learnt_at < greatest(p_sent_at + interval '1 second', (
                         SELECT x.first_seen FROM gateway.identities x
                          WHERE x.value = p_route_key::text AND x.kind = 'phone' AND x.scope = p_phone_scope
                            AND x.retired_at IS NULL)), true) END
   ORDER BY r.lease_status = 'active' AND coalesce(r.valid_from <= now()::date, true)
              AND coalesce(r.valid_until >= now()::date, true) DESC,
            coalesce(r.valid_from <= now()::date, true)
              AND coalesce(r.valid_until + p_grace >= now()::date, r.lease_status = 'active') DESC,
            r.valid_from NULLS FIRST, r.tenant_id, r.lease_id LIMIT 1
$$;

-- The choices of a held message with the leases they are meant by, where the table knows candidates ({landlord, key}); one
-- that has none any more is left out. A thread among them ({landlord, conversation}) stays as it is.
CREATE OR REPLACE FUNCTION gateway.candidate_leases(
  p_candidates jsonb, p_endpoint uuid, p_phone_key bigint, p_account text, p_sent_at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(CASE WHEN c.value ? 'conversation' THEN c.value
           ELSE jsonb_strip_nulls(jsonb_build_object('landlord', r.landlord_id, 'tenant', r.tenant_id,
                  'lease', r.lease_id, 'property', r.property_id)) END ORDER BY c.n), '[]')
    FROM jsonb_array_elements(p_candidates) WITH ORDINALITY c(value, n)
    JOIN gateway.endpoints e ON e.id = p_endpoint
    LEFT JOIN LATERAL gateway.sender_lease((c.value ->> 'landlord')::uuid, (c.value ->> 'key')::bigint, e.phone_scope,
                p_phone_key, e.id_kind, e.id_scope, p_account, p_sent_at,
                gateway.setting('lease_grace_days')::integer) r ON true
   WHERE c.value ? 'conversation' OR r.lease_id IS NOT NULL
$$;

-- As the one of 0015, with the lease chosen here, by the landlord and the number the candidate is filed under. Who the
-- sender is is what their person is known by now.
DROP FUNCTION IF EXISTS gateway.claim_messages(uuid, uuid, uuid, uuid, uuid, uuid, bigint, uuid, jsonb);
CREATE OR REPLACE FUNCTION gateway.claim_messages(
  p_person uuid, p_endpoint uuid, p_landlord uuid, p_route_key bigint, p_conversation uuid, p_meta jsonb)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := gateway.claim_since();
  meta jsonb := p_meta || jsonb_build_object('claimed_at', now());
  e gateway.endpoints;
  r gateway.routes;
  c gateway.whatsapp_conversations;
  phone bigint;
  account text;
  n integer;
BEGIN
  PERFORM 1 FROM gateway.whatsapp_conversations WHERE person_id = p_person AND landlord_id = p_landlord
    ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM gateway.people WHERE id = p_person AND merged_into IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  SELECT * INTO e FROM gateway.endpoints WHERE id = p_endpoint;
  SELECT i.phone_key INTO phone FROM gateway.identities i
   WHERE i.person_id = p_person AND i.kind = 'phone' AND i.scope = e.phone_scope AND i.retired_at IS NULL LIMIT 1;
  SELECT i.value INTO account FROM gateway.identities i
   WHERE i.person_id = p_person AND i.kind = e.id_kind AND i.scope = e.id_scope AND i.retired_at IS NULL LIMIT 1;
  IF p_landlord IS NULL THEN
    meta := meta || jsonb_build_object('candidates',
      gateway.candidate_leases(p_meta -> 'candidates', p_endpoint, phone, account, now()));
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
    SELECT * INTO r FROM gateway.sender_lease(p_landlord, p_route_key, e.phone_scope, phone, e.id_kind, e.id_scope,
      account, now(), gateway.setting('lease_grace_days')::integer);
    IF NOT FOUND THEN RETURN NULL; END IF;
    meta := meta || jsonb_build_object('lease', r.lease_id);
  END IF;
  RETURN gateway.attach_messages(p_person, p_endpoint, p_landlord, coalesce(c.tenant_id, r.tenant_id),
    coalesce(r.property_id, c.property_id), '{unknown_sender}', meta, since, r.lease_id);
END $$;

SELECT gateway.guard_tables();
