package import CoreMetrics
package import Logging
package import Messaging

/// What SIGHUP reloads. Each kind swaps whole or stays as it was, whatever becomes of the others.
package enum ReloadKind: String, Sendable, CaseIterable {
    case certificates
    case rules
    case routes
}

/// Who asked for a reload.
package struct ReloadActor: Sendable, Hashable {
    /// As logs and records show it.
    package let name: String
    /// For an administrator, their account.
    package let id: UniqueID?

    package init(name: String, id: UniqueID? = nil) {
        self.name = name
        self.id = id
    }

    /// Whoever may send the process signals: its own user, and root. Which of them, a signal does not say.
    package static let signal = ReloadActor(name: "SIGHUP")
}

/// What is live after a reload that did not fail.
package struct ReloadReceipt: Sendable, Hashable {
    /// Counts what was swapped in; the same number as before says that nothing had changed.
    package let generation: Int64
    /// In a few words for the log: `12 rules from 3 files`.
    package let summary: String

    package init(generation: Int64, summary: String) {
        self.generation = generation
        self.summary = summary
    }
}

/// What became of one kind.
package struct ReloadResult: Sendable, Hashable {
    package enum Outcome: Sendable, Hashable {
        case swapped(ReloadReceipt)
        /// Read and found the same.
        case unchanged(ReloadReceipt)
        /// Everything is as it was; the reason names file and line, or whatever failed.
        case rejected(reason: String)

        /// For the label `result` of `gateway_reloads_total`.
        package var metricLabel: String {
            switch self {
            case .swapped: "swapped"
            case .unchanged: "unchanged"
            case .rejected: "rejected"
            }
        }
    }

    package let kind: ReloadKind
    package let outcome: Outcome
}

/// Reloads, each kind for itself: never two of one kind at a time, and no kind waits for another.
///
/// Requests that come while a kind is being reloaded share one more run after it, which sees what they saw: a thousand
/// signals cost two runs.
package final class ReloadCoordinator: Sendable {
    /// Loads, checks and swaps whole, or throws and leaves everything as it was. Gets all who asked, in order.
    package typealias Action = @Sendable ([ReloadActor]) async throws -> ReloadReceipt

    private let reloaders: [KindReloader]

    /// - Parameters:
    ///   - actions: with what tells the generation that is live, which may move between reloads, too. A kind without an
    ///     action is left out of every reload.
    ///   - metrics: where `gateway_reloads_total{kind,result}` is counted.
    package init(
        logger: Logger, metrics: any MetricsFactory = MetricsSystem.factory,
        actions: [ReloadKind: (generation: @Sendable () -> Int64, reload: Action)]
    ) {
        reloaders = ReloadKind.allCases.compactMap { kind in
            actions[kind].map {
                KindReloader(kind: kind, generation: $0.generation, action: $0.reload, logger: logger, metrics: metrics)
            }
        }
    }

    package static let descriptions = [
        MetricDescription("gateway_reloads_total", "Reloads by kind and result: swapped, unchanged, rejected."),
        MetricDescription("gateway_generation", "The generation of rules, routes and certificates that is live."),
    ]

    /// `gateway_generation{kind}`, as it is at the moment of a scrape.
    package var samples: [MetricSample] {
        reloaders.map {
            MetricSample(
                "gateway_generation", .gauge, labels: [("kind", $0.kind.rawValue)], value: Double($0.generation()))
        }
    }

    /// Reloads these kinds side by side and returns when all have ended, in the order of `ReloadKind.allCases`.
    @discardableResult
    package func reload(
        _ kinds: Set<ReloadKind> = Set(ReloadKind.allCases), by actor: ReloadActor = .signal
    ) async -> [ReloadResult] {
        let chosen = reloaders.filter { kinds.contains($0.kind) }
        return await withTaskGroup(of: ReloadResult.self) { group in
            for reloader in chosen { group.addTask { await reloader.reload(by: actor) } }
            var results: [ReloadKind: ReloadResult] = [:]
            for await result in group { results[result.kind] = result }
            return chosen.compactMap { results[$0.kind] }
        }
    }
}

/// One kind's turn: at most one run going and one waiting.
private actor KindReloader {
    let kind: ReloadKind
    let generation: @Sendable () -> Int64
    private let action: ReloadCoordinator.Action
    private let logger: Logger
    private let counters: [String: Counter]
    private var running: Task<ReloadResult, Never>?
    /// Not begun yet: whoever asks now is served by it.
    private var waiting: Task<ReloadResult, Never>?
    /// Who waits for it, each once.
    private var actors: [ReloadActor] = []

    init(
        kind: ReloadKind, generation: @escaping @Sendable () -> Int64, action: @escaping ReloadCoordinator.Action,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.kind = kind
        self.action = action
        self.logger = logger
        self.generation = generation
        counters = Dictionary(
            uniqueKeysWithValues: ["swapped", "unchanged", "rejected"].map { result in
                let labels = [("kind", kind.rawValue), ("result", result)]
                return (result, Counter(label: "gateway_reloads_total", dimensions: labels, factory: metrics))
            })
    }

    func reload(by actor: ReloadActor) async -> ReloadResult {
        if !actors.contains(actor) { actors.append(actor) }
        if let waiting { return await waiting.value }
        let previous = running
        // Not a child of the caller: a caller that gives up must not leave the next one with half a reload.
        let task = Task {
            _ = await previous?.value
            return await run()
        }
        waiting = task
        return await task.value
    }

    private func run() async -> ReloadResult {
        running = waiting
        waiting = nil
        let actors = actors
        self.actors = []
        let outcome: ReloadResult.Outcome
        do {
            let before = generation()
            let receipt = try await action(actors)
            outcome = receipt.generation == before ? .unchanged(receipt) : .swapped(receipt)
        } catch {
            outcome = .rejected(reason: String(describing: error))
        }
        counters[outcome.metricLabel]?.increment()
        log(outcome)
        return ReloadResult(kind: kind, outcome: outcome)
    }

    private func log(_ outcome: ReloadResult.Outcome) {
        switch outcome {
        case .swapped(let receipt):
            logger.info("reloaded \(kind.rawValue): \(receipt.summary)", metadata: metadata(receipt.generation))
        case .unchanged(let receipt):
            logger.info("\(kind.rawValue) unchanged: \(receipt.summary)", metadata: metadata(receipt.generation))
        case .rejected(let reason):
            logger.error(
                "\(kind.rawValue) not reloaded, the live ones stay: \(reason)", metadata: metadata(generation()))
        }
    }

    private func metadata(_ generation: Int64) -> Logger.Metadata {
        ["kind": .string(kind.rawValue), "generation": .stringConvertible(generation)]
    }
}
