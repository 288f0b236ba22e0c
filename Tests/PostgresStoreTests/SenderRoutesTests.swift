import GatewayTesting
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct SenderRoutesTests {
    private static let numbers = (0..<5).map { 447_911_600_000 + UInt64($0) }

    /// People get and leave numbers and ids at random, landlords write leases under the numbers at random: the table and
    /// the database name the same leases of every sender. Of one whose number and account id contradict each other the
    /// database knows more, and names no others than the table does, but for those of a number's former holder.
    @Test(arguments: (0..<6).map { _ in UInt64.random(in: 0...UInt64.max) })
    func theTableSaysWhatTheDatabaseSays(seed: UInt64) async throws {
        let world = try await RecorderWorld()
        var generator = SeededGenerator(seed: seed)
        func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }
        for step in 0..<60 {
            let minute = "now() - interval '\(100 - step) minutes'"
            let (phone, other, account) = (Self.numbers[roll(5)], Self.numbers[roll(5)], "GB.\(roll(5))")
            switch roll(6) {
            case 0, 1:
                try await world.owner.execute(
                    "SELECT gateway.change_identity('phone', '', '\(phone)', '\(other)', \(minute))")
            case 2:
                try await world.owner.execute(
                    "SELECT gateway.change_identity('bsuid', 'PF', '\(account)', 'GB.\(roll(5))', \(minute))")
            case 3: try await see(world, phone, nil, minute)
            case 4: try await see(world, phone, account, minute)
            default:
                try await world.owner.execute(
                    """
                    INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, phone_key, tenant_phone, lease_status, learnt_at)
                      VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), \(phone), \(phone), 'active', \(minute) + interval '30 seconds')
                    """)
            }
        }
        let table = try await world.loadTable()
        for phone in Self.numbers.map(Optional.some) + [nil] {
            for account in (0..<5).map({ "GB.\($0)" }) + [nil] where phone != nil || account != nil {
                try await compare(world, table, phone, account, seed)
            }
        }
    }

    private func see(_ world: RecorderWorld, _ phone: UInt64, _ account: String?, _ minute: String) async throws {
        let (kinds, scopes) = account == nil ? ("'{phone}'", "'{\"\"}'") : ("'{phone,bsuid}'", "'{\"\",PF}'")
        let values = account.map { "'{\(phone),\($0)}'" } ?? "'{\(phone)}'"
        let count = account == nil ? 1 : 2
        try await world.owner.execute(
            """
            SELECT gateway.resolve_people(array_fill('\(RecorderWorld.ann)'::uuid, ARRAY[\(count)]), \(kinds), \(scopes), \(values),
              array_fill(NULL::bigint, ARRAY[\(count)]), array_fill(\(minute), ARRAY[\(count)]))
            """)
    }

    private func compare(
        _ world: RecorderWorld, _ table: RoutingTable, _ phone: UInt64?, _ account: String?, _ seed: UInt64
    ) async throws {
        let key = phone.map { PhoneKey(folding: $0) }
        let question = ThreadQuestion(endpoint: world.endpoint, phone: key, accountID: account, quotedMessageID: nil)
        let exact = Set(try await world.lookup.routes(for: [question])[0].map(\.landlordID))
        let identity = account.map { AccountIdentity(kind: .businessScopedID, scope: "PF", value: $0) }
        let list = table.candidates(
            phone: key, account: identity, endpoint: world.endpoint, today: RecorderWorld.present.day)
        let listed = Set(list.candidates.map(\.landlordID))
        let note: Comment = "seed \(seed): \(phone ?? 0) \(account ?? "-")"
        // The table knows no id that somebody gave up: the commit refuses what it says of one, and the database is asked.
        if try await isGivenUp(world, account) { return }
        let people = try await world.value(
            """
            SELECT count(DISTINCT person_id) FROM gateway.identities WHERE retired_at IS NULL
               AND ((kind = 'phone' AND value = $1) OR (kind = 'bsuid' AND value = $2))
            """, .text(phone.map { "\($0)" } ?? ""), .text(account ?? ""))
        if phone == nil || account == nil || people == "1", try await isLinked(world, phone, account) {
            #expect(listed == exact, note)
        } else if try await !hadBefore(world, account, phone) {
            #expect(exact.isSubset(of: listed), note)
        }
    }

    /// Somebody whose number another account id showed since: what was filed under it in their time the database alone knows.
    private func hadBefore(_ world: RecorderWorld, _ account: String?, _ phone: UInt64?) async throws -> Bool {
        guard let phone, let account else { return false }
        return try await world.value(
            """
            SELECT count(*) > 0 FROM gateway.identities p JOIN gateway.identities a USING (person_id)
             WHERE p.kind = 'phone' AND p.value = $1 AND p.retired_reason = 'recycled' AND a.kind = 'bsuid' AND a.value = $2
            """, .text("\(phone)"), .text(account)) == "true"
    }

    private func isGivenUp(_ world: RecorderWorld, _ account: String?) async throws -> Bool {
        guard let account else { return false }
        return try await world.value(
            """
            SELECT bool_and(retired_at IS NOT NULL) FROM gateway.identities WHERE kind = 'bsuid' AND value = $1
            """, .text(account)) == "true"
    }

    /// Whether what the sender shows is one person's.
    private func isLinked(_ world: RecorderWorld, _ phone: UInt64?, _ account: String?) async throws -> Bool {
        guard let phone, let account else { return true }
        return try await world.value(
            """
            SELECT count(*) FROM gateway.identities p JOIN gateway.identities a USING (person_id)
             WHERE p.kind = 'phone' AND p.value = $1 AND p.retired_at IS NULL
               AND a.kind = 'bsuid' AND a.value = $2 AND a.retired_at IS NULL
            """, .text("\(phone)"), .text(account)) == "1"
    }

    /// What the table could not know is caught by the commit.
    @Test func aLeaseUnderANumberThatSomebodyLeftIsNotTheNextHolders() async throws {
        let world = try await RecorderWorld()
        let moved: UInt64 = 447_911_222_222
        try await world.record([world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '\(moved)', now())")
        let checkpoint = try await world.claim()
        let batch = world.batch(
            [
                world.message("w2", from: RecorderWorld.tess, account: "GB.9", RecorderWorld.toTess),
                world.message("w3", from: moved, RecorderWorld.toTess),
                world.message("w4", from: nil, account: "GB.1", RecorderWorld.toTess),
                world.message("w5", from: nil, account: "GB.9", RecorderWorld.toTess),
                world.message("w6", from: moved, account: "GB.9", RecorderWorld.toTess),
            ], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        #expect(stale.map(\.message) == [0, 3, 4])
        #expect(stale.allSatisfy { $0.routes.isEmpty })
    }

    @Test func aRecycledNumberDoesNotLeadIntoItsFormerHoldersThread() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.tessLease)'")
        func threads(_ account: String?) async throws -> Int {
            try await world.lookup.facts(for: [
                ThreadQuestion(
                    endpoint: world.endpoint, phone: PhoneKey(folding: RecorderWorld.tess), accountID: account,
                    quotedMessageID: nil)
            ])[0].threads.count
        }
        #expect(try await threads("GB.1") == 1)
        #expect(try await threads(nil) == 1)
        #expect(try await threads("GB.2") == 0)
    }
}
