import Intake
import Messaging
import PostgresClient
import PostgresStore
package import Routing

/// Rules as an administrator at the command line sees them: `rules check`, `rules diff`, `rules status`. Reads alone.
package struct RulesAdministration: Sendable {
    package let directory: String
    private let settings: SettingsReader
    /// Endpoints that rules may forward to, by name.
    let downstreams: Set<String>

    package init(_ settings: SettingsReader) throws {
        self.settings = settings
        downstreams = try RuleDeliverySettings(settings).names
        directory = try settings.rulesDirectory()
    }

    /// The most messages a comparison replays.
    package static let messagesMax = RulesDiff.messagesMax
    /// How many it replays where nobody says how many.
    package static let messagesStandard = RulesDiff.messagesStandard

    /// Reads all files of the directory as a start or a SIGHUP would.
    package func check() async -> RulesCheckReport { await check(directory).report }

    private func check(_ directory: String) async -> (report: RulesCheckReport, rules: RulesInForce?) {
        switch await RulesFiles.load(directory: directory, generation: 0, downstreams: downstreams) {
        case .success(let loaded):
            (RulesCheckReport(directory: directory, rules: loaded.rules.rules), loaded.rules)
        case .failure(let error): (RulesCheckReport(directory: directory, error), nil)
        }
    }

    // MARK: Diff

    /// What a comparison came to: one of the two.
    package enum Comparison: Sendable {
        /// The rules that were to be compared cannot be used.
        case wrong(RulesCheckReport)
        case compared(RulesDiffReport)
    }

    /// Replays the newest messages of tenants through other rules and those in force. Writes and sends nothing.
    /// - Parameters:
    ///   - candidate: the directory of the other rules; `nil` = the one of the settings.
    ///   - base: a directory to compare with; `nil` = the rules a gateway told the database it decides by.
    ///   - last: how many messages, `messagesMax` at most.
    package func diff(candidate: String?, base: String?, last: Int) async throws -> Comparison {
        let directory = candidate ?? directory
        let after = await check(directory)
        guard let candidate = after.rules else { return .wrong(after.report) }
        var before: (rules: RulesInForce, from: String)?
        if let base {
            let checked = await check(base)
            guard let rules = checked.rules else { return .wrong(checked.report) }
            before = (rules, base)
        }
        let address = try await DatabaseSession.address(settings)
        if before == nil { before = try await Self.live(address) }
        guard let before else { throw Self.nobodyTold }
        let diff = try await Self.replay(address, last: last, from: before.rules, to: candidate)
        return .compared(
            RulesDiffReport(
                diff, before: .init(before.rules.rules, from: before.from),
                after: .init(candidate.rules, from: directory)))
    }

    private static let nobodyTold = AdministrationError(
        "no gateway has told the database by which rules it decides",
        cure: "start one, or say with --against which directory to compare with")

    /// The rules of the gateway that loaded last, of those that run if one does.
    private static func live(_ address: DatabaseSession.Address) async throws -> (rules: RulesInForce, from: String)? {
        let now = SystemTime.now()
        let found = try await DatabaseSession.run(address, command: "rules") { connection in
            let store = PostgresRulesStatus(connection)
            let gateways = try await store.gateways()
            let chosen = gateways.first { $0.isRunning(at: now) } ?? gateways.first
            return try await chosen.asyncMap { (gateway: $0, files: try await store.files(of: $0.digest)) }
        }
        guard let (gateway, files) = found, !files.isEmpty else { return nil }
        let from =
            "generation \(gateway.generation) of the gateway on \(gateway.host), by \(gateway.loadedBy) at "
            + gateway.loadedAt.rfc3339
        do {
            let loaded = try await RulesFiles(files: files, origin: gateway.directory).load().get()
            return (loaded.rules, from)
        } catch {
            throw AdministrationError(
                "this version cannot read the rules the gateway on \(gateway.host) decides by: \(error)",
                cure: "compare with the version of the gateway, or say with --against which directory to compare with")
        }
    }

    private static func replay(
        _ address: DatabaseSession.Address, last: Int, from before: RulesInForce, to after: RulesInForce
    ) async throws -> RulesDiff {
        let configuration = DatabaseSession.configuration(address, command: "rules diff")
        let session = RulesReplayer.session(configuration, callTimeout: .seconds(60))
        let source = PostgresRouteSource(configuration)
        do {
            let base = try await source.tableWithoutLeases()
            let replay = RulesReplay(
                messages: PostgresRecordedMessages(session), lookup: PostgresConversationLookup(session)
            ) { try await source.table(base, with: $0) }
            let diff = try await replay.run(
                last: last, from: before, to: after, now: SystemTime.now(), changesMax: RulesDiff.changesMax)
            await session.close()
            return diff
        } catch {
            await session.close()
            if let error = error as? PostgresError { throw DatabaseSession.explained(error, address) }
            guard let error = error as? RecorderError else { throw error }
            throw AdministrationError(
                "recorded messages cannot be read: \(error.reason)", cure: "see the server's log, and try again")
        }
    }

    // MARK: Status

    /// By which rules the gateways decide that told the database, beside what the directory holds.
    package func status() async throws -> RulesStatusReport {
        let address = try await DatabaseSession.address(settings)
        let checked = await check(directory)
        let now = SystemTime.now()
        let gateways = try await DatabaseSession.run(address, command: "rules") { connection in
            try await PostgresRulesStatus(connection).gateways()
        }
        let digest = checked.rules?.rules.digestText
        return RulesStatusReport(
            directory: checked.report,
            gateways: gateways.map { .init($0, isRunning: $0.isRunning(at: now), directoryDigest: digest) })
    }
}

extension GatewayRules {
    /// Whether it told of itself lately. Its clock and ours are taken to agree.
    func isRunning(at now: Timestamp) -> Bool {
        seenAt >= now.advanced(bySeconds: -3 * RulesRecordService.interval.components.seconds)
    }
}

extension RulesStatusReport.Gateway {
    init(_ rules: GatewayRules, isRunning: Bool, directoryDigest: String?) {
        self.init(
            gateway: rules.gateway, host: rules.host, process: Int(rules.process), directory: rules.directory,
            generation: rules.generation, digest: rules.digest, rules: rules.ruleCount,
            loaded: (rules.loadedAt, rules.loadedBy), same: (rules.sameSince, rules.sameSinceBy), seenAt: rules.seenAt,
            isRunning: isRunning, directoryDigest: directoryDigest,
            lastFailure: rules.failure.map {
                .init(at: $0.at, by: $0.by, errors: $0.errors, firstError: $0.first)
            })
    }
}

extension Optional {
    fileprivate func asyncMap<Value>(_ body: (Wrapped) async throws -> Value) async rethrows -> Value? {
        guard let self else { return nil }
        return try await body(self)
    }
}
