import GatewayTesting
import Glibc
import PostgresClient
import Testing

extension EndToEndTests {
    @Suite struct IdentityChangeTests {
        /// The webhooks of one person, who begins as a tenant of Alice's.
        typealias Story = @Sendable (_ old: String, _ new: String, _ id: (Int) -> String) -> [[MoverUpdate]]

        static let stories: [(String, Story)] = [
            (
                "a new number between two messages",
                { old, new, id in
                    [[.text(id(1), number: old), .newNumber(id(2), from: old, to: new), .text(id(3), number: new)]]
                }
            ),
            (
                "a first message under the new number before the notice, in one webhook",
                { old, new, id in
                    [
                        [
                            .text(id(1), number: old), .text(id(2), number: new),
                            .newNumber(id(3), from: old, to: new), .text(id(4), number: new),
                        ]
                    ]
                }
            ),
            (
                "a first message under the new number in a webhook before that of the notice",
                { old, new, id in
                    [
                        [.text(id(1), number: old)], [.text(id(2), number: new)], [.text(id(3), number: new)],
                        [.newNumber(id(4), from: old, to: new), .text(id(5), number: new)],
                    ]
                }
            ),
            (
                "two new numbers in one webhook",
                { old, new, id in
                    let newer = new + "9"
                    return [
                        [
                            .text(id(1), number: old), .newNumber(id(2), from: old, to: new),
                            .text(id(3), number: new), .newNumber(id(4), from: new, to: newer),
                            .text(id(5), number: newer),
                        ]
                    ]
                }
            ),
            (
                "an id that is made anew, from people who hide their number",
                { old, new, id in
                    [
                        [
                            .text(id(1), number: old, account: "GB.\(old)"),
                            .newAccount(id(2), from: "GB.\(old)", to: "GB.\(new)"),
                            .text(id(3), number: nil, account: "GB.\(new)"),
                        ]
                    ]
                }
            ),
            (
                "a first message under the new id before the notice",
                { old, new, id in
                    [
                        [.text(id(1), number: old, account: "GB.\(old)")],
                        [.text(id(2), number: nil, account: "GB.\(new)")],
                        [
                            .newAccount(id(3), from: "GB.\(old)", to: "GB.\(new)"),
                            .text(id(4), number: nil, account: "GB.\(new)"),
                        ],
                    ]
                }
            ),
            (
                "a number and an id that change at once",
                { old, new, id in
                    [
                        [
                            .text(id(1), number: old, account: "GB.\(old)"),
                            .newAccount(id(2), from: "GB.\(old)", to: "GB.\(new)", numbers: (old, new)),
                            .text(id(3), number: new), .text(id(4), number: nil, account: "GB.\(new)"),
                            .text(id(5), number: new, account: "GB.\(new)"),
                        ]
                    ]
                }
            ),
            (
                "a number and an id told one after the other, with a message between that shows both",
                { old, new, id in
                    [
                        [
                            .text(id(1), number: old, account: "GB.\(old)"), .newNumber(id(2), from: old, to: new),
                            .text(id(3), number: new, account: "GB.\(new)"),
                            .newAccount(id(4), from: "GB.\(old)", to: "GB.\(new)"),
                            .text(id(5), number: new, account: "GB.\(new)"),
                        ]
                    ]
                }
            ),
        ]

        @Test("Messages before and after a change of number or id are in one thread, in their order")
        func changes() async throws {
            try await Stage.run { stage in
                _ = try await stage.start()
                var expected: [[String]] = []
                for (index, story) in Self.stories.enumerated() {
                    let new = "4477009300\(10 + index)"
                    let webhooks = story.1(Crowd.phone(1 + index), new) { "wamid.story-\(index)-\($0)" }
                    try await post(webhooks, to: stage)
                    expected.append(webhooks.joined().map(\.id))
                }
                // Whoever has the old number next is somebody else.
                let heir = MoverUpdate.text("wamid.heir-1", number: Crowd.phone(1), account: "GB.heir")
                try await post([[heir]], to: stage)
                try await Account.settle(stage)

                let alice = try await Landlord("Alice", of: stage)
                for (index, ids) in expected.enumerated() {
                    let story = Self.stories[index].0
                    do {
                        try await eventually(story, within: .seconds(20)) {
                            try await threads(of: alice, with: ids) == [ids]
                        }
                    } catch {
                        Issue.record("\(story): \(try await threads(of: alice, with: ids)), not \(ids)")
                    }
                }
                let unclaimed = try await stage.texts(
                    "SELECT wamid FROM gateway.whatsapp_messages WHERE routing_status = 'unknown_sender'")
                #expect(unclaimed == ["wamid.heir-1"])
                try await Account.checkVerdicts(stage)
            }
        }

        private func post(_ webhooks: [[MoverUpdate]], to stage: Stage) async throws {
            let connection = try await WebhookConnection.open(port: stage.ingressPort)
            for webhook in webhooks {
                #expect(try await connection.post(MoverUpdate.webhook(webhook)).status == 200)
            }
            await connection.close()
        }

        /// The landlord's threads that have any of these messages, oldest first.
        private func threads(of landlord: Landlord, with ids: [String]) async throws -> [[String]] {
            var threads: [[String]] = []
            for conversation in try await landlord.conversations() {
                let messages = try await landlord.messages(in: conversation).reversed().compactMap(\.provider_id)
                if messages.contains(where: ids.contains) { threads.append(messages) }
            }
            return threads
        }

