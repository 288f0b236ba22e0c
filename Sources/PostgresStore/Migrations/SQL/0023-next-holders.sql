-- 0023 next holders: what becomes known only when two are one, or when a notice comes late, of a number's next holder.

-- As before (0018), and of a number that two had who are one by what is shown now, the one seen later stands: the other
-- was left by then, as absorb_person() writes it down.
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
                        AND h.retired_at IS NULL)), (
                     SELECT gateway.left_at(k.since, n.first_seen) FROM gateway.identities n
                      WHERE n.value = p_phone_key::text AND n.kind = 'phone' AND n.scope = p_phone_scope
                        AND n.retired_at IS NULL AND n.person_id = ANY (s.people) AND n.first_seen > k.since))
              ELSE k.until END
    FROM s CROSS JOIN LATERAL (
          SELECT i.person_id, i.value, i.phone_key,
                 CASE WHEN NOT bool_or(i.retired_at IS NULL) THEN
                   coalesce(max(i.retired_at) FILTER (WHERE i.retired_reason = 'number_change'), max(i.first_seen)) END
                   AS until,
                 max(i.first_seen) FILTER (WHERE i.retired_at IS NULL) AS since
            FROM gateway.identities i
           WHERE i.person_id = ANY (s.people) AND i.kind = 'phone' AND i.scope = p_phone_scope
             AND (i.retired_at IS NULL OR i.retired_reason = 'number_change'
               OR i.retired_reason = 'recycled' AND i.phone_key = p_phone_key)
           GROUP BY 1, 2, 3
          HAVING i.phone_key IS DISTINCT FROM p_phone_key OR NOT bool_or(i.retired_at IS NULL)) k
$$;

SELECT gateway.guard_tables();
