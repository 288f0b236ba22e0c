-- 0024 past numbers: whoever is given one is held.

-- As before (0019), and the person is held like everybody who is given an identity. Nothing else holds who gave up the
-- account id by which they are found here: another gateway may be absorbing them.
CREATE OR REPLACE FUNCTION gateway.note_past_number(
  p_person uuid, p_scope text, p_value text, p_dial bigint, p_at timestamptz, p_source text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  left_by timestamptz;
BEGIN
  PERFORM 1 FROM gateway.people WHERE id = p_person AND merged_into IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'a person was absorbed by another meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  IF EXISTS (
       SELECT FROM gateway.identities x WHERE x.person_id = p_person AND x.kind = 'phone' AND x.scope = p_scope
          AND x.value = p_value AND x.retired_reason IN ('number_change', 'recycled')) THEN
    RETURN;
  END IF;
  SELECT min(x.first_seen) INTO left_by FROM gateway.identities x
   WHERE x.person_id = p_person AND x.kind = 'phone' AND x.scope = p_scope AND x.retired_at IS NULL
     AND x.first_seen > p_at;
  INSERT INTO gateway.identities (kind, scope, value, person_id, dial, first_seen, last_seen, source, retired_at,
      retired_reason)
    VALUES ('phone', p_scope, p_value, p_person, p_dial, p_at, p_at, p_source,
            gateway.left_at(p_at, coalesce(left_by, p_at)),
            CASE WHEN left_by IS NULL THEN 'recycled' ELSE 'number_change' END);
  PERFORM gateway.log_identities(p_person);
END $$;

SELECT gateway.guard_tables();
