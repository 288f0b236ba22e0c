-- Records a batch: one statement, one round trip, one transaction. Arrays in, one row out.
--
-- The update of the checkpoint is the fence. It finds its row only while the position is where the batch begins, the
-- caller owns the journal, and every message's route holds; everything else hangs on it, so otherwise nothing is
-- written and the row returned says why.
--
--   $1 id  $2 endpoint  $3 provider's id  $4 phone  $5 phone key  $6 account id  $7 parent account id  $8 landlord
--   $9 route key  $10 conversation  $11 held  $12 sent at  $13 type  $14 body  $15 quoted id  $16 raw
--   $17 routing metadata  $18 position                                                  one row a message
--   $19 position  $20 received at  $21 source  $22 event  $23 payload  $24 updates  $25 statuses  $26 ignored
--   $27 parked                                                                          one row a webhook
--   $28 endpoint  $29 provider's id  $30 status  $31 at  $32 error code  $33 error detail  $34 pricing
--   $35 our message  $36 its time                                                       one row a status
--   $37 position  $38 index  $39 received at  $40 source  $41 reason  $42 detail  $43 endpoint kind
--   $44 endpoint's provider id  $45 its body, counted from 1 in $46                     one row a parked update
--   $47 parked updates this batch settles  $48 journal  $49 owner  $50 position believed  $51 new position
--   $52 routed, withheld, held, unclaimed and duplicate of the earlier steps of the one webhook here, if it has any
--   $53 endpoint  $54 state  $55 at  $56 phone                                          one row a session's state
--   $57 message  $58 provider's id  $59 MIME type  $60 SHA-256  $61 file name           one row a file
--   $62 signature, one a webhook  $63 whether webhooks are also passed on
--   $64 withheld by a rule, one a message, or NULL
--   $65 message  $66 kind  $67 rule  $68 value  $69 detail  $70 id  $71 number          one row an order, or NULL
--
-- Tables are looked up by LATERAL ... LIMIT 1: an index probe a row, whatever the planner thinks of their size. A join
-- planned on a young table becomes a scan of the grown one, and a prepared statement is planned once.
--
-- A message by a lease has $8 and $9, one by a thread $8 and $10, one for a landlord whom a rule names $8 alone, a held
-- one $11 and its candidates in $17, an unclaimed one none of these. Tenant, property and lease are the database's.
WITH given AS MATERIALIZED (
  SELECT u.id, u.endpoint, u.wamid, u.phone, u.pk, u.account, u.parent, u.landlord, r.lease_id AS lease, u.held, u.sent_at,
         u.type, u.body, u.quoted, u.raw, u.meta, u.pos, u.by_rule, u.ord, coalesce(t.channel, e.channel) AS channel,
         e.phone_scope,
         e.id_kind, e.id_scope, gateway.message_key(u.endpoint, u.wamid) AS key,
         t.person_id AS thread_person, coalesce(r.tenant_id, t.tenant_id) AS tenant,
         coalesce(r.property_id, t.property_id) AS property,
         -- The commit decides: an endpoint, lease, number or thread may have changed hands, or be gone.
         e.id IS NOT NULL AND (u.landlord IS NULL OR e.scope = 'platform' OR e.owner_id = u.landlord) AND
         CASE WHEN u.route_key IS NOT NULL THEN r.lease_id IS NOT NULL
              WHEN u.conversation IS NOT NULL THEN
                t.landlord_id = u.landlord AND t.person_id = ANY (
                  gateway.sender_people(e.phone_scope, u.pk, e.id_kind, e.id_scope, u.account, u.sent_at))
              WHEN u.landlord IS NOT NULL THEN
                EXISTS (SELECT FROM gateway.route_landlords x WHERE x.landlord_id = u.landlord)
              ELSE true END AS holds
    FROM (SELECT gateway.setting('lease_grace_days')::integer AS grace) s
   CROSS JOIN unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::uuid[],
           $9::bigint[], $10::uuid[], $11::boolean[], $12::timestamptz[], $13::text[], $14::text[], $15::text[],
           $16::bytea[], $17::text[], $18::bigint[], $64::boolean[]) WITH ORDINALITY
      AS u(id, endpoint, wamid, phone, pk, account, parent, landlord, route_key, conversation, held, sent_at, type, body,
           quoted, raw, meta, pos, by_rule, ord)
    LEFT JOIN gateway.endpoints e ON e.id = u.endpoint
    LEFT JOIN LATERAL gateway.sender_lease(u.landlord, u.route_key, e.phone_scope, u.pk, e.id_kind, e.id_scope,
                        u.account, u.sent_at, s.grace) r ON true
    LEFT JOIN LATERAL (SELECT * FROM gateway.whatsapp_conversations x WHERE x.id = u.conversation LIMIT 1) t ON true),
