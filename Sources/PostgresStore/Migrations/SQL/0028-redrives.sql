-- 0028 redrives: a backlog of parked updates is asked for and handed out in steps; and whoever brought a parked body again
-- is settled with it.

-- In the order in which they are handed out; and what is not asked for yet, endpoint by endpoint.
CREATE INDEX IF NOT EXISTS parked_updates_requested_idx
  ON gateway.parked_updates (redrive_requested_at, journal_id, journal_pos, idx) WHERE redrive_requested_at IS NOT NULL;
DROP INDEX IF EXISTS gateway.parked_updates_redrive_idx;
CREATE INDEX IF NOT EXISTS parked_updates_waiting_idx
  ON gateway.parked_updates (endpoint_kind, endpoint_provider_id, journal_id, journal_pos, idx)
  WHERE reason = 'unknown_endpoint' AND redrive_requested_at IS NULL;
DROP INDEX IF EXISTS gateway.parked_updates_endpoint_idx;

-- As before (0006), and no more than so many at once: from endpoint to endpoint through the index, those that came
-- first first. Where nothing waits, as nearly always, one probe.
DROP FUNCTION IF EXISTS gateway.redrive_known_endpoints();
CREATE OR REPLACE FUNCTION gateway.redrive_known_endpoints(p_limit integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  n bigint;
BEGIN
  WITH RECURSIVE named AS (
    (SELECT endpoint_kind AS kind, endpoint_provider_id AS provider_id FROM gateway.parked_updates
      WHERE reason = 'unknown_endpoint' AND redrive_requested_at IS NULL AND endpoint_kind IS NOT NULL
      ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    SELECT x.kind, x.provider_id FROM named CROSS JOIN LATERAL (
      SELECT p.endpoint_kind AS kind, p.endpoint_provider_id AS provider_id FROM gateway.parked_updates p
       WHERE p.reason = 'unknown_endpoint' AND p.redrive_requested_at IS NULL
         AND (p.endpoint_kind, p.endpoint_provider_id) > (named.kind, named.provider_id)
       ORDER BY 1, 2 LIMIT 1) x),
  due AS MATERIALIZED (                              -- LATERAL: an index probe a row
    SELECT x.id FROM named
     CROSS JOIN LATERAL (SELECT * FROM gateway.endpoints y
                          WHERE y.kind = named.kind AND y.provider_id = named.provider_id OFFSET 0) e
     CROSS JOIN LATERAL (
       SELECT p.id FROM gateway.parked_updates p
        WHERE p.reason = 'unknown_endpoint' AND p.redrive_requested_at IS NULL
          AND p.endpoint_kind = named.kind AND p.endpoint_provider_id = named.provider_id
          AND p.last_seen <= now() - least(interval '1 hour', p.attempts * interval '10 seconds')
        ORDER BY p.journal_id, p.journal_pos, p.idx LIMIT p_limit) x
     LIMIT p_limit)
  UPDATE gateway.parked_updates p SET redrive_requested_at = now() WHERE p.id = ANY (ARRAY(SELECT id FROM due));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Webhooks that brought a body again while an update of it was parked: when that is settled, so are theirs.
CREATE TABLE IF NOT EXISTS gateway.parked_copies (
  hash bytea NOT NULL,
  idx integer NOT NULL,
  journal_id integer NOT NULL,
  journal_pos bigint NOT NULL,
  received_at timestamptz NOT NULL,
  PRIMARY KEY (hash, idx, journal_id, journal_pos),
  FOREIGN KEY (hash, idx) REFERENCES gateway.parked_updates (hash, idx) ON DELETE CASCADE);

SELECT gateway.guard_tables();
