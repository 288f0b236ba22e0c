import GatewayTesting
import Glibc
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Synchronization

@testable import Intake

/// What these tests do with a `RecorderWorld`: gateways of their own, people who move, and their messages.
extension RecorderWorld {
    /// Later than everything the landlords wrote: a number is left after the lease that is filed under it was.
    static var present: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    func loadTable() async throws -> RoutingTable {
        var builder = RoutingTableBuilder()
        let cursor = try await PostgresRouteSource(configuration).loadAll { builder.add($0) }
        return builder.finish(cursor: cursor)
    }

    /// A gateway beside the world's own, with a journal of its own.
    func makeGateway(_ number: UInt64) -> Gateway {
        Gateway(session: RecorderSession(configuration), journal: UniqueID(high: 9, low: number), endpoint: endpoint)
    }

    struct Gateway {
        let session: RecorderSession
        let journal: UniqueID
        let endpoint: Endpoint
        var recorder: PostgresRecorder { PostgresRecorder(session) }

        /// A batch of these messages at the journal's next position.
        func batch(_ messages: [RecordedMessage]) async throws -> RecordBatch {
            let checkpoint = try await recorder.claim(JournalIdentity(id: journal, owner: journal))
            let position = JournalPosition(checkpoint.position.value + 1)
            var batch = RecordBatch(
                journal: checkpoint.journal, owner: journal, after: checkpoint.position, upTo: position)
            batch.messages = messages.map { message in
                var message = message
                message.position = position
                return message
            }
            batch.webhooks = [
                RecordedWebhook(
                    position: position,
                    envelope: Envelope(source: .meta, receivedAt: RecorderWorld.clock, signature: [], body: []),
                    event: "messages", updates: messages.count, statuses: 0, ignored: 0, parked: 0)
            ]
            return batch
        }

        /// Writes the messages, and leaves the transaction open until it is closed.
        func open(_ messages: [RecordedMessage], _ changes: [RecordedIdentityChange] = []) async throws -> RecordBatch {
            var batch = try await batch(messages)
            batch.phase = .opens
            batch.identityChanges = changes
            let result = try await recorder.record(batch)
            guard case .recorded(let outcome) = result else { throw Unexpected(result: result) }
            batch.webhooks[0].earlier = outcome.counts
            return batch
        }

        func close(_ opened: RecordBatch) async throws {
            var batch = opened
            batch.phase = .closes
            (batch.messages, batch.identityChanges) = ([], [])
            let result = try await recorder.record(batch)
            guard case .recorded = result else { throw Unexpected(result: result) }
        }

        /// Records as the loop does: what the database cannot do now is done again.
        /// - Returns: how often it was tried.
        @discardableResult
        func record(_ messages: [RecordedMessage], _ changes: [RecordedIdentityChange] = []) async throws -> Int {
            for attempt in 1...200 {
                do {
                    if changes.isEmpty {
                        let result = try await recorder.record(try await batch(messages))
                        guard case .recorded = result else { throw Unexpected(result: result) }
                    } else {
                        try await close(try await open(messages, changes))
                    }
                    return attempt
                } catch let error as RecorderError {
                    if case .dataRejected = error { throw error }
                }
            }
            throw RecorderError.unavailable("for ever")
        }
    }

    func change(_ id: String, _ change: IdentityChange) -> RecordedIdentityChange {
        RecordedIdentityChange(endpoint: endpoint, messageID: id, change: change, at: Self.present)
    }

    /// Returns once somebody waits for a lock in this database.
    func untilSomebodyWaits() async throws {
        while try await value(
            """
            SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'
            """) == "0"
        { await Task.yield() }
    }

    /// What must never be, whoever recorded beside whom; `nil` when all is well.
    func confusion() async throws -> String? {
        try await value(
            """
            SELECT string_agg(x, E'\\n') FROM (
              SELECT 'a thread of somebody absorbed: ' || c.id AS x FROM gateway.whatsapp_conversations c
                JOIN gateway.people p ON p.id = c.person_id WHERE p.merged_into IS NOT NULL
              UNION ALL SELECT 'a message of nobody: ' || m.wamid FROM gateway.whatsapp_messages m
                LEFT JOIN gateway.people p ON p.id = m.person_id
               WHERE m.conversation_id IS NULL AND (p.id IS NULL OR p.merged_into IS NOT NULL)
              UNION ALL SELECT 'an identity of somebody absorbed: ' || i.value FROM gateway.identities i
                JOIN gateway.people p ON p.id = i.person_id WHERE p.merged_into IS NOT NULL
              UNION ALL SELECT 'a question to somebody absorbed: ' || q.id FROM gateway.questions q
                JOIN gateway.people p ON p.id = q.person_id WHERE p.merged_into IS NOT NULL
              UNION ALL SELECT 'absorbed by somebody absorbed: ' || p.id FROM gateway.people p
                JOIN gateway.people q ON q.id = p.merged_into WHERE q.merged_into IS NOT NULL
              UNION ALL SELECT 'an open conflict of somebody absorbed: ' || k.id FROM gateway.identity_conflicts k
                JOIN gateway.people p ON p.id IN (k.person_a, k.person_b)
               WHERE k.status = 'open' AND p.merged_into IS NOT NULL
              UNION ALL SELECT 'a message across landlords: ' || m.wamid FROM gateway.whatsapp_messages m
                JOIN gateway.whatsapp_conversations c ON c.id = m.conversation_id WHERE c.landlord_id <> m.landlord_id
            ) y
            """)
    }
}
