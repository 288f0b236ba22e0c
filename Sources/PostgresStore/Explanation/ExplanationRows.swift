import Messaging
import PostgresClient
import Routing

/// What `PostgresExplanations` asks, and how a row of each answer becomes a value.
enum ExplanationRows {
    /// Between the items of a list in one column: no text of ours holds it.
    private static let separator: Character = "\u{1E}"

    /// Of message `w`, with its job.
    private static let sentColumns = """
        w.id, w.status::text, w.outcome, w.error_code, w.error_detail, w.delivered_at, w.read_at, w.failed_at,
        coalesce(o.state, CASE WHEN d.id IS NOT NULL THEN 'dead' END), coalesce(o.last_error, d.last_error)
        """
    private static let sentJobs = """
          LEFT JOIN gateway.outbox o ON o.idempotency_key = 'msg:' || w.id
          LEFT JOIN LATERAL (SELECT * FROM gateway.outbox_dead x WHERE x.idempotency_key = 'msg:' || w.id
                              ORDER BY x.died_at DESC LIMIT 1) d ON true
        """

    /// `$1` id. Columns 0–9 are `sentColumns`.
    static let message = """
        SELECT \(sentColumns),
               w.direction = 'incoming', w.endpoint_id, w.message_type, w.body, w.context_wamid, w.tenant_phone::bigint,
               a.value, p.person_id, w.sent_at, w.recorded_at,
               w.landlord_id, l.landlord_name, w.tenant_id, r.lease_id, w.property_id, r.property_address,
               w.conversation_id, w.routing_status::text,
               m ->> 'rung', (m ->> 'table')::bigint, (m ->> 'rules')::bigint,
               (SELECT string_agg(v, E'\\x1E') FROM jsonb_array_elements_text(
                  CASE jsonb_typeof(m -> 'matched') WHEN 'array' THEN m -> 'matched' ELSE '[]' END) v),
               (SELECT string_agg(v, E'\\x1E') FROM jsonb_array_elements_text(
                  CASE jsonb_typeof(m -> 'tags') WHEN 'array' THEN m -> 'tags' ELSE '[]' END) v),
               m ->> 'priority', (m ->> 'question')::uuid, (m ->> 'choice')::integer,
               (m ->> 'claimed_at')::timestamptz, (m ->> 'released_at')::timestamptz, m ->> 'rule',
               (m ->> 'answers')::uuid
          FROM gateway.find_message($1::uuid) w
          LEFT JOIN gateway.whatsapp_conversations c ON c.id = w.conversation_id
         CROSS JOIN LATERAL (SELECT coalesce(c.person_id, w.person_id) AS person_id) p
         CROSS JOIN LATERAL (SELECT coalesce(w.routing_metadata, '{}') AS m) y
          JOIN gateway.endpoints e ON e.id = w.endpoint_id
          LEFT JOIN LATERAL (SELECT i.value FROM gateway.identities i
                              WHERE i.person_id = p.person_id AND i.kind = e.id_kind AND i.scope = e.id_scope
                                AND i.retired_at IS NULL ORDER BY i.last_seen DESC, i.id DESC LIMIT 1) a ON true
          LEFT JOIN gateway.route_landlords l ON l.landlord_id = w.landlord_id
          LEFT JOIN LATERAL (SELECT x.lease_id, x.property_address FROM gateway.routes x
                              WHERE x.tenant_id = w.tenant_id AND x.landlord_id = w.landlord_id
                              ORDER BY x.lease_id IS NOT DISTINCT FROM (m ->> 'lease')::uuid DESC,
                                       x.property_id IS NOT DISTINCT FROM w.property_id DESC, x.lease_id
                              LIMIT 1) r ON true
        \(sentJobs)
         WHERE w.id IS NOT NULL
        """

