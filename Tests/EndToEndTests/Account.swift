import Sandbox
import Testing

/// What a database has recorded, held against what was acknowledged.
struct Account: Sendable {
    /// Incoming messages by wamid.
    let recorded: [String: Int]

    init(_ stage: Stage) async throws {
        let ids = try await stage.texts("SELECT wamid FROM gateway.whatsapp_messages WHERE direction = 'incoming'")
        recorded = ids.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// Waits until a webhook that is posted now is recorded, and so is everything acknowledged before it.
    static func settle(_ stage: Stage, within limit: Duration = .seconds(90)) async throws {
        let id = "wamid.last-\(UInt64.random(in: .min ... .max))"
        try await post(id, to: stage)
        try await eventually("everything acknowledged to be recorded", within: limit) {
            try await stage.number("SELECT count(*) FROM gateway.whatsapp_messages WHERE wamid = '\(id)'") == 1
        }
    }

    /// Posts one text of a sender of the crowd until it is acknowledged.
    static func post(_ id: String, sender: Int = 0, to stage: Stage) async throws {
        let body = Script.text(id, from: Crowd.phone(sender))
        try await eventually("webhook \(id) to be acknowledged") {
            guard let connection = try? await WebhookConnection.open(port: stage.ingressPort) else { return false }
            let answer = try? await connection.post(body)
            await connection.close()
            return answer?.status == 200
        }
    }

    /// Everything acknowledged is there once, nothing is there twice, and nothing is there that was not sent.
    func checkExactlyOnce(_ ledger: Ledger, sourceLocation: SourceLocation = #_sourceLocation) {
        let lost = ledger.acknowledged.filter { recorded[$0] == nil }
        let doubled = recorded.filter { $0.value > 1 }.map(\.key)
        let strangers = recorded.keys.filter { !ledger.sent.contains($0) && !$0.hasPrefix("wamid.last-") }
        #expect(lost.isEmpty, "acknowledged and lost: \(lost.count)", sourceLocation: sourceLocation)
        #expect(doubled.isEmpty, "recorded more than once: \(doubled.count)", sourceLocation: sourceLocation)
        #expect(strangers.isEmpty, "never sent: \(strangers.prefix(3))", sourceLocation: sourceLocation)
        #expect(!ledger.acknowledged.isEmpty, "nothing was acknowledged", sourceLocation: sourceLocation)
    }

    /// Every update ended in one verdict, every message verdict but `duplicate` made one message, and no position of the
    /// journal is missing from the log.
    static func checkVerdicts(_ stage: Stage, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let log = "FROM gateway.webhook_log"
        // Both sums in one look: statuses go on coming.
        let unexplained = try await stage.number(
            """
            SELECT coalesce(sum(updates - routed - withheld - held - unclaimed - status_applied - duplicate - ignored - parked),
                            0) \(log)
            """)
        #expect(unexplained == 0, "updates without a verdict", sourceLocation: sourceLocation)
        let gaps = try await stage.number(
            """
            SELECT coalesce(sum(gap), 0) FROM (
              SELECT max(journal_pos) - min(journal_pos) + 1 - count(*) AS gap \(log) GROUP BY journal_id) x
            """)
        #expect(gaps == 0, "webhooks of the journal without a row", sourceLocation: sourceLocation)
        let behind = try await stage.number(
            """
            SELECT count(*) FROM gateway.journal_checkpoints c
             WHERE c.position <> (SELECT coalesce(max(journal_pos), c.position) \(log) WHERE journal_id = c.journal_id)
            """)
        #expect(behind == 0, "checkpoints that are not at the log's end", sourceLocation: sourceLocation)
    }

    /// Messages and verdicts agree: each message was counted once as something else than a duplicate.
    static func checkMessagesAgainstVerdicts(
        _ stage: Stage, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let verdicts = try await stage.number(
            "SELECT coalesce(sum(routed + withheld + held + unclaimed), 0) FROM gateway.webhook_log")
        let messages = try await stage.number(
            "SELECT count(*) FROM gateway.whatsapp_messages WHERE direction = 'incoming'")
        #expect(verdicts == messages, sourceLocation: sourceLocation)
    }

    /// The messages of each sender of a load were recorded in the order in which they were sent.
    static func checkOrder(_ stage: Stage, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let turned = try await stage.number(
            """
            SELECT count(*) FROM (
              SELECT number < lag(number) OVER (PARTITION BY tenant_phone ORDER BY recorded_at, journal_pos, number) AS is_turned
                FROM (SELECT tenant_phone, recorded_at, journal_pos, split_part(body, ' ', 2)::bigint AS number
                        FROM gateway.whatsapp_messages
                       WHERE direction = 'incoming' AND body LIKE '\(Discretion.bodyMark) %') m) x
             WHERE is_turned
            """)
        #expect(turned == 0, "messages recorded before an earlier one of their sender", sourceLocation: sourceLocation)
    }
}

extension Script {
    /// The webhook of one text.
    static func text(_ id: String, from phone: String, _ text: String = Discretion.bodyMark) -> [UInt8] {
        MetaPayloads(phone: Self.phone).webhook(
            TenantMessage(from: phone, id: id, sentAt: Stage.now, content: .text(text), name: "Tenant"))
    }
}
