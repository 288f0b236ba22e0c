import Messaging
import PostgresClient

/// The books of the database after a story: what they add up to, and what a replay must leave as it is.
struct Ledger {
    let connection: PostgresConnection

    /// Verdicts in the webhook log, by name.
    func verdicts() async throws -> VerdictCounts {
        let row = try await connection.query(
            """
            SELECT coalesce(sum(routed), 0), coalesce(sum(withheld), 0), coalesce(sum(held), 0), coalesce(sum(unclaimed), 0),
                   coalesce(sum(status_applied), 0), coalesce(sum(duplicate), 0), coalesce(sum(ignored), 0),
                   coalesce(sum(parked), 0) FROM gateway.webhook_log
            """
        ).one()
        var counts = VerdictCounts()
        let order: [Verdict] = [.routed, .withheld, .held, .unclaimed, .status, .duplicate, .ignored, .parked]
        for (column, verdict) in order.enumerated() { counts[verdict] = Int(try row.int64(column)) }
        return counts
    }

    /// How many updates each webhook has, in the order of the journal; a webhook whose verdicts do not add up to that
    /// is counted with minus one.
    func updates() async throws -> [Int] {
        try await connection.query(
            """
            SELECT CASE updates WHEN routed + withheld + held + unclaimed + status_applied + duplicate + ignored + parked
                   THEN updates ELSE -1 END::bigint FROM gateway.webhook_log ORDER BY journal_id, journal_pos
            """
        ).map { Int(try $0.int64(0)) }
    }

    /// Messages that came in, and how many different ids they have.
    func messages() async throws -> (rows: Int, ids: Int) {
        let row = try await connection.query(
            """
            SELECT count(*), count(DISTINCT (endpoint_id, wamid)) FROM gateway.whatsapp_messages
             WHERE direction = 'incoming'
            """
        ).one()
        return (Int(try row.int64(0)), Int(try row.int64(1)))
    }

    /// The states of our own messages.
    func statuses() async throws -> [RowID: String] {
        var found: [RowID: String] = [:]
        for row in try await connection.query(
            "SELECT id, status FROM gateway.whatsapp_messages WHERE direction = 'outgoing'")
        {
            found[RowID(try row.id(0))] = try row.text(1)
        }
        return found
    }

    /// A digest of every table that recording writes, by name.
    func digests() async throws -> [String: String] {
        var digests: [String: String] = [:]
        for (table, row) in Self.tables {
            let digest = try await connection.query(
                "SELECT md5(coalesce(string_agg(x, E'\\n' ORDER BY x), '')) FROM (SELECT \(row) AS x FROM gateway.\(table) t) y"
            )
            digests[table] = try digest.one().text(0)
        }
        return digests
    }

    /// What a row is to a replay: when it was last looked at is not part of it.
    private static let tables = [
        ("whatsapp_messages", "t::text"), ("whatsapp_conversations", "t::text"), ("webhook_log", "md5(t::text)"),
        ("people", "t::text"), ("message_ids", "t::text"), ("pending_statuses", "(key, status, at)::text"),
        ("identities", "(kind, scope, value, person_id, retired_at, retired_reason)::text"),
        ("identity_conflicts", "(person_a, person_b, status)::text"), ("parked_updates", "(hash, idx, reason)::text"),
        ("outbox", "t::text"),
    ]
}
