package import Intake
package import Messaging
import PostgresClient
import Routing

/// Messages that wait, found by index probes and moved a sender or a thread in a transaction, on a connection of their
/// own: nobody who records waits for them.
package struct PostgresWaitingMessages: WaitingMessages {
    private let session: RecorderSession

    package init(_ session: RecorderSession) { self.session = session }

    package func people(
        knownBy keys: [PhoneKey], or accounts: [AccountIdentity]
    ) async throws(RecorderError) -> [UniqueID] {
        var phoneKeys = PostgresArrayBuilder(.int8)
        var kinds = PostgresArrayBuilder(.text)
        var scopes = PostgresArrayBuilder(.text)
        var values = PostgresArrayBuilder(.text)
        for key in keys { phoneKeys.append(int64: Int64(clamping: key.value)) }
        for account in accounts {
            kinds.append(text: account.kind.rawValue)
            scopes.append(text: account.scope)
            values.append(text: account.value)
        }
        return try await ids(
            "people_known_by", "$1::bigint[], $2::text[], $3::text[], $4::text[]",
            [phoneKeys.value, kinds.value, scopes.value, values.value])
    }

    package func unclaimedPeople(after: UniqueID?, limit: Int) async throws(RecorderError) -> [UniqueID] {
        try await ids("people_unclaimed", "$1::uuid, $2::integer", Self.step(after, limit))
    }

    package func withheldLandlords(after: UniqueID?, limit: Int) async throws(RecorderError) -> [UniqueID] {
        try await ids("landlords_withheld", "$1::uuid, $2::integer", Self.step(after, limit))
    }

    package func threadsToRelease(of landlords: [UniqueID]) async throws(RecorderError) -> [UniqueID] {
        try await ids("threads_to_release", "$1::uuid[]", [Self.array(landlords)])
    }

    package func release(thread: UniqueID, limit: Int) async throws(RecorderError) -> Int {
        try await RecorderError.mapping { () async throws(PostgresError) in
            try await Contention.repeating { () async throws(PostgresError) in
                Int(
                    try await session.open().query(
                        Self.release, [.id(thread), .int32(Int32(clamping: limit))]
                    ).one().int32(0))
            }
        }
    }

    package func senders(among people: [UniqueID]) async throws(RecorderError) -> [WaitingSender] {
        guard !people.isEmpty else { return [] }
        return try await RecorderError.mapping { () async throws(PostgresError) in
            let connection = try await session.open()
            var senders: [WaitingSender] = []
            for row in try await connection.query(Self.senders, [Self.array(people)]) {
                if let sender = try Self.sender(row) { senders.append(sender) }
            }
            guard !senders.isEmpty else { return [] }
            let routes = try await SenderRoutes.of(
                senders.map { .init(endpointID: $0.endpointID, phone: $0.phone?.key, accountID: $0.accountID) },
                on: connection)
            for (index, routes) in routes.enumerated() { senders[index].routes = routes }
            return senders
        }
    }

    package func claim(
        _ sender: WaitingSender, for destination: RecordedMessage.Destination, tableGeneration: UInt64, limit: Int
    ) async throws(RecorderError) -> Int? {
        var candidate: Candidate?
        var thread: ThreadReference?
        var isOnlyOne = false
        switch destination {
        case .lease(let by, let rung): (candidate, isOnlyOne) = (by, rung == .onlyCandidate)
        case .thread(let into, _): thread = into
        case .held: break
        case .landlord, .unclaimed: return nil
        }
        let values: [PostgresValue] = [
            .id(sender.personID), .id(sender.endpointID), .id(candidate?.landlordID ?? thread?.landlordID),
            PostgresValue(candidate) { .int64(Int64(clamping: $0.routeKey.value)) },
            .id(thread?.conversationID), .text(destination.metadata(generation: tableGeneration)),
            .bool(isOnlyOne), .int32(Int32(clamping: limit)),
        ]
        return try await RecorderError.mapping { () async throws(PostgresError) in
            try await Contention.repeating { () async throws(PostgresError) in
                try await session.open().query(Self.claim, values).one().nullableInt32(0).map(Int.init)
            }
        }
    }
}

// MARK: Rows and parameters

extension PostgresWaitingMessages {
    private func ids(
        _ function: String, _ parameters: String, _ values: [PostgresValue]
    ) async throws(RecorderError) -> [UniqueID] {
        try await RecorderError.mapping { () async throws(PostgresError) in
            let statement = PostgresStatement(name: function, sql: "SELECT gateway.\(function)(\(parameters))")
            return try await session.open().query(statement, values).map { row throws(PostgresError) in try row.id(0) }
        }
    }

    private static func step(_ after: UniqueID?, _ limit: Int) -> [PostgresValue] {
        [.id(after ?? UniqueID(high: 0, low: 0)), .int32(Int32(clamping: limit))]
    }

    private static func array(_ ids: [UniqueID]) -> PostgresValue {
        var array = PostgresArrayBuilder(.uuid)
        for id in ids { array.append(id: id) }
        return array.value
    }

    /// `nil` for a kind of endpoint that this program does not know.
    private static func sender(_ row: PostgresRow) throws(PostgresError) -> WaitingSender? {
        guard let kind = EndpointKind(rawValue: try row.text(2)) else { return nil }
        return WaitingSender(
            personID: try row.id(0), endpointID: try row.id(1),
            endpoint: EndpointReference(kind: kind, providerID: try row.text(3)),
            phone: try row.nullableInt64(4).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) },
            accountID: try row.nullableText(5), routes: [])
    }

    private static let senders = PostgresStatement(
        name: "unclaimed_senders",
        sql: """
            SELECT person_id, endpoint_id, endpoint_kind, endpoint_provider_id, phone, account_id
              FROM gateway.unclaimed_senders($1::uuid[])
            """)

    private static let claim = PostgresStatement(
        name: "claim_messages",
        sql: """
            SELECT gateway.claim_messages(
              $1::uuid, $2::uuid, $3::uuid, $4::bigint, $5::uuid, $6::text::jsonb, $7::boolean, $8::integer)
            """)

    private static let release = PostgresStatement(
        name: "release_thread", sql: "SELECT gateway.release_thread($1::uuid, $2::integer)")
}
