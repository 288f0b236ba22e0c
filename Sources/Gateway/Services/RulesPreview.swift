import Intake
import Messaging
import PostgresClient
import PostgresStore
package import Routing
import Synchronization

/// What was found out about other rules before they are swapped in.
package enum RulesPreview: Sendable {
    case made(RulesDiff)
    case unmade(reason: String)
}

/// Replays recorded messages through the rules in force and others, in a running gateway: by the table in use, on a
/// connection of its own that cannot write, and within a time. Intake does not notice.
struct RulesReplayer: Sendable {
    let configuration: PostgresConfiguration
    let routes: RouteLoader
    let gate: DatabaseGate

    /// How much is replayed, how many changes are kept, and how long that may take.
    struct Extent: Sendable {
        var last: Int
        var changesMax: Int
        var limit: Duration

        /// Before a reload swaps: a look, for nobody waits long.
        static let reload = Extent(last: 500, changesMax: 0, limit: .seconds(3))
        /// For an administrator.
        static func request(last: Int) -> Extent {
            Extent(last: last, changesMax: RulesDiff.changesMax, limit: .seconds(20))
        }
    }

    func callAsFunction(
        _ live: RulesInForce, _ candidate: RulesInForce, _ extent: Extent
    ) async -> RulesPreview {
        guard gate.isOpen, !routes.isStale, let table = routes.table.snapshot else {
            return .unmade(reason: "the database is away, or the routing table is not up to date")
        }
        let seconds = extent.limit.components.seconds
        let answer = await Deadline.race(extent.limit) {
            await replay(live, candidate, table, extent)
        }
        return answer ?? .unmade(reason: "the database did not answer within \(seconds) s")
    }

    private func replay(
        _ live: RulesInForce, _ candidate: RulesInForce, _ table: RoutingTable, _ extent: Extent
    ) async -> RulesPreview {
        let session = RulesReplayer.session(configuration, callTimeout: extent.limit)
        let clock = ContinuousClock()
        // The rest is for the page under way.
        let end = clock.now.advanced(by: extent.limit * 0.7)
        let replay = RulesReplay(
            messages: PostgresRecordedMessages(session), lookup: PostgresConversationLookup(session)
        ) { _ in table }
        do {
            let diff = try await replay.run(
                last: extent.last, from: live, to: candidate, now: SystemTime.now(), changesMax: extent.changesMax
            ) { clock.now >= end }
            await session.close()
            return .made(diff)
        } catch {
            await session.close()
            return .unmade(
                reason: "recorded messages cannot be read: \((error as? RecorderError)?.reason ?? "\(error)")")
        }
    }

    /// A session that reads alone.
    static func session(_ configuration: PostgresConfiguration, callTimeout: Duration) -> RecorderSession {
        var own = configuration
        own.callTimeout = callTimeout
        own.connectTimeoutSeconds = 2
        own.settings.append(("default_transaction_read_only", "on"))
        own.settings.append(("statement_timeout", "\(callTimeout.components.seconds * 1000)"))
        return RecorderSession(own)
    }
}

/// Waits for something no longer than so long. What is late goes on by itself, and nobody hears of it.
enum Deadline {
    static func race<Value: Sendable>(
        _ limit: Duration, _ body: @escaping @Sendable () async -> Value
    ) async -> Value? {
        await withCheckedContinuation { continuation in
            let answer = OneAnswer(continuation)
            let timer = Task {
                do { try await Task.sleep(for: limit) } catch { return }
                answer.give(nil)
            }
            Task {
                answer.give(await body())
                timer.cancel()
            }
        }
    }
}

/// The first answer counts.
private final class OneAnswer<Value: Sendable>: Sendable {
    private let waiting: Mutex<CheckedContinuation<Value?, Never>?>

    init(_ continuation: CheckedContinuation<Value?, Never>) { waiting = Mutex(continuation) }

    func give(_ value: Value?) {
        let continuation = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        continuation?.resume(returning: value)
    }
}
