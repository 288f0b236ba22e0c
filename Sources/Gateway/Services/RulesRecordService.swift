import Glibc
import Logging
import Messaging
import PostgresClient
import PostgresStore
import ServiceLifecycle

/// Tells the database by which rules this gateway decides, whenever that changes and now and then besides, so that
/// others can ask. Decides nothing: what it cannot tell now, it tells later.
struct RulesRecordService: Service {
    let rules: RulesLoader
    /// This gateway, by its journal.
    let gateway: @Sendable () -> UniqueID
    let host: String
    let configuration: PostgresConfiguration
    let logger: Logger

    /// A gateway that has not told of itself for three times as long does not run.
    static let interval = Duration.seconds(30)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                let (hints, hint) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
                group.addTask { for await _ in rules.news { hint.yield() } }
                group.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: Self.interval)
                        hint.yield()
                    }
                    hint.finish()
                }
                group.addTask { await tell(at: hints) }
            }
        }
    }

    private func tell(at hints: AsyncStream<Void>) async {
        var lastProblem = ""
        for await _ in hints {
            do {
                try await tell()
                lastProblem = ""
            } catch {
                let problem = "\(error)"
                // Once a reason: an outage may last for hours, and `rules status` shows that nobody tells.
                if problem != lastProblem {
                    logger.warning(
                        "the database does not know by which rules this gateway decides; told again later",
                        metadata: ["error": "\(problem)"])
                }
                lastProblem = problem
            }
        }
    }

    /// Tells once.
    func tell() async throws(PostgresError) {
        let standing = rules.standing
        let connection = try await PostgresConnection.connect(configuration)
        do {
            let store = PostgresRulesStatus(connection)
            let own = GatewayRules(standing, gateway: gateway(), host: host)
            let isNew = try await store.note(own, standing.events)
            rules.drop(standing.events)
            if isNew { try await store.keep(standing.files.files, digest: own.digest) }
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }
}

extension GatewayRules {
    /// What a gateway knows of itself.
    init(_ standing: RulesLoader.Standing, gateway: UniqueID, host: String) {
        self.init(
            gateway: gateway, host: host, process: getpid(), directory: standing.files.origin,
            generation: standing.inForce.generation, digest: standing.inForce.rules.digestText,
            ruleCount: standing.inForce.rules.rules.rules.count, loadedAt: standing.loadedAt,
            loadedBy: standing.loadedBy, failure: standing.failure)
    }
}