    static func facts(_ row: PostgresRow) throws(PostgresError) -> RecordedFacts {
        var facts = RecordedFacts(
            id: try row.id(0), isIncoming: try row.bool(10), endpointID: try row.id(11), type: try row.text(12),
            body: try row.nullableText(13), quotedMessageID: try row.nullableText(14),
            phone: try row.nullableInt64(15).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) },
            accountID: try row.nullableText(16), personID: try row.nullableID(17), sentAt: try row.time(18),
            recordedAt: try row.time(19), place: nil, routingStatus: try row.text(27), metadata: try metadata(row),
            sent: try sent(row, from: 0))
        if let landlord = try row.nullableID(20) {
            facts.place = Explanation.Place(
                landlord: landlord, landlordName: try row.nullableText(21), tenant: try row.nullableID(22),
                lease: try row.nullableID(23), property: try row.nullableID(24),
                propertyAddress: try row.nullableText(25), conversation: try row.nullableID(26))
        }
        return facts
    }

    private static func metadata(_ row: PostgresRow) throws(PostgresError) -> RecordedFacts.Metadata {
        var metadata = RecordedFacts.Metadata()
        metadata.rung = try row.nullableText(28)
        metadata.table = try row.nullableInt64(29)
        metadata.rules = try row.nullableInt64(30)
        metadata.matched = list(try row.nullableText(31))
        metadata.tags = list(try row.nullableText(32))
        metadata.priority = try row.nullableText(33)
        metadata.question = try row.nullableID(34)
        metadata.choice = try row.nullableInt32(35).map(Int.init)
        metadata.claimedAt = try row.nullableTime(36)
        metadata.releasedAt = try row.nullableTime(37)
        metadata.rule = try row.nullableText(38)
        metadata.answers = try row.nullableID(39)
        return metadata
    }

    private static func list(_ text: String?) -> [String] {
        text.map { $0.split(separator: separator, omittingEmptySubsequences: false).map(String.init) } ?? []
    }

    private static func sent(_ row: PostgresRow, from first: Int) throws(PostgresError) -> Explanation.Sent {
        Explanation.Sent(
            message: try row.id(first), status: try row.text(first + 1), outcome: try row.nullableText(first + 2),
            errorCode: try row.nullableInt32(first + 3).map(Int.init), errorDetail: try row.nullableText(first + 4),
            deliveredAt: try row.nullableTime(first + 5), readAt: try row.nullableTime(first + 6),
            failedAt: try row.nullableTime(first + 7), job: try row.nullableText(first + 8),
            lastError: try row.nullableText(first + 9))
    }

    private static func sentIfAny(_ row: PostgresRow, from first: Int) throws(PostgresError) -> Explanation.Sent? {
        try row.isNull(first) ? nil : try sent(row, from: first)
    }

    /// `$1` sent at, `$2` id.
    static let candidates = """
        SELECT (c ->> 'landlord')::uuid, l.landlord_name, (c ->> 'tenant')::uuid, (c ->> 'lease')::uuid,
               (c ->> 'property')::uuid, r.property_address, (c ->> 'conversation')::uuid
          FROM gateway.whatsapp_messages m
         CROSS JOIN LATERAL jsonb_array_elements(
           CASE jsonb_typeof(m.routing_metadata -> 'candidates')
             WHEN 'array' THEN m.routing_metadata -> 'candidates' ELSE '[]' END) WITH ORDINALITY x(c, n)
          LEFT JOIN gateway.route_landlords l ON l.landlord_id = (c ->> 'landlord')::uuid
          LEFT JOIN LATERAL (SELECT y.property_address FROM gateway.routes y
                              WHERE y.tenant_id = (c ->> 'tenant')::uuid AND y.landlord_id = (c ->> 'landlord')::uuid
                              ORDER BY y.lease_id IS NOT DISTINCT FROM (c ->> 'lease')::uuid DESC, y.lease_id
                              LIMIT 1) r ON true
         WHERE m.sent_at = $1 AND m.id = $2 ORDER BY n
        """

    static func candidate(_ row: PostgresRow) throws(PostgresError) -> Explanation.Place {
        Explanation.Place(
            landlord: try row.id(0), landlordName: try row.nullableText(1), tenant: try row.nullableID(2),
            lease: try row.nullableID(3), property: try row.nullableID(4), propertyAddress: try row.nullableText(5),
            conversation: try row.nullableID(6))
    }

    /// `$1` message. OFFSET: an action without an answer looks for none, for no index would tell that there is no
    /// message NULL.
    static let actions = """
        SELECT a.at, a.rule, a.action, a.value, a.outcome, a.detail, a.closed_at, a.closed_by, \(sentColumns)
          FROM gateway.rule_actions a
          LEFT JOIN LATERAL (SELECT f.* FROM gateway.find_message(a.made_message_id) f
                              WHERE a.made_message_id IS NOT NULL OFFSET 0) w ON true
        \(sentJobs)
         WHERE a.message_id = $1 ORDER BY a.at, a.id
        """

    static func action(_ row: PostgresRow) throws(PostgresError) -> Explanation.Action {
        Explanation.Action(
            at: try row.time(0), rule: try row.text(1), action: try row.text(2), value: try row.nullableText(3),
            outcome: try row.text(4), detail: try row.nullableText(5), closedAt: try row.nullableTime(6),
            closedBy: try row.nullableText(7), sent: try sentIfAny(row, from: 8))
    }

    /// `$1` the question the message answers; `$2` person, `$3` endpoint, `$4` when the message was recorded: what was
    /// asked because of it was asked in the same transaction; `$5` whether it waits still, for the open question then.
    static let questions = """
        SELECT q.id, q.asked_at, q.status, q.expires_at, q.answered_at, q.answer, q.released,
               (SELECT string_agg(concat_ws(' – ', x.c ->> 'shown_property', x.c ->> 'shown_landlord'), E'\\x1E'
                                  ORDER BY x.n)
                  FROM jsonb_array_elements(q.choices) WITH ORDINALITY AS x(c, n)), \(sentColumns)
          FROM gateway.questions q
          LEFT JOIN LATERAL (SELECT * FROM gateway.whatsapp_messages y
                              WHERE y.sent_at = q.asked_at AND y.direction = 'outgoing'
                                AND y.routing_metadata ->> 'question' = q.id::text LIMIT 1) w ON true
        \(sentJobs)
         WHERE q.id = $1 OR (q.person_id = $2 AND q.endpoint_id = $3
                             AND (q.asked_at = $4 OR ($5 AND q.status = 'open')))
         ORDER BY q.asked_at, q.id
        """

    static func question(_ row: PostgresRow) throws(PostgresError) -> Explanation.Question {
        Explanation.Question(
            id: try row.id(0), askedAt: try row.time(1), status: try row.text(2),
            choices: list(try row.nullableText(7)),
            expiresAt: try row.time(3), answeredAt: try row.nullableTime(4),
            answer: try row.nullableInt32(5).map(Int.init), released: try row.nullableInt32(6).map(Int.init),
            sent: try sentIfAny(row, from: 8))
    }

    /// What passes the message on, and its webhook: `$1` message, `$2` sent at.
    static let jobs = """
        WITH k AS MATERIALIZED (
          SELECT ARRAY['fwd:' || m.id, 'fwd:' || m.id || ':' || m.conversation_id,
                       'webhook:' || m.journal_id || ':' || m.journal_pos] AS keys
            FROM gateway.whatsapp_messages m WHERE m.sent_at = $2 AND m.id = $1)
        SELECT o.kind, o.state, o.attempts::integer, o.last_error
          FROM k JOIN gateway.outbox o ON o.idempotency_key = ANY (k.keys)
        UNION ALL
        SELECT d.kind, 'dead (' || d.outcome || ')', d.attempts::integer, d.last_error
          FROM k JOIN gateway.outbox_dead d ON d.idempotency_key = ANY (k.keys)
         ORDER BY 1, 2
        """

    static func job(_ row: PostgresRow) throws(PostgresError) -> Explanation.Job {
        Explanation.Job(
            kind: try row.text(0), state: try row.text(1), attempts: Int(try row.int32(2)),
            lastError: try row.nullableText(3))
    }

    /// `$1` message, `$2` since when.
    static let acts = """
        SELECT at, actor, actor_role, action, detail::text FROM gateway.audit_log
         WHERE entity = 'message' AND entity_id = $1 AND at >= $2 AND action <> 'explain' ORDER BY at, id
        """

    static func act(_ row: PostgresRow) throws(PostgresError) -> Explanation.Act {
        Explanation.Act(
            at: try row.time(0), actor: try row.nullableID(1), role: try row.nullableText(2), action: try row.text(3),
            detail: try row.text(4))
    }

    /// `$1` endpoint, `$2` phone key, `$3` account id, `$4` one more person. Some hundred are more than anybody has.
    static let identities = """
        SELECT i.kind, i.value, i.person_id, i.first_seen, i.retired_at, i.retired_reason
          FROM (SELECT DISTINCT u.id FROM gateway.endpoints e
                 CROSS JOIN LATERAL unnest(array_append(
                   gateway.sender_people(e.phone_scope, $2::bigint, e.id_kind, e.id_scope, $3::text, now()),
                   $4::uuid)) u(id)
                 WHERE e.id = $1::uuid AND u.id IS NOT NULL) p
          JOIN gateway.identities i ON i.person_id = p.id
         ORDER BY i.person_id, i.retired_at IS NOT NULL, i.kind, i.first_seen, i.id LIMIT 500
        """
}
