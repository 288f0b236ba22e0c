package import Messaging
package import PostgresClient
package import Routing

/// What the database has about messages and senders, for `explain`. Reads alone, but for the audit line.
package struct PostgresExplanations: Sendable {
    private let session: RecorderSession

    package init(_ session: RecorderSession) { self.session = session }

    /// A message by the provider's id, the newest of that id if endpoints share it; `nil` when none is recorded.
    package func message(providerID: String) async throws(PostgresError) -> RecordedFacts? {
        let rows = try await session.open().query(
            """
            SELECT x.message_id FROM gateway.endpoints e
             CROSS JOIN LATERAL (SELECT * FROM gateway.message_ids y
                                  WHERE y.key = gateway.message_key(e.id, $1) LIMIT 1) x
             ORDER BY x.sent_at DESC LIMIT 1
            """, [.text(providerID)])
        guard let row = rows.first else { return nil }
        return try await message(try row.id(0))
    }

    /// A message with all that came of it; `nil` when it is not recorded.
    package func message(_ id: UniqueID) async throws(PostgresError) -> RecordedFacts? {
        let connection = try await session.open()
        guard let row = try await connection.query(ExplanationRows.message, [.id(id)]).first else { return nil }
        var facts = try ExplanationRows.facts(row)
        guard facts.isIncoming else { return facts }
        facts.candidates = try await connection.query(
            ExplanationRows.candidates, [.time(facts.sentAt), .id(id)]
        ).map { row throws(PostgresError) in try ExplanationRows.candidate(row) }
        facts.actions = try await connection.query(ExplanationRows.actions, [.id(id)])
            .map { row throws(PostgresError) in try ExplanationRows.action(row) }
        facts.questions = try await connection.query(
            ExplanationRows.questions,
            [
                .id(facts.metadata.question), .id(facts.personID), .id(facts.endpointID), .time(facts.recordedAt),
                .bool(facts.routingStatus == "ambiguous"),
            ]
        ).map { row throws(PostgresError) in try ExplanationRows.question(row) }
        facts.jobs = try await connection.query(ExplanationRows.jobs, [.id(id), .time(facts.sentAt)])
            .map { row throws(PostgresError) in try ExplanationRows.job(row) }
        facts.acts = try await connection.query(
            ExplanationRows.acts, [.text("\(id)"), .time(facts.recordedAt)]
        ).map { row throws(PostgresError) in try ExplanationRows.act(row) }
        return facts
    }

    /// What people who may be this sender are known by, now and before.
    /// - Parameter person: one more of them.
    package func identities(
        of phone: PhoneKey?, _ accountID: String?, at endpoint: Endpoint, or person: UniqueID?
    ) async throws(PostgresError) -> [KnownIdentity] {
        try await session.open().query(
            ExplanationRows.identities, Self.sender(phone, accountID, endpoint) + [.id(person)]
        ).map { row throws(PostgresError) in
            KnownIdentity(
                kind: try row.text(0), value: try row.text(1), personID: try row.id(2), firstSeen: try row.time(3),
                retiredAt: try row.nullableTime(4), retiredReason: try row.nullableText(5))
        }
    }

    /// The sender's conversations that are blocked.
    package func blocked(
        of phone: PhoneKey?, _ accountID: String?, at endpoint: Endpoint
    ) async throws(PostgresError) -> [BlockedThread] {
        try await session.open().query(
            """
            SELECT c.landlord_id, c.tenant_id FROM gateway.endpoints e
             CROSS JOIN LATERAL unnest(gateway.sender_people(e.phone_scope, $2, e.id_kind, e.id_scope, $3, now())) p(id)
              JOIN gateway.whatsapp_conversations c ON c.person_id = p.id AND c.channel = e.channel
             WHERE e.id = $1 AND c.status = 'blocked'
            """, Self.sender(phone, accountID, endpoint)
        ).map { row throws(PostgresError) in
            BlockedThread(landlordID: try row.id(0), tenantID: try row.nullableID(1))
        }
    }

    /// The rows of leases, in the order of their tenants' and their own ids.
    package func records(under keys: Set<PhoneKey>) async throws(PostgresError) -> [RouteRecord] {
        try await PostgresRouteSource.records(under: keys, session.open())
    }

    /// Says who read it.
    /// - Parameters:
    ///   - entity: `message` or `sender`.
    ///   - id: masked where it is a sender's.
    package func note(
        reader: ExplanationReader, entity: String, id: String, isUnmasked: Bool
    ) async throws(PostgresError) {
        _ = try await session.open().query(
            """
            INSERT INTO gateway.audit_log (actor, actor_role, action, entity, entity_id, detail)
              VALUES ($1::uuid, $2::text, 'explain', $3::text, $4::text, jsonb_build_object('unmasked', $5::boolean))
            """, [.id(reader.id), .text(reader.role), .text(entity), .text(id), .bool(isUnmasked)])
    }

    private static func sender(_ phone: PhoneKey?, _ accountID: String?, _ endpoint: Endpoint) -> [PostgresValue] {
        [
            .id(endpoint.id), PostgresValue(phone) { .int64(Int64(clamping: $0.value)) },
            PostgresValue(accountID) { .text($0) },
        ]
    }
}
