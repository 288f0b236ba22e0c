package import Logging
package import Messaging
package import Operations
package import PostgresStore
package import Routing
import Synchronization

/// Reads the rules directory, and holds the rules in force, with who loaded them and what went wrong last.
package final class RulesLoader: Sendable {
    /// The rules in force, and how they came to be.
    package struct Standing: Sendable {
        package var inForce: RulesInForce
        package var files: RulesFiles
        package var loadedAt: Timestamp
        package var loadedBy: String
        package var failure: GatewayRules.Failure?
        /// Loads that are not on record yet.
        package var events: [RulesEvent] = []
    }

    /// What other rules would change, or why that was not found out. Bounded in time.
    package typealias Comparison = @Sendable (_ live: RulesInForce, _ candidate: RulesInForce) async -> RulesPreview

    package let directory: String
    /// Names of the endpoints that rules may forward to.
    package let downstreams: Set<String>
    /// An element when there is something to put on record; for one reader.
    package let news: AsyncStream<Void>
    private let logger: Logger
    private let now: @Sendable () -> Timestamp
    private let state: Mutex<Standing>
    private let newsContinuation: AsyncStream<Void>.Continuation

    /// Loads beyond these that nobody could put on record are forgotten, the oldest first.
    private static let eventsMax = 100

    /// - Parameter downstreams: names of the endpoints that rules may forward to.
    /// - Throws: `RulesErrors`, every error with file, line and column.
    package init(
        directory: String, downstreams: Set<String> = [], logger: Logger = Logger(label: "rules"),
        now: @escaping @Sendable () -> Timestamp = SystemTime.now
    ) throws(RulesErrors) {
        let files = try RulesFiles(directory: directory, downstreams: downstreams)
        let inForce = try files.inForce(generation: 1)
        self.directory = directory
        self.downstreams = downstreams
        self.logger = logger
        self.now = now
        (news, newsContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        let start = "start"
        state = Mutex(
            Standing(
                inForce: inForce, files: files, loadedAt: now(), loadedBy: start,
                events: [
                    RulesEvent(
                        at: now(), actorID: nil, actor: start, outcome: "swapped", digest: inForce.rules.digestText)
                ]))
        newsContinuation.yield()
    }

    /// With what a message is decided by.
    package var inForce: RulesInForce { state.withLock { $0.inForce } }

    package var rules: RoutingRules { inForce.rules }

    /// Counts the rules swapped in, from 1.
    package var generation: Int64 { inForce.generation }

    package var standing: Standing { state.withLock { $0 } }

    /// Takes loads off the list that are on record now.
    package func drop(_ events: [RulesEvent]) {
        state.withLock { state in state.events.removeAll { events.contains($0) } }
    }

    /// Loads, checks, compares and swaps whole; or throws and leaves the rules as they were.
    /// - Parameter compare: tells what changes before it does; `nil` = nobody can.
    package func reload(
        by actors: [ReloadActor] = [.signal], comparing compare: Comparison? = nil
    ) async throws(RulesErrors) -> ReloadReceipt {
        let live = inForce
        do throws(RulesErrors) {
            let loaded = try await RulesFiles.load(
                directory: directory, generation: live.generation + 1, downstreams: downstreams
            ).get()
            guard loaded.rules.rules.digest != live.rules.digest else {
                note(actors, "unchanged") { _ in }
                return receipt(live)
            }
            let changes = await changes(live, loaded.rules, compare)
            logger.notice("rules are about to change", metadata: changes)
            note(actors, "swapped") { standing in
                standing.inForce = loaded.rules
                standing.files = loaded.files
                standing.loadedAt = now()
                standing.loadedBy = Self.names(actors)
            }
            return receipt(loaded.rules)
        } catch {
            note(actors, "rejected") { standing in
                standing.failure = GatewayRules.Failure(
                    at: now(), by: Self.names(actors), errors: error.errors.count,
                    first: error.errors.first?.description ?? "")
            }
            throw error
        }
    }

    private func receipt(_ rules: RulesInForce) -> ReloadReceipt {
        let count = rules.rules.rules.rules.count
        return ReloadReceipt(
            generation: rules.generation, summary: "\(count) rules from \(directory), digest \(rules.rules.digestText)")
    }

    private func changes(
        _ live: RulesInForce, _ candidate: RulesInForce, _ compare: Comparison?
    ) async -> Logger.Metadata {
        let preview = await compare?(live, candidate) ?? .unmade(reason: "recorded messages cannot be read here")
        switch preview {
        case .made(let diff):
            var metadata: Logger.Metadata = [
                "replayed": "\(diff.replayed)", "changed": "\(diff.changed)", "files": "\(diff.fileSummary)",
                "cut_short": "\(diff.isCutShort)",
            ]
            for kind in RulesDiff.Kind.allCases { metadata["changed_\(kind.rawValue)"] = "\(diff.counts[kind] ?? 0)" }
            return metadata
        case .unmade(let reason):
            let files = RulesDiff(before: live.rules, after: candidate.rules).fileSummary
            return ["diff": "not made: \(reason)", "files": "\(files)"]
        }
    }

    private func note(_ actors: [ReloadActor], _ outcome: String, _ change: (inout Standing) -> Void) {
        let at = now()
        state.withLock { standing in
            change(&standing)
            standing.events.append(
                RulesEvent(
                    at: at, actorID: actors.lazy.compactMap(\.id).first, actor: Self.names(actors), outcome: outcome,
                    digest: standing.inForce.rules.digestText))
            if standing.events.count > Self.eventsMax { standing.events.removeFirst() }
        }
        newsContinuation.yield()
    }

    private static func names(_ actors: [ReloadActor]) -> String { actors.map(\.name).joined(separator: ", ") }
}
