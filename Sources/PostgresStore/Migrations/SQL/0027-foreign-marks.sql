-- 0027 foreign marks: how far the log of changes was pruned, told again after a dump of another cluster brought a mark, or
-- changes, from beyond our own counter. Neither was ever served, so neither counts; kept as the greatest, such a mark hid
-- every later one, and what was filled in without a change told stayed unread.

-- Whoever looked before this transaction, and not beyond this mark, is to load everything. The row is locked first: then
-- a mark of ours that another has committed meanwhile is not taken for a foreign one.
CREATE OR REPLACE FUNCTION gateway.mark_routes_pruned(p_below xid8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM gateway.routing_state FOR UPDATE;
  UPDATE gateway.routing_state
     SET pruned_by = pg_current_xact_id(),
         pruned_below = CASE WHEN pruned_below < pg_snapshot_xmax(pg_current_snapshot())
                               OR pruned_below <= pg_current_xact_id()
                             THEN greatest(pruned_below, p_below) ELSE p_below END;
END $$;

-- As before (0004), but for what came from beyond.
CREATE OR REPLACE FUNCTION gateway.prune_route_changes() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
  newest xid8;
BEGIN
  WITH d AS (
    DELETE FROM gateway.route_changes
     WHERE changed_at < now() - make_interval(hours => gateway.setting('route_changes_retention_hours')::integer)
    RETURNING xid)
  SELECT count(*),
         max(xid) FILTER (WHERE xid < pg_snapshot_xmax(pg_current_snapshot()) OR xid <= pg_current_xact_id())
    INTO n, newest FROM d;
  IF newest IS NOT NULL THEN PERFORM gateway.mark_routes_pruned(newest); END IF;
  RETURN n;
END $$;

-- As before (0015), but for the mark.
CREATE OR REPLACE FUNCTION gateway.refresh_tenant_landlord_routing() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ids uuid[];
  changes bigint := 0;
  landlords bigint;
  filled boolean := false;
BEGIN
  IF NOT EXISTS (SELECT FROM gateway.routes) THEN                 -- the first fill: no diff to make
    LOCK TABLE gateway.routes IN SHARE ROW EXCLUSIVE MODE;
    changes := gateway.fill_routes(NULL);
    filled := changes > 0;
  ELSE
    SELECT array_agg(DISTINCT coalesce(s.tenant_id, r.tenant_id)) INTO ids
      FROM gateway.routing_source s
      FULL JOIN gateway.routes r ON r.tenant_id = s.tenant_id AND r.lease_id = s.lease_id
     WHERE s.tenant_id IS NULL OR r.tenant_id IS NULL
        OR (s.landlord_id, s.property_id, s.phone_key, s.tenant_phone, s.valid_from, s.valid_until, s.lease_status,
            s.tenant_name, s.property_address)
           IS DISTINCT FROM
           (r.landlord_id, r.property_id, r.phone_key, r.tenant_phone, r.valid_from, r.valid_until, r.lease_status,
            r.tenant_name, r.property_address);
  END IF;
  IF cardinality(ids) > 50000 THEN
    LOCK TABLE gateway.routes IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM gateway.routes WHERE tenant_id = ANY (ids);
    changes := gateway.fill_routes(ids);
    filled := true;
  ELSIF ids IS NOT NULL THEN
    FOR i IN 0 .. (cardinality(ids) - 1) / 64 LOOP
      changes := changes + gateway.sync_routes(ids[i * 64 + 1 : i * 64 + 64]);
    END LOOP;
  END IF;
  IF filled THEN
    PERFORM gateway.mark_routes_pruned(pg_current_xact_id());
    PERFORM gateway.notify_routes();
  END IF;
  landlords := gateway.sync_landlords(ARRAY(
    SELECT landlord_id FROM gateway.landlord_source UNION SELECT landlord_id FROM gateway.route_landlords));
  UPDATE gateway.routing_state SET last_reconcile_at = now(), last_reconcile_changes = changes + landlords;
  RETURN changes + landlords;
END $$;

SELECT gateway.guard_tables();
