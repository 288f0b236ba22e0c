import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing

// What lets waiting messages go on, over a world's database.

extension RecorderWorld {
    /// Somebody nobody has yet.
    static let nina: UInt64 = 447_911_000_041
    static let annHome = UniqueID("aaaaaaaa-0000-0000-0000-0000000000a1")!
    static let bobHome = UniqueID("bbbbbbbb-0000-0000-0000-0000000000a1")!

    /// The routing table as the database has it now.
    func table() async throws -> RoutingTable {
        var builder = RoutingTableBuilder()
        let cursor = try await PostgresRouteSource(configuration).loadAll { builder.add($0) }
        return builder.finish(cursor: cursor)
    }

    /// - Parameter table: instead of one loaded now.
    func healing(_ table: RoutingTable? = nil) async throws -> Healing {
        let table = if let table { table } else { try await self.table() }
        let session = RecorderSession(configuration)
        return Healing(
            messages: PostgresWaitingMessages(session), lookup: PostgresConversationLookup(session), table: { table },
            now: { RecorderWorld.clock })
    }

    func heal(_ hints: HealingHints = .everything) async throws -> Healing.Outcome {
        try await healing().heal(hints)
    }

    func heal(
        keys: [UInt64] = [], accounts: [String] = [], landlords: [UniqueID] = []
    ) async throws -> Healing.Outcome {
        var hints = HealingHints()
        hints.keys = Set(keys.map { PhoneKey(folding: $0) })
        hints.accounts = Set(
            accounts.map {
                AccountIdentity(kind: .businessScopedID, scope: endpoint.accountIDScope, value: $0)
            })
        hints.landlords = Set(landlords)
        return try await heal(hints)
    }

    /// A tenant with one lease more.
    /// - Returns: the tenant's id.
    @discardableResult
    func rent(
        _ phone: UInt64, from landlord: UniqueID, start: String = "current_date - 10", end: String = "NULL",
        status: String = "active"
    ) async throws -> UniqueID? {
        try await owner.query(
            """
            WITH t AS (
              INSERT INTO public.tenants (user_id, name, phone) VALUES ('\(landlord)', 'New', '+\(phone)') RETURNING id),
            l AS (
              INSERT INTO public.leases (tenant_id, property_id, status, start_date, end_date)
                SELECT t.id, (SELECT id FROM public.properties WHERE user_id = '\(landlord)' LIMIT 1), '\(status)',
                       \(start), \(end) FROM t)
            SELECT id FROM t
            """
        ).one().id(0)
    }

    func enableBob() async throws {
        try await owner.execute("UPDATE public.user_profiles SET whatsapp_enabled = true WHERE full_name = 'Bob'")
    }

    func forwardToLandlords() async throws {
        try await owner.execute("UPDATE gateway.settings SET value = 'true' WHERE key = 'forward_to_landlord'")
    }

    /// Provider ids of the messages that are forwarded, in the order of the queue.
    func forwarded() async throws -> String? {
        try await value(
            """
            SELECT string_agg(m.wamid, ' ' ORDER BY o.id) FROM gateway.outbox o
              JOIN gateway.whatsapp_messages m ON m.id = o.message_id WHERE o.kind = 'landlord_forward'
            """)
    }
}

extension Healing.Outcome {
    init(claimed: Int = 0, held: Int = 0, released: Int = 0) {
        self.init()
        self.claimed = claimed
        self.held = held
        self.released = released
    }
}
