-- 0021 rules: by which rules each gateway decides, who loaded them, and the files they were read from.

-- What a digest stands for. Rules are compared with these, for the directory may have changed since they were read.
CREATE TABLE IF NOT EXISTS gateway.rule_files (
  digest text COLLATE "C" NOT NULL,               -- of names and contents of all files together
  name text NOT NULL,
  content bytea COMPRESSION lz4 NOT NULL,
  PRIMARY KEY (digest, name));

-- A row for each gateway. It writes here what it decides by, after the fact: its memory is what counts.
CREATE TABLE IF NOT EXISTS gateway.rules_in_force (
  gateway uuid PRIMARY KEY,                       -- by its journal, which stays over a restart
  host text NOT NULL,
  process integer NOT NULL,
  directory text NOT NULL,
  generation bigint NOT NULL,                     -- counts from 1 in each process
  digest text COLLATE "C" NOT NULL,
  rules integer NOT NULL,
  loaded_at timestamptz NOT NULL,
  loaded_by text NOT NULL,
  same_since timestamptz NOT NULL,                -- these very files, also over restarts
  same_since_by text NOT NULL,
  failed_at timestamptz,                          -- the last load that left everything as it was
  failed_by text,
  failed_errors integer,
  failed_first text,
  seen_at timestamptz NOT NULL DEFAULT now());

-- A gateway tells what it decides by, and what was done since it last told. true = nobody has the files of this digest
-- yet. p_events: one row a load that is to be on record: swapped, unchanged or rejected, with who asked for it.
CREATE OR REPLACE FUNCTION gateway.note_rules(
  p_gateway uuid, p_host text, p_process integer, p_directory text, p_generation bigint, p_digest text, p_rules integer,
  p_loaded_at timestamptz, p_loaded_by text, p_failed_at timestamptz, p_failed_by text, p_failed_errors integer,
  p_failed_first text, p_event_at timestamptz[], p_event_actor_id uuid[], p_event_actor text[], p_event_outcome text[],
  p_event_digest text[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  known gateway.rules_in_force;
BEGIN
  SELECT * INTO known FROM gateway.rules_in_force WHERE gateway = p_gateway FOR UPDATE;
  INSERT INTO gateway.rules_in_force AS r (gateway, host, process, directory, generation, digest, rules, loaded_at,
      loaded_by, same_since, same_since_by, failed_at, failed_by, failed_errors, failed_first)
    VALUES (p_gateway, p_host, p_process, p_directory, p_generation, p_digest, p_rules, p_loaded_at, p_loaded_by,
      p_loaded_at, p_loaded_by, p_failed_at, p_failed_by, p_failed_errors, p_failed_first)
    ON CONFLICT (gateway) DO UPDATE SET host = excluded.host, process = excluded.process,
      directory = excluded.directory, generation = excluded.generation, digest = excluded.digest,
      rules = excluded.rules, loaded_at = excluded.loaded_at, loaded_by = excluded.loaded_by,
      same_since = CASE r.digest WHEN excluded.digest THEN r.same_since ELSE excluded.same_since END,
      same_since_by = CASE r.digest WHEN excluded.digest THEN r.same_since_by ELSE excluded.same_since_by END,
      -- a process that has had no failure yet keeps on record what the one before it had
      failed_at = coalesce(excluded.failed_at, r.failed_at),
      failed_by = CASE WHEN excluded.failed_at IS NULL THEN r.failed_by ELSE excluded.failed_by END,
      failed_errors = CASE WHEN excluded.failed_at IS NULL THEN r.failed_errors ELSE excluded.failed_errors END,
      failed_first = CASE WHEN excluded.failed_at IS NULL THEN r.failed_first ELSE excluded.failed_first END,
      seen_at = now();
  INSERT INTO gateway.audit_log (at, actor, actor_role, action, entity, entity_id, detail)
    SELECT e.at, e.actor_id, e.actor, 'rules.reload', 'gateway', p_gateway,
           jsonb_build_object('outcome', e.outcome, 'digest', e.digest, 'host', p_host, 'directory', p_directory)
      FROM unnest(p_event_at, p_event_actor_id, p_event_actor, p_event_outcome, p_event_digest)
        AS e(at, actor_id, actor, outcome, digest);
  IF known.digest IS DISTINCT FROM p_digest THEN
    -- who has not been seen for so long has gone
    DELETE FROM gateway.rules_in_force WHERE seen_at < now() - interval '90 days';
    DELETE FROM gateway.rule_files f
      WHERE NOT EXISTS (SELECT FROM gateway.rules_in_force r WHERE r.digest = f.digest);
  END IF;
  RETURN NOT EXISTS (SELECT FROM gateway.rule_files WHERE digest = p_digest);
END $$;

SELECT gateway.guard_tables();
