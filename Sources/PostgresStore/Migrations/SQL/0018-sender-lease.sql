-- 0018 sender lease: which of a landlord's leases a sender's message goes by is chosen where it is recorded. The table
-- in memory knows a candidate by the landlord and the number its lease is filed under, and keeps no ids of tenants and
-- leases.

-- The keys whose leases may be a sender's, and which of them: those learnt from one moment on and before another. Of a
-- number that changed hands, what was learnt since the last other person left it is the present holder's, and what was
-- learnt before somebody left, and since the one before them left, is theirs. A number that is shown with the account
-- id of somebody who had it is theirs as it was then: the message comes late. By when they left it may be told, or
-- shown by what the two were seen with since (`gateway.parted_by`); of one that another account id showed since it is
-- not known, and what was learnt before they were seen with it is theirs for sure. Who shows one number has left every
-- other by then, but for one they were first seen with later. Routing.Reach says the same of the table, which knows
-- less.
DROP FUNCTION IF EXISTS gateway.sender_reach(text, bigint, uuid[]);
CREATE OR REPLACE FUNCTION gateway.sender_reach(
  p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text, p_account text, p_sent_at timestamptz)
RETURNS TABLE (key bigint, learnt_from timestamptz, learnt_before timestamptz) LANGUAGE sql STABLE AS $$
  WITH s AS MATERIALIZED (
    SELECT gateway.sender_people(p_phone_scope, p_phone_key, p_id_kind, p_id_scope, p_account, p_sent_at) AS people,
           gateway.parted_by(p_phone_scope, p_phone_key::text, p_id_kind, p_id_scope, p_account, (
               SELECT person_id FROM gateway.identities
                WHERE value = p_phone_key::text AND kind = 'phone' AND scope = p_phone_scope AND retired_at IS NULL),
             coalesce((
               SELECT person_id FROM gateway.identities
                WHERE value = p_account AND kind = p_id_kind AND scope = p_id_scope AND retired_at IS NULL),
               gateway.former_holder(p_id_kind, p_id_scope, p_account)), p_sent_at) AS left_by)
  SELECT p_phone_key, (
           SELECT max(d.retired_at) FROM gateway.identities d
            WHERE d.value = p_phone_key::text AND d.kind = 'phone' AND d.scope = p_phone_scope
              AND d.retired_reason = 'number_change' AND d.person_id <> ALL (s.people)
              AND (s.left_by IS NULL OR d.retired_at <= s.left_by)), s.left_by
    FROM s
   WHERE p_phone_key IS NOT NULL AND NOT EXISTS (
     SELECT FROM gateway.identities d
      WHERE d.value = p_phone_key::text AND d.kind = 'phone' AND d.scope = p_phone_scope
        AND d.retired_at IS NOT NULL AND d.retired_reason IN ('number_change', 'recycled')
        AND d.person_id = ANY (s.people) AND NOT EXISTS (
        SELECT FROM gateway.identities h WHERE h.value = d.value AND h.kind = 'phone' AND h.scope = d.scope
           AND h.retired_at IS NULL AND h.person_id = d.person_id))
  UNION ALL
  SELECT k.phone_key, (
           SELECT max(d.retired_at) FROM gateway.identities d
            WHERE d.value = k.value AND d.kind = 'phone' AND d.scope = p_phone_scope
              AND d.retired_reason = 'number_change' AND d.person_id <> k.person_id
              AND (k.until IS NULL OR d.retired_at <= k.until)),
         CASE WHEN k.phone_key <> p_phone_key AND p_sent_at IS NOT NULL
              THEN least(k.until, greatest(p_sent_at + interval '1 second', (
                     SELECT h.first_seen FROM gateway.identities h
                      WHERE h.value = k.value AND h.kind = 'phone' AND h.scope = p_phone_scope
                        AND h.retired_at IS NULL)))
              ELSE k.until END
    FROM s CROSS JOIN LATERAL (
          SELECT i.person_id, i.value, i.phone_key,
                 CASE WHEN NOT bool_or(i.retired_at IS NULL) THEN
                   coalesce(max(i.retired_at) FILTER (WHERE i.retired_reason = 'number_change'), max(i.first_seen)) END
                   AS until
            FROM gateway.identities i
           WHERE i.person_id = ANY (s.people) AND i.kind = 'phone' AND i.scope = p_phone_scope
             AND (i.retired_at IS NULL OR i.retired_reason = 'number_change'
               OR i.retired_reason = 'recycled' AND i.phone_key = p_phone_key)
           GROUP BY 1, 2, 3
          HAVING i.phone_key IS DISTINCT FROM p_phone_key OR NOT bool_or(i.retired_at IS NULL)) k
$$;

