import Foundation
import GatewayTesting
import Messaging
import Sandbox
import Testing

extension EndToEndTests {
    @Suite struct ReplayTests {
        @Test("A replay of everything, shuffled and with statuses reordered, changes nothing but two counts")
        func replay() async throws {
            let seed = UInt64.random(in: .min ... .max)
            print("replay: seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    _ = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    var script = Script(worker: 0, workers: 4, seed: seed)
                    let scripted = (0..<80).map { _ in script.next() }
                    let messages = scripted.map(\.wamids.count).reduce(5, +)
                    var webhooks = scripted.map(\.body)
                    let tom = "447911123456"
                    webhooks += (1...5).map { Script.text("wamid.tom-\($0)", from: tom) }
                    try await post(webhooks, to: stage)
                    let statuses = try await answered(stage, twin, to: tom)
                    try await post(statuses, to: stage)
                    try await Account.settle(stage)
                    let (before, counts) = (try await picture(stage), try await stage.loggedVerdicts())

                    for _ in 1...3 {
                        var again = webhooks + statuses
                        again.shuffle(using: &generator)
                        try await post(again, to: stage)
                    }
                    try await Account.settle(stage)
                    let (after, changed) = (try await picture(stage), try await stage.loggedVerdicts())
                    for (table, rows) in before {
                        let difference = after[table, default: []].difference(from: rows)
                        #expect(difference.isEmpty, "\(table) changed: \(difference)")
                    }
                    for (verdict, count) in changed where !["duplicate", "status"].contains(verdict) {
                        // The message that settles is one more.
                        #expect(count == counts[verdict, default: 0] + (verdict == "routed" ? 1 : 0), "\(verdict)")
                    }
                    #expect(changed["duplicate"] == counts["duplicate", default: 0] + 3 * messages)
                    try await Account.checkVerdicts(stage)
                    try await Account.checkMessagesAgainstVerdicts(stage)
                }
            }
        }

        @Test(
            "What an earlier decoder ignored the command has recorded while the gateway runs: foretold, done, done once"
        )
        func command() async throws {
            try await Stage.run { stage in
                _ = try await stage.start()
                try await stage.untilReady()
                let webhooks = (1...3).map { Script.text("wamid.again-\($0)", from: "447911123456", "kettle \($0)") }
                try await post(webhooks + [Script.text("wamid.known", from: Crowd.phone(1))], to: stage)
                try await Account.settle(stage)
                let (verdicts, alice) = (try await stage.loggedVerdicts(), try await Landlord("Alice", of: stage))
                #expect(verdicts == ["routed": 5])
                // As a decoder left them that did not know texts.
                try await stage.execute(
                    """
                    DELETE FROM gateway.message_ids WHERE message_id IN (
                      SELECT id FROM gateway.whatsapp_messages WHERE wamid LIKE 'wamid.again-%');
                    DELETE FROM gateway.whatsapp_messages WHERE wamid LIKE 'wamid.again-%';
                    UPDATE gateway.webhook_log SET routed = 0, ignored = 1
                     WHERE convert_from(payload, 'UTF8') LIKE '%wamid.again-%'
                    """)
                #expect(try await stage.loggedVerdicts() == ["routed": 2, "ignored": 3])

                let foretold = try await replay(["--dry-run"], stage)
                #expect(foretold["webhooks"] == 5 && foretold["messages_recorded"] == 3)
                #expect(
                    try await stage.loggedVerdicts() == ["routed": 2, "ignored": 3], "a look ahead changes nothing")
                let done = try await replay([], stage)
                #expect(done["webhooks"] == 5 && done["messages_recorded"] == 3 && done["refused"] == 0)
                #expect(try await stage.loggedVerdicts() == verdicts)
                let texts = try await alice.messages().compactMap(\.body).filter { $0.hasPrefix("kettle ") }
                #expect(texts.sorted() == ["kettle 1", "kettle 2", "kettle 3"])
                #expect(try await replay([], stage)["messages_recorded"] == 0)
                try await Account.checkMessagesAgainstVerdicts(stage)
            }
        }

        /// Runs the command, and gives the counts it prints.
        private func replay(_ options: [String], _ stage: Stage) async throws -> [String: Int] {
            let command = try stage.spawn(["replay", "--since", "1h", "--json"] + options, [:])
            #expect(try await command.end() == .status(0), "\(command.errors)")
            let printed = try JSONSerialization.jsonObject(with: Data(command.output.utf8)) as? [String: Any]
            return (printed ?? [:]).compactMapValues { $0 as? Int }
        }

        private func post(_ webhooks: [[UInt8]], to stage: Stage) async throws {
            let connection = try await WebhookConnection.open(port: stage.ingressPort)
            for body in webhooks { #expect(try await connection.post(body).status == 200) }
            await connection.close()
        }

        /// Alice answers, and the answer is read. Gives the answer's statuses, and one that does not win any more.
        private func answered(_ stage: Stage, _ twin: RunningTwin, to phone: String) async throws -> [[UInt8]] {
            let alice = try await Landlord("Alice", of: stage)
            let thread = try await eventual("Tom's thread") {
                try await alice.conversations().first { $0.tenant_name == "Tom Taylor" }
            }
            #expect(try await alice.reply("kettle", in: thread).status == 202)
            let sent = try await twin.sent("From Alice Archer via ZenRent: kettle")
            try await eventually("the answer to be read") {
                try await alice.messages(in: thread).contains { $0.direction == "outgoing" && $0.status == "read" }
            }
            return ["sent", "delivered", "read", "failed"].map { status in
                let error = status == "failed" ? GraphError(code: 131026) : nil
                return MetaPayloads(phone: Script.phone).webhook(
                    StatusReport(messageID: sent.wamid, status: status, at: Stage.now, recipient: phone, error: error))
            }
        }

        /// The rows of the tables that people see, without when they were looked at; the settling message is left out.
        private func picture(_ stage: Stage) async throws -> [String: [String]] {
            var picture: [String: [String]] = [:]
            let others = "WHERE coalesce(wamid, '') NOT LIKE 'wamid.last-%'"
            picture["messages"] = try await stage.texts(
                "SELECT to_jsonb(t)::text FROM gateway.whatsapp_messages t \(others) ORDER BY id")
            picture["conversations"] = try await stage.texts(
                """
                SELECT (to_jsonb(t) - 'updated_at')::text FROM gateway.whatsapp_conversations t
                 WHERE tenant_phone::text <> '+\(Crowd.phone(0))' AND tenant_phone::text <> '\(Crowd.phone(0))' ORDER BY id
                """)
            for table in ["people", "identities", "message_costs"] {
                picture[table] = try await stage.texts(
                    "SELECT (to_jsonb(t) - 'updated_at' - 'last_seen')::text AS row FROM gateway.\(table) t ORDER BY row"
                )
            }
            picture["outbox"] = try await stage.texts("SELECT to_jsonb(t)::text FROM gateway.outbox t ORDER BY id")
            picture["waiting statuses"] = try await stage.texts(
                "SELECT wamid || ' ' || status::text FROM gateway.pending_statuses ORDER BY 1")
            return picture
        }
    }
}
