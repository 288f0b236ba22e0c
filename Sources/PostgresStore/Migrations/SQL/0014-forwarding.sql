-- 0014 forwarding: every accepted webhook also goes to another handler, as it came, in the order of its source.

-- As received: a forwarded webhook carries it on, and an audit can check it against the bytes.
ALTER TABLE gateway.webhook_log ADD COLUMN IF NOT EXISTS signature bytea;

-- The webhooks of one source are a lane: they leave oldest first, one after the other. Jobs hold no copy of the body,
-- they name the row of the webhook log: {"received_at", "journal_id", "journal_pos"}.
CREATE OR REPLACE FUNCTION gateway.forward_lane(p_source text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended('downstream_webhook:' || p_source, 0) $$;

-- The oldest jobs of a lane, in order, for one worker. Only the first of them is marked: as long as its lease runs, or
-- its pause after a failure, the whole lane rests, so that a run of hundreds costs one update. p_claim is a name used
-- once: the fence of settle_forwards(). A job that has failed before goes alone. A vanished worker's run is simply taken
-- again: its webhooks may arrive twice, under the same id. "payload" is NULL when the log no longer has the webhook.
CREATE OR REPLACE FUNCTION gateway.claim_forwards(
  p_source text, p_claim text, p_limit integer, p_bytes bigint, p_lease interval)
RETURNS TABLE (id bigint, attempt integer, age_seconds bigint, webhook_id text, signature bytea, payload bytea)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  lane CONSTANT bigint := gateway.forward_lane(p_source);
  head gateway.outbox;
BEGIN
  -- Two claims at once would otherwise divide a run between them.
  IF NOT pg_try_advisory_xact_lock(lane) THEN RETURN; END IF;
  IF EXISTS (SELECT FROM gateway.outbox o WHERE o.kind = 'downstream_webhook' AND o.state <> 'uncertain'
                AND o.next_attempt_at > now() AND o.order_key = lane) THEN RETURN; END IF;
  SELECT * INTO head FROM gateway.outbox o WHERE o.order_key = lane ORDER BY o.order_key, o.id LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE gateway.outbox o SET state = 'sending', claimed_by = p_claim, next_attempt_at = now() + p_lease
   WHERE o.id = head.id;
  RETURN QUERY
    SELECT x.id, x.attempts + 1, extract(epoch FROM now() - x.created_at)::bigint,
           j.journal_uuid || '/' || (x.payload ->> 'journal_pos'), x.signature, x.body
      FROM (SELECT r.*, w.signature, w.payload AS body,
                   sum(octet_length(w.payload)) OVER (ORDER BY r.id) - octet_length(w.payload) AS before
              FROM (SELECT f.*, bool_or(f.last_error IS NOT NULL AND f.id <> head.id) OVER (ORDER BY f.id) AS is_behind
                      FROM (SELECT o.id, o.attempts, o.created_at, o.payload, o.last_error
                              FROM gateway.outbox o WHERE o.order_key = lane ORDER BY o.order_key, o.id
                             LIMIT CASE WHEN head.last_error IS NULL THEN p_limit ELSE 1 END) f) r
              LEFT JOIN LATERAL (
                SELECT l.signature, l.payload FROM gateway.webhook_log l
                 WHERE l.received_at = (r.payload ->> 'received_at')::timestamptz
                   AND l.journal_id = (r.payload ->> 'journal_id')::integer
                   AND l.journal_pos = (r.payload ->> 'journal_pos')::bigint LIMIT 1) w ON true
             WHERE NOT r.is_behind) x
      LEFT JOIN LATERAL (SELECT y.journal_uuid FROM gateway.journals y
                          WHERE y.journal_id = (x.payload ->> 'journal_id')::integer LIMIT 1) j ON true
     WHERE coalesce(x.before, 0) < p_bytes ORDER BY x.id;
END $$;

-- What became of a run: these are done; one failed, to be tried again after a pause or (NULL) set aside for a person;
-- the rest is taken again. false: the lease was lost, and nothing is changed.
CREATE OR REPLACE FUNCTION gateway.settle_forwards(
  p_head bigint, p_claim text, p_done bigint[], p_failed bigint, p_error text, p_pause interval)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  o gateway.outbox;
BEGIN
  PERFORM FROM gateway.outbox x WHERE x.id = p_head AND x.claimed_by = p_claim FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  DELETE FROM gateway.outbox x WHERE x.id = ANY (p_done);
  UPDATE gateway.outbox x SET state = 'ready', claimed_by = NULL, next_attempt_at = now() WHERE x.id = p_head;
  IF p_failed IS NULL THEN RETURN true; END IF;
  SELECT * INTO o FROM gateway.outbox x WHERE x.id = p_failed FOR UPDATE;
  IF NOT FOUND THEN RETURN true; END IF;
  IF p_pause IS NULL THEN
    PERFORM gateway.outbox_bury(o, 'refused', p_error, NULL);
  ELSE
    UPDATE gateway.outbox x
       SET attempts = least(x.attempts::integer + 1, 32767), last_error = p_error, next_attempt_at = now() + p_pause
     WHERE x.id = p_failed;
  END IF;
  RETURN true;
END $$;

REVOKE EXECUTE ON FUNCTION gateway.forward_lane(text),
  gateway.claim_forwards(text, text, integer, bigint, interval),
  gateway.settle_forwards(bigint, text, bigint[], bigint, text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.forward_lane(text),
  gateway.claim_forwards(text, text, integer, bigint, interval),
  gateway.settle_forwards(bigint, text, bigint[], bigint, text, interval) TO gateway_writer, gateway_admin;
