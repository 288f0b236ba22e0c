-- 0026 samples: what ANALYZE reads of the tables that grow with every message.
--
-- A sample of 30,000 rows of some thirty columns takes a quarter of a second, and while such a table is young it is
-- taken every few seconds; meanwhile recording waits for a processor. Everything in these tables is found by an index,
-- whatever the planner thinks of their size: 3,000 rows tell it enough.
DO $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT c.relname, string_agg(format('ALTER COLUMN %I SET STATISTICS 10', a.attname), ', ') AS targets
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'gateway'::regnamespace
              AND c.relname IN ('whatsapp_messages', 'webhook_log', 'message_ids') GROUP BY c.relname LOOP
    EXECUTE format('ALTER TABLE gateway.%I ', r.relname) || r.targets;      -- and of the partitions there are
  END LOOP;
END $$;

-- As before (0010), and a new partition is sampled as the table it is part of.
CREATE OR REPLACE FUNCTION gateway.make_partition(p_parent text, p_from timestamptz, p_to timestamptz, p_suffix text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  child text := p_parent || '_' || p_suffix;
  key text := (SELECT a.attname FROM pg_partitioned_table t JOIN pg_attribute a ON a.attrelid = t.partrelid
                  AND a.attnum = t.partattrs[0] WHERE t.partrelid = format('gateway.%I', p_parent)::regclass);
  strays boolean;
  targets text;
BEGIN
  IF to_regclass(format('gateway.%I', child)) IS NOT NULL THEN RETURN; END IF;
  IF p_from IS NULL THEN
    EXECUTE format('CREATE TABLE gateway.%I PARTITION OF gateway.%I DEFAULT', child, p_parent);
  ELSE
    EXECUTE format('SELECT EXISTS (SELECT FROM gateway.%1$I WHERE %2$I >= %3$L AND %2$I < %4$L)',
                   p_parent, key, p_from, p_to) INTO strays;
    IF strays THEN
      RAISE WARNING 'gateway.% is not made: rows of its time lie in the default partition already', child;
      RETURN;
    END IF;
    EXECUTE format('CREATE TABLE gateway.%I PARTITION OF gateway.%I FOR VALUES FROM (%L) TO (%L)',
                   child, p_parent, p_from, p_to);
  END IF;
  SELECT string_agg(format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.attstattarget), ', ') INTO targets
    FROM pg_attribute a
   WHERE a.attrelid = format('gateway.%I', p_parent)::regclass AND a.attnum > 0 AND NOT a.attisdropped
     AND a.attstattarget >= 0;
  IF targets IS NOT NULL THEN EXECUTE format('ALTER TABLE gateway.%I ', child) || targets; END IF;
  EXECUTE format('ALTER TABLE gateway.%I ENABLE ROW LEVEL SECURITY', child);
  EXECUTE format('REVOKE ALL ON gateway.%I FROM PUBLIC, anon, authenticated, gateway_writer, gateway_admin', child);
END $$;

SELECT gateway.guard_tables();