        @Test("SIGKILL between the steps of webhooks that change identities loses, doubles and misplaces nothing")
        func kills() async throws {
            let seed = UInt64.random(in: .min ... .max)
            print("kills between steps: seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            try await Stage.run { stage in
                let movers = Watched<[Int: MovingScript.Mover]>([:])
                // Far fewer than are taken: each of these is recorded by itself, in several round trips.
                let load = Load(port: stage.ingressPort, connections: 2, allowed: 0) {
                    MovingScript(worker: $0, workers: 2, seed: seed, movers: movers)
                }
                var gaps = 0
                try await load.running { load in
                    for life in 0..<15 {
                        let process = try await stage.start()
                        load.allow(50)
                        try await load.acknowledged(Int.random(in: 1...25, using: &generator))
                        if life % 3 == 0 {
                            #expect(try await process.end(by: SIGKILL) == .signal(SIGKILL))
                        } else if try await killInTheGap(process, of: stage, isBlocked: life % 3 == 2) {
                            gaps += 1
                        }
                    }
                    _ = try await stage.start()
                    load.allow(50)
                    try await load.acknowledged(20)
                }
                print("kills between steps: \(gaps) with a webhook recorded in part")
                #expect(gaps > 0)
                var ledger = load.ledger
                ledger.sent.formUnion(try await tellWhatIsUntold(movers.value, to: stage))
                try await Account.settle(stage)
                try await Account(stage).checkExactlyOnce(ledger)
                try await Account.checkVerdicts(stage)
                try await Account.checkMessagesAgainstVerdicts(stage)
                try await checkThreads(stage)
            }
        }

        /// Kills a gateway while a transaction of several steps is open: between two of them, or in one that waits for a
        /// lock.
        /// - Returns: whether there was one.
        private func killInTheGap(_ process: GatewayProcess, of stage: Stage, isBlocked: Bool) async throws -> Bool {
            let database = PostgresConfiguration(stage.cluster.connectionString(database: stage.database))
            let (observer, blocker) = (
                try await PostgresConnection.connect(database), try await PostgresConnection.connect(database)
            )
            if isBlocked {
                try await blocker.execute("BEGIN; LOCK TABLE gateway.identities IN SHARE ROW EXCLUSIVE MODE")
            }
            let isInTheGap =
                isBlocked ? "wait_event_type = 'Lock' AND xact_start < query_start" : "state = 'idle in transaction'"
            var isOpen = false
            for _ in 0..<3000 where !isOpen {
                let open = try await observer.query(
                    """
                    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND application_name LIKE '% recorder' AND \(isInTheGap)
                    """)
                isOpen = try open.one().int64(0) > 0
            }
            #expect(try await process.end(by: SIGKILL) == .signal(SIGKILL))
            if isBlocked { try await blocker.execute("ROLLBACK") }
            await observer.close()
            await blocker.close()
            return isOpen
        }

        /// Those who have written under a number that no notice told of.
        /// - Returns: the ids of the notices.
        private func tellWhatIsUntold(_ movers: [Int: MovingScript.Mover], to stage: Stage) async throws -> [String] {
            var notices: [MoverUpdate] = []
            for var mover in movers.values {
                guard let early = mover.early else { continue }
                notices.append(mover.notice("wamid.told-t\(mover.index)-999999", of: early))
            }
            try await post(notices.map { [$0] }, to: stage)
            return notices.map(\.id)
        }

        private func checkThreads(_ stage: Stage) async throws {
            let messages = """
                SELECT substring(m.wamid FROM '-t([0-9]+)-')::integer AS mover, m.sent_at, m.id, m.conversation_id,
                       substring(m.wamid FROM '[0-9]+$')::integer AS number, c.tenant_id
                  FROM gateway.whatsapp_messages m LEFT JOIN gateway.whatsapp_conversations c ON c.id = m.conversation_id
                 WHERE m.direction = 'incoming' AND m.wamid ~ '-t[0-9]+-'
                """
            let misplaced = """
                SELECT count(*) FROM (\(messages)) x
                 WHERE tenant_id IS DISTINCT FROM ('c0de0000-0000-4000-8000-' || lpad(mover::text, 12, '0'))::uuid
                """
            // What came before its notice is given to its landlord once that is known.
            try? await eventually("every message in its tenant's thread") { try await stage.number(misplaced) == 0 }
            #expect(try await stage.number(misplaced) == 0, "messages outside their tenant's thread")
            let threads = "SELECT count(DISTINCT conversation_id) - count(DISTINCT mover) FROM (\(messages)) x"
            #expect(try await stage.number(threads) == 0, "tenants with more than one thread")
            let turned = """
                SELECT count(*) FROM (
                  SELECT number < lag(number) OVER (PARTITION BY mover ORDER BY sent_at, id) AS is_turned
                    FROM (\(messages)) x) y WHERE is_turned
                """
            #expect(try await stage.number(turned) == 0, "messages that stand before an earlier one of their sender")
            let numbers = """
                SELECT count(*) FROM (
                  SELECT FROM gateway.whatsapp_conversations c JOIN gateway.identities i USING (person_id)
                   WHERE i.kind = 'phone' AND i.retired_at IS NULL GROUP BY c.person_id HAVING count(*) > 1) x
                """
            #expect(try await stage.number(numbers) == 0, "people with two numbers at once")
        }
    }
}
