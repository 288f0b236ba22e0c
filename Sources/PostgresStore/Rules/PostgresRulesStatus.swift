package import Messaging
package import PostgresClient
package import Routing

/// By which rules each gateway decides, as the gateways themselves tell it.
package struct PostgresRulesStatus: Sendable {
    private let connection: PostgresConnection

    package init(_ connection: PostgresConnection) { self.connection = connection }

    /// Tells what a gateway decides by, and what was done since it last told. In one transaction.
    /// - Returns: whether nobody has the files of this digest yet: then `keep` them.
    package func note(_ standing: GatewayRules, _ events: [RulesEvent]) async throws(PostgresError) -> Bool {
        let columns = EventColumns(events)
        let failure = standing.failure
        return try await connection.query(
            """
            SELECT gateway.note_rules($1::uuid, $2::text, $3::integer, $4::text, $5::bigint, $6::text, $7::integer,
                     $8::timestamptz, $9::text, $10::timestamptz, $11::text, $12::integer, $13::text,
                     $14::timestamptz[], $15::uuid[], $16::text[], $17::text[], $18::text[])
            """,
            [
                .id(standing.gateway), .text(standing.host), .int32(standing.process), .text(standing.directory),
                .int64(standing.generation), .text(standing.digest), .int32(Int32(clamping: standing.ruleCount)),
                .time(standing.loadedAt), .text(standing.loadedBy), PostgresValue(failure) { .time($0.at) },
                PostgresValue(failure) { .text($0.by) }, PostgresValue(failure) { .int32(Int32(clamping: $0.errors)) },
                PostgresValue(failure) { .text($0.first) },
            ] + columns.values
        ).one().bool(0)
    }

    /// Keeps the files that a digest stands for. Doing it twice changes nothing.
    package func keep(_ files: [RulesFile], digest: String) async throws(PostgresError) {
        var names = PostgresArrayBuilder(.text)
        var contents = PostgresArrayBuilder(.bytea)
        for file in files {
            guard case .bytes(let bytes) = file.content else { continue }
            names.append(text: file.name)
            contents.append(bytea: bytes)
        }
        _ = try await connection.query(
            """
            INSERT INTO gateway.rule_files (digest, name, content)
              SELECT $1::text, u.name, u.content FROM unnest($2::text[], $3::bytea[]) AS u(name, content)
            ON CONFLICT DO NOTHING
            """, [.text(digest), names.value, contents.value])
    }

    /// What all gateways decide by, the one that loaded last first.
    package func gateways() async throws(PostgresError) -> [GatewayRules] {
        try await connection.query(
            """
            SELECT gateway, host, process, directory, generation, digest, rules, loaded_at, loaded_by, same_since,
                   same_since_by, seen_at, failed_at, failed_by, failed_errors, failed_first
              FROM gateway.rules_in_force ORDER BY loaded_at DESC, gateway
            """
        ).map { row throws(PostgresError) in try GatewayRules(row) }
    }

    /// The files that a digest stands for; none when nobody keeps them any more.
    package func files(of digest: String) async throws(PostgresError) -> [RulesFile] {
        try await connection.query(
            "SELECT name, content FROM gateway.rule_files WHERE digest = $1::text ORDER BY name", [.text(digest)]
        ).map { row throws(PostgresError) in
            RulesFile(name: try row.text(0), content: .bytes(try row.bytes(1)))
        }
    }
}

/// What one gateway decides by.
package struct GatewayRules: Hashable, Sendable {
    /// A load that left everything as it was.
    package struct Failure: Hashable, Sendable {
        package var at: Timestamp
        package var by: String
        /// How many errors there were.
        package var errors: Int
        /// The first of them, on one line.
        package var first: String

        package init(at: Timestamp, by: String, errors: Int, first: String) {
            self.at = at
            self.by = by
            self.errors = errors
            self.first = first
        }
    }

    /// By its journal, which stays over a restart.
    package var gateway: UniqueID
    package var host: String
    package var process: Int32
    /// Where the rules were read from.
    package var directory: String
    /// Counts the rules the process swapped in, from 1.
    package var generation: Int64
    /// Of the files' names and contents.
    package var digest: String
    package var ruleCount: Int
    package var loadedAt: Timestamp
    package var loadedBy: String
    /// Since when these very files are live, also over restarts, and who brought them. As read.
    package var sameSince: Timestamp
    package var sameSinceBy: String
    /// When the gateway last told. As read.
    package var seenAt: Timestamp
    package var failure: Failure?

    package init(
        gateway: UniqueID, host: String, process: Int32, directory: String, generation: Int64, digest: String,
        ruleCount: Int, loadedAt: Timestamp, loadedBy: String, failure: Failure? = nil
    ) {
        self.gateway = gateway
        self.host = host
        self.process = process
        self.directory = directory
        self.generation = generation
        self.digest = digest
        self.ruleCount = ruleCount
        self.loadedAt = loadedAt
        self.loadedBy = loadedBy
        sameSince = loadedAt
        sameSinceBy = loadedBy
        seenAt = loadedAt
        self.failure = failure
    }

    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        self.init(
            gateway: try row.id(0), host: try row.text(1), process: try row.int32(2), directory: try row.text(3),
            generation: try row.int64(4), digest: try row.text(5), ruleCount: Int(try row.int32(6)),
            loadedAt: try row.time(7), loadedBy: try row.text(8))
        sameSince = try row.time(9)
        sameSinceBy = try row.text(10)
        seenAt = try row.time(11)
        guard let at = try row.nullableTime(12) else { return }
        failure = Failure(
            at: at, by: try row.nullableText(13) ?? "", errors: Int(try row.nullableInt32(14) ?? 0),
            first: try row.nullableText(15) ?? "")
    }
}

/// A load of rules that is to be on record.
package struct RulesEvent: Hashable, Sendable {
    package var at: Timestamp
    /// For an administrator, their account.
    package var actorID: UniqueID?
    package var actor: String
    /// `swapped`, `unchanged` or `rejected`.
    package var outcome: String
    /// Of the rules that are live after it.
    package var digest: String

    package init(at: Timestamp, actorID: UniqueID?, actor: String, outcome: String, digest: String) {
        self.at = at
        self.actorID = actorID
        self.actor = actor
        self.outcome = outcome
        self.digest = digest
    }
}

private struct EventColumns {
    private var at = PostgresArrayBuilder(.timestamptz)
    private var actorID = PostgresArrayBuilder(.uuid)
    private var actor = PostgresArrayBuilder(.text)
    private var outcome = PostgresArrayBuilder(.text)
    private var digest = PostgresArrayBuilder(.text)

    init(_ events: [RulesEvent]) {
        for event in events {
            at.append(time: event.at)
            actorID.append(id: event.actorID)
            actor.append(text: event.actor)
            outcome.append(text: event.outcome)
            digest.append(text: event.digest)
        }
    }

    var values: [PostgresValue] { [at.value, actorID.value, actor.value, outcome.value, digest.value] }
}