fence AS (
  UPDATE gateway.journal_checkpoints
     SET position = $51, records = records + coalesce(cardinality($1::uuid[]), 0), updated_at = now()
   WHERE journal_id = $48::integer AND position = $50::bigint AND owner = $49::uuid
     AND NOT EXISTS (SELECT FROM given WHERE holds IS NOT TRUE)
  RETURNING position),

-- messages: known ids fall out, the rest get their person, thread and verdict
fresh AS (
  INSERT INTO gateway.message_ids (key, message_id, sent_at)
    SELECT DISTINCT ON (g.key) g.key, g.id, g.sent_at FROM fence, given g ORDER BY g.key, g.ord
  ON CONFLICT (key) DO NOTHING RETURNING message_id),
new AS MATERIALIZED (        -- a step of its own: joined with the identities at once it becomes a loop over the batch
  SELECT g.* FROM given g JOIN fresh ON fresh.message_id = g.id),
known AS MATERIALIZED (
  SELECT n.*, CASE WHEN (n.pk IS NULL OR p.person_id IS NOT NULL) AND (n.account IS NULL OR a.person_id IS NOT NULL)
                    AND coalesce(p.person_id, a.person_id) = coalesce(a.person_id, p.person_id)
                   THEN coalesce(a.person_id, p.person_id) END AS person
    FROM new n
    LEFT JOIN LATERAL (SELECT x.person_id FROM gateway.identities x WHERE x.value = n.pk::text AND x.kind = 'phone'
                          AND x.scope = n.phone_scope AND x.retired_at IS NULL LIMIT 1) p ON true
    LEFT JOIN LATERAL (SELECT x.person_id FROM gateway.identities x WHERE x.value = n.account AND x.kind = n.id_kind
                          AND x.scope = n.id_scope AND x.retired_at IS NULL LIMIT 1) a ON true),
resolved AS MATERIALIZED (   -- only senders the look-up could not settle
  SELECT (r).row_id, (r).person_id, (r).conflict FROM (
    SELECT gateway.resolve_people(array_agg(k.id), array_agg(x.kind), array_agg(x.scope), array_agg(x.value),
             array_agg(x.dial), array_agg(k.sent_at)) AS r
      FROM known k CROSS JOIN LATERAL (VALUES ('phone', k.phone_scope, k.pk::text, k.phone),
             (k.id_kind, k.id_scope, k.account, NULL), ('parent_bsuid', k.id_scope, k.parent, NULL))
             AS x(kind, scope, value, dial)
     WHERE k.person IS NULL AND x.value IS NOT NULL HAVING count(*) > 0) f),
m AS MATERIALIZED (
  SELECT k.*, coalesce(k.thread_person, k.person, r.person_id) AS who
    FROM known k LEFT JOIN resolved r ON r.row_id = k.id),
