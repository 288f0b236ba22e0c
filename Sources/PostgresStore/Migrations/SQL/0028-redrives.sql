-- 0028 redrives: a backlog of parked updates is asked for and handed out in steps; and whoever brought a parked body again
-- is settled with it.

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
