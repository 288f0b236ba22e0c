-- 0030 conflicts: a verdict that two people are two stands, and the conflicts that notices find are counted.

-- As before (0015), and nobody is absorbed whom somebody has found to be another.
CREATE OR REPLACE FUNCTION gateway.may_absorb(p_from uuid, p_into uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (SELECT FROM gateway.consent_events WHERE person_id = p_from)
     AND NOT EXISTS (
       SELECT FROM gateway.whatsapp_conversations c WHERE c.person_id = p_from AND NOT EXISTS (
         SELECT FROM gateway.whatsapp_conversations d WHERE d.person_id = p_into AND d.landlord_id = c.landlord_id
            AND d.channel = c.channel AND d.tenant_id = c.tenant_id))
     AND NOT EXISTS (SELECT FROM gateway.identity_conflicts
                      WHERE person_a = least(p_from, p_into) AND person_b = greatest(p_from, p_into)
                        AND status = 'kept_apart')
$$;

-- What is announced about identities, applied (change_identities), and how many conflicts it found.
CREATE OR REPLACE FUNCTION gateway.apply_notices(
  p_endpoint uuid[], p_wamid text[], p_kind text[], p_scope text[], p_old text[], p_new text[], p_dial bigint[],
  p_at timestamptz[])
RETURNS TABLE (changes integer, conflicts integer) LANGUAGE plpgsql AS $$
DECLARE
  this CONSTANT xid := pg_current_xact_id()::xid;
  known integer := (SELECT count(*) FROM gateway.identity_conflicts WHERE status = 'open' AND xmin = this);
BEGIN
  changes := gateway.change_identities(p_endpoint, p_wamid, p_kind, p_scope, p_old, p_new, p_dial, p_at);
  conflicts := (SELECT count(*) FROM gateway.identity_conflicts WHERE status = 'open' AND xmin = this) - known;
  RETURN NEXT;
END $$;

SELECT gateway.guard_tables();