thread AS (
  INSERT INTO gateway.whatsapp_conversations AS c (landlord_id, tenant_id, person_id, channel, endpoint_id,
      tenant_phone, phone_key, property_id, lease_id, unread_count, last_message_at, last_inbound_at)
    SELECT landlord, tenant, who, channel, (array_agg(endpoint ORDER BY ord DESC))[1], max(phone), max(pk),
           (array_agg(property ORDER BY ord DESC))[1], (array_agg(lease ORDER BY ord DESC))[1], count(*), max(sent_at),
           least(max(sent_at), now())
      FROM m WHERE landlord IS NOT NULL
     GROUP BY landlord, channel, who, tenant ORDER BY landlord, channel, who, tenant
  ON CONFLICT (landlord_id, channel, person_id, tenant_id) DO UPDATE SET
    unread_count = c.unread_count + CASE c.status WHEN 'blocked' THEN 0 ELSE excluded.unread_count END,
    endpoint_id = excluded.endpoint_id,
    last_message_at = greatest(c.last_message_at, excluded.last_message_at),
    last_inbound_at = greatest(c.last_inbound_at, excluded.last_inbound_at),
    tenant_phone = coalesce(excluded.tenant_phone, c.tenant_phone),
    phone_key = coalesce(excluded.phone_key, c.phone_key),
    property_id = coalesce(excluded.property_id, c.property_id),
    lease_id = coalesce(excluded.lease_id, c.lease_id), updated_at = now()
  RETURNING c.id, c.landlord_id, c.channel, c.person_id, c.tenant_id, c.status),
msg AS (
  INSERT INTO gateway.whatsapp_messages (id, sent_at, conversation_id, landlord_id, tenant_id, property_id, endpoint_id,
      person_id, tenant_phone, channel, direction, wamid, context_wamid, message_type, body, raw, status,
      routing_status, routing_metadata, journal_id, journal_pos)
    SELECT m.id, m.sent_at, c.id, c.landlord_id, c.tenant_id, m.property, m.endpoint,
           CASE WHEN c.id IS NULL THEN m.who END, m.phone, m.channel, 'incoming', m.wamid, m.quoted, m.type, m.body,
           m.raw, 'received',
           CASE WHEN c.id IS NOT NULL THEN coalesce(w.status, 'delivered')
                WHEN m.held THEN 'ambiguous' ELSE 'unknown_sender' END,
           m.meta::jsonb
             || CASE WHEN m.lease IS NOT NULL THEN jsonb_build_object('lease', m.lease)
                     WHEN m.held THEN jsonb_build_object('candidates', gateway.candidate_leases(
                       m.meta::jsonb -> 'candidates', m.endpoint, m.pk, m.account, m.sent_at)) ELSE '{}' END
             || CASE WHEN w.status IS NULL THEN '{}' ELSE jsonb_build_object('withheld', w.status) END,
           $48, m.pos
      FROM m
      LEFT JOIN thread c ON c.person_id = m.who AND c.landlord_id = m.landlord AND c.channel = m.channel
       AND c.tenant_id IS NOT DISTINCT FROM m.tenant
      LEFT JOIN LATERAL (SELECT x.whatsapp_enabled FROM gateway.route_landlords x
                          WHERE x.landlord_id = c.landlord_id LIMIT 1) l ON true
     CROSS JOIN LATERAL (SELECT CASE WHEN c.id IS NOT NULL
                                     THEN coalesce(gateway.withheld_status(c.status, l.whatsapp_enabled),
                                                   CASE WHEN m.by_rule THEN 'by_rule' END) END AS status) w
  RETURNING id, sent_at, conversation_id, landlord_id, person_id, body, routing_status),
files AS (
  INSERT INTO gateway.media (message_id, message_sent_at, landlord_id, provider_media_id, mime_type, sha256, file_name)
    SELECT m.id, m.sent_at, m.landlord_id, u.file, u.mime, u.hash, u.name
      FROM unnest($57::uuid[], $58::text[], $59::text[], $60::bytea[], $61::text[]) AS u(id, file, mime, hash, name)
      JOIN msg m ON m.id = u.id),