-- All routes a sender has now, aliases and earlier numbers included. p_sent_at: when the number was shown, or NULL.
DROP FUNCTION IF EXISTS gateway.sender_routes(integer[], uuid[], bigint[], text[]);
CREATE OR REPLACE FUNCTION gateway.sender_routes(
  p_n integer[], p_endpoint uuid[], p_phone_key bigint[], p_account text[], p_sent_at timestamptz[])
RETURNS TABLE (n integer, phone_key bigint, landlord_id uuid, tenant_id uuid, lease_id uuid, property_id uuid,
               valid_from date, valid_until date, is_active boolean, learnt_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT DISTINCT u.n, r.phone_key, r.landlord_id, r.tenant_id, r.lease_id, r.property_id, r.valid_from,
         r.valid_until, r.lease_status = 'active', r.learnt_at
    FROM unnest(p_n, p_endpoint, p_phone_key, p_account, p_sent_at) AS u(n, endpoint_id, pk, account, sent_at)
    JOIN gateway.endpoints e ON e.id = u.endpoint_id
   CROSS JOIN LATERAL gateway.sender_reach(e.phone_scope, u.pk, e.id_kind, e.id_scope, u.account, u.sent_at) k
   CROSS JOIN LATERAL (SELECT * FROM gateway.routes x WHERE x.phone_key = k.key OFFSET 0) r
   WHERE (k.learnt_from IS NULL OR r.learnt_at >= k.learnt_from)
     AND (k.learnt_before IS NULL OR r.learnt_at < k.learnt_before)
$$;

-- Whether a lease filed under a key and learnt at a moment may be a sender's.
DROP FUNCTION IF EXISTS gateway.reaches_lease(text, bigint, text, text, text, bigint, timestamptz);
CREATE OR REPLACE FUNCTION gateway.reaches_lease(
  p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text, p_account text, p_sent_at timestamptz,
  p_key bigint, p_learnt timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM gateway.sender_reach(p_phone_scope, p_phone_key, p_id_kind, p_id_scope, p_account, p_sent_at) k
     WHERE k.key = p_key AND (k.learnt_from IS NULL OR p_learnt >= k.learnt_from)
       AND (k.learnt_before IS NULL OR p_learnt < k.learnt_before))
$$;

-- Of the leases with one landlord under one number that may be a sender's, the one that speaks for all: it runs, or
-- else is in its days of grace; the older one, then the smaller tenant id, then the smaller lease id. None: the message
-- does not go there. Dates are compared with a day to spare, for the decision was made a little earlier by another
-- clock: one that counts by that day alone comes last. What is caught here is a lease or number that changed hands. A
-- number nobody had before, with no account id, or with one nobody gave up and a lease older than the message, as
-- nearly all are, takes two probes. Simple on purpose: it becomes a part of the statement that asks.
CREATE OR REPLACE FUNCTION gateway.sender_lease(
  p_landlord uuid, p_route_key bigint, p_phone_scope text, p_phone_key bigint, p_id_kind text, p_id_scope text,
  p_account text, p_sent_at timestamptz, p_grace integer)
RETURNS SETOF gateway.routes LANGUAGE sql STABLE AS $$
  SELECT r.* FROM gateway.routes r
   WHERE r.phone_key = p_route_key AND r.landlord_id = p_landlord
     AND coalesce(r.valid_from <= greatest(p_sent_at, now())::date + 1, true)
     AND coalesce(r.valid_until + p_grace >= least(p_sent_at, now())::date - 1, r.lease_status = 'active')
     AND CASE WHEN p_route_key = p_phone_key AND (p_account IS NULL OR r.learnt_at < p_sent_at)
                   AND NOT EXISTS (SELECT FROM gateway.identities x
                     WHERE x.value = p_phone_key::text AND x.kind = 'phone' AND x.retired_at IS NOT NULL)
                   AND NOT EXISTS (SELECT FROM gateway.identities x
                     WHERE x.value = p_account AND x.kind = p_id_kind AND x.scope = p_id_scope
                       AND x.retired_at IS NOT NULL) THEN true
              ELSE gateway.reaches_lease(p_phone_scope, p_phone_key, p_id_kind, p_id_scope, p_account, p_sent_at,
                     p_route_key, r.learnt_at) END
   ORDER BY r.lease_status = 'active' AND coalesce(r.valid_from <= now()::date, true)
              AND coalesce(r.valid_until >= now()::date, true) DESC,
            coalesce(r.valid_from <= now()::date, true)
              AND coalesce(r.valid_until + p_grace >= now()::date, r.lease_status = 'active') DESC,
            r.valid_from NULLS FIRST, r.tenant_id, r.lease_id LIMIT 1
$$;

-- The choices of a held message with the leases they are meant by, where the table knows candidates ({landlord, key});
-- one that has none any more is left out. A thread among them ({landlord, conversation}) stays as it is.
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