forward AS (
  INSERT INTO gateway.outbox (kind, idempotency_key, order_key, landlord_id, message_id, message_sent_at, payload)
    SELECT 'landlord_forward', 'fwd:' || id, gateway.order_key('landlord_forward', conversation_id), landlord_id, id,
           sent_at, jsonb_build_object('text', body)
      FROM msg WHERE routing_status = 'delivered' AND (SELECT gateway.setting('forward_to_landlord')::boolean)
     ORDER BY id),
after AS MATERIALIZED (      -- the threads are written; not run where all senders were known and have theirs
  SELECT (a).renumbered, (a).is_news FROM (
    SELECT gateway.after_recording((SELECT array_agg(DISTINCT r.person_id) FROM resolved r),
             (SELECT array_agg(DISTINCT x.person_id) FROM msg x WHERE x.person_id IS NOT NULL)) AS a
      FROM (SELECT count(*) FROM thread) AS done
     WHERE EXISTS (SELECT FROM resolved) OR EXISTS (SELECT FROM msg WHERE person_id IS NOT NULL)) f),
ordered AS MATERIALIZED (    -- what rules and answers want done; not run for a batch of which nothing is wanted
  SELECT (o).asked, (o).released, (o).answered FROM (
    SELECT gateway.apply_orders(
             (SELECT array_agg(x.id ORDER BY g.ord) FROM given g JOIN msg x ON x.id = g.id),
             array_agg(u.id ORDER BY u.n), array_agg(x.sent_at ORDER BY u.n), array_agg(u.kind ORDER BY u.n),
             array_agg(u.rule ORDER BY u.n), array_agg(u.value ORDER BY u.n), array_agg(u.detail ORDER BY u.n),
             array_agg(u.made ORDER BY u.n), array_agg(u.number ORDER BY u.n)) AS o
      FROM unnest($65::uuid[], $66::text[], $67::text[], $68::text[], $69::text[], $70::uuid[], $71::integer[])
             WITH ORDINALITY AS u(id, kind, rule, value, detail, made, number, n)
      JOIN msg x ON x.id = u.id
     WHERE cardinality($65::uuid[]) > 0
    HAVING count(*) > 0) f),

statuses AS MATERIALIZED (
  SELECT (s).applied, (s).waiting FROM (
    SELECT gateway.apply_statuses($28::uuid[], $29::text[], $30::text[], $31::timestamptz[], $32::integer[],
             $33::text[], $34::text[]::jsonb[], $35::uuid[], $36::timestamptz[]) AS s
      FROM fence WHERE cardinality($28::uuid[]) > 0) x),
sessions AS MATERIALIZED (
  SELECT gateway.apply_sessions($53::uuid[], $54::text[], $55::timestamptz[], $56::bigint[]) AS n
    FROM fence WHERE cardinality($53::uuid[]) > 0),

-- parked updates: a body once, an update once however often the body comes
bodies AS MATERIALIZED (
  SELECT n, payload, sha256(payload) AS hash FROM fence, unnest($46::bytea[]) WITH ORDINALITY AS b(payload, n)),
brought AS MATERIALIZED (
  SELECT u.*, b.hash
    FROM unnest($37::bigint[], $38::integer[], $39::timestamptz[], $40::text[], $41::text[], $42::text[], $43::text[],
                $44::text[], $45::integer[]) AS u(pos, idx, at, source, reason, detail, kind, provider_id, body)
    JOIN bodies b ON b.n = u.body),
to_park AS MATERIALIZED (
  SELECT DISTINCT ON (hash, idx) * FROM brought ORDER BY hash, idx, pos),
stored AS (
  INSERT INTO gateway.parked_payloads (hash, payload) SELECT DISTINCT ON (hash) hash, payload FROM bodies
  ON CONFLICT DO NOTHING),
parked AS (
  INSERT INTO gateway.parked_updates AS x (hash, idx, journal_id, journal_pos, received_at, source, reason, detail,
      endpoint_kind, endpoint_provider_id)
    SELECT hash, idx, $48, pos, at, source, reason, detail, kind, provider_id FROM to_park
  ON CONFLICT (hash, idx) DO UPDATE SET
    times = x.times + CASE WHEN x.id = ANY ($47::bigint[]) THEN 0 ELSE 1 END,
    attempts = x.attempts + CASE WHEN x.id = ANY ($47::bigint[]) THEN 1 ELSE 0 END,
    reason = excluded.reason, detail = excluded.detail, endpoint_kind = excluded.endpoint_kind,
    endpoint_provider_id = excluded.endpoint_provider_id, last_seen = now(), redrive_requested_at = NULL
  RETURNING x.id, x.hash, x.idx, x.journal_id, x.journal_pos),
copied AS (                                         -- who brings it again waits with who brought it first
  INSERT INTO gateway.parked_copies (hash, idx, journal_id, journal_pos, received_at)
    SELECT b.hash, b.idx, $48, b.pos, b.at FROM brought b
      JOIN parked p ON p.hash = b.hash AND p.idx = b.idx AND p.id <> ALL (coalesce($47::bigint[], '{}'))
       AND (p.journal_id, p.journal_pos) <> ($48::integer, b.pos)
  ON CONFLICT DO NOTHING),
settled AS (
  DELETE FROM gateway.parked_updates x USING fence
   WHERE x.id = ANY ($47::bigint[]) AND NOT EXISTS (SELECT FROM to_park p WHERE p.hash = x.hash AND p.idx = x.idx)
  RETURNING x.hash, x.idx, x.journal_id, x.journal_pos, x.received_at),
copies AS (                                         -- theirs is what was recorded already
  SELECT c.journal_id, c.journal_pos, c.received_at, count(*)::integer AS n
    FROM settled s CROSS JOIN LATERAL (
      SELECT * FROM gateway.parked_copies c WHERE c.hash = s.hash AND c.idx = s.idx OFFSET 0) c
   GROUP BY 1, 2, 3),

-- the webhooks' own rows, with the verdicts of their messages as they were decided here
verdicts AS MATERIALIZED (
  SELECT g.pos, count(*) FILTER (WHERE x.routing_status = 'delivered')::integer AS routed,
         count(*) FILTER (WHERE x.routing_status IN ('opted_out', 'blocked', 'over_limit', 'by_rule'))::integer
           AS withheld,
         count(*) FILTER (WHERE x.routing_status = 'ambiguous')::integer AS held,
         count(*) FILTER (WHERE x.routing_status = 'unknown_sender')::integer AS unclaimed,
         count(*) FILTER (WHERE x.id IS NULL)::integer AS duplicate
    FROM fence, given g LEFT JOIN msg x ON x.id = g.id GROUP BY g.pos),
webhooks AS MATERIALIZED (
  SELECT * FROM unnest($19::bigint[], $20::timestamptz[], $21::text[], $22::text[], $23::bytea[], $24::integer[],
                       $25::integer[], $26::integer[], $27::integer[], $62::bytea[])
             AS w(pos, at, source, event, payload, updates, statuses, ignored, parked, signature)),
logged AS (
  INSERT INTO gateway.webhook_log (received_at, journal_id, journal_pos, source, event, payload, updates, routed,
      withheld, held, unclaimed, status_applied, duplicate, ignored, parked, processed, signature)
    SELECT w.at, $48, w.pos, w.source, w.event, w.payload, w.updates,
           coalesce(v.routed, 0) + coalesce(e.n[1], 0), coalesce(v.withheld, 0) + coalesce(e.n[2], 0),
           coalesce(v.held, 0) + coalesce(e.n[3], 0), coalesce(v.unclaimed, 0) + coalesce(e.n[4], 0), w.statuses,
           coalesce(v.duplicate, 0) + coalesce(e.n[5], 0), w.ignored, w.parked, w.parked = 0, w.signature
      FROM fence CROSS JOIN (SELECT $52::integer[] AS n) e CROSS JOIN webhooks w LEFT JOIN verdicts v ON v.pos = w.pos
     WHERE $51::bigint > $50::bigint
  ON CONFLICT DO NOTHING                            -- a replayed position has its row
  RETURNING received_at, journal_id, journal_pos, source),
passed_on AS (                                      -- in the journal's order; what is queued already stays as it is
  INSERT INTO gateway.outbox (kind, idempotency_key, order_key, payload)
    SELECT 'downstream_webhook', 'webhook:' || journal_id || ':' || journal_pos, gateway.forward_lane(source),
           jsonb_build_object('received_at', received_at, 'journal_id', journal_id, 'journal_pos', journal_pos)
      FROM logged WHERE $63::boolean ORDER BY journal_pos
  ON CONFLICT DO NOTHING),
relogged AS MATERIALIZED (                          -- and a redriven one hands over what was parked
  SELECT gateway.relog_redriven(x.journal_id, x.journal_pos, x.received_at, x.n, coalesce(v.routed, 0),
           coalesce(v.withheld, 0), coalesce(v.held, 0), coalesce(v.unclaimed, 0), coalesce(v.duplicate, 0),
           coalesce(w.statuses, CASE WHEN cardinality($28::uuid[]) + cardinality($53::uuid[]) > 0 THEN x.n ELSE 0 END))
    FROM (SELECT journal_id, journal_pos, received_at, count(*)::integer AS n FROM settled GROUP BY 1, 2, 3) x
    LEFT JOIN verdicts v ON v.pos = x.journal_pos
    LEFT JOIN webhooks w ON w.pos = x.journal_pos
  UNION ALL
  SELECT gateway.relog_redriven(c.journal_id, c.journal_pos, c.received_at, c.n, 0, 0, 0, 0,
           CASE WHEN cardinality($1::uuid[]) > 0 THEN c.n ELSE 0 END,
           CASE WHEN cardinality($28::uuid[]) + cardinality($53::uuid[]) > 0 THEN c.n ELSE 0 END)
    FROM copies c)
SELECT (SELECT count(*) FROM fence)::integer AS fence,
       (SELECT string_agg((ord - 1)::text, ',' ORDER BY ord) FROM given WHERE holds IS NOT TRUE) AS stale,
       coalesce(sum(v.routed), 0)::integer AS routed, coalesce(sum(v.withheld), 0)::integer AS withheld,
       coalesce(sum(v.held), 0)::integer AS held, coalesce(sum(v.unclaimed), 0)::integer AS unclaimed,
       coalesce(sum(v.duplicate), 0)::integer AS duplicate,
       (SELECT count(*) FROM to_park)::integer AS parked, (SELECT count(*) FROM settled)::integer AS settled,
       (SELECT count(*) FROM relogged)::integer AS relogged,
       coalesce((SELECT applied FROM statuses), 0)::integer AS applied,
       coalesce((SELECT waiting FROM statuses), 0)::integer AS waiting,
       (SELECT count(*) FROM resolved)::integer AS people,
       (SELECT count(*) FROM resolved WHERE conflict)::integer AS conflicts,
       coalesce((SELECT renumbered FROM after), 0)::integer AS renumbered,
       coalesce((SELECT is_news FROM after), false) AS is_news,
       coalesce((SELECT n FROM sessions), 0)::integer AS sessions,
       coalesce((SELECT asked FROM ordered), 0)::integer AS asked,
       coalesce((SELECT released FROM ordered), 0)::integer AS released,
       coalesce((SELECT answered FROM ordered), 0)::integer AS answered
  FROM verdicts v
