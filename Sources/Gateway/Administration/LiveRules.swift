import Messaging
import Operations
import PostgresClient
import PostgresStore
import Routing

/// The rules of this gateway while it runs, for its administrators: the same as `rules status`, `check` and `diff`, and
/// the same reload as SIGHUP.
struct LiveRules: RulesControl {
    let rules: RulesLoader
    let reloads: ReloadCoordinator
    let replayer: RulesReplayer
    /// This gateway, by its journal.
    let gateway: @Sendable () -> UniqueID
    let host: String
    let record: PostgresConfiguration
    /// Replays ask the database for much: one after the other.
    private let replaying = AsyncLock()

    private static let statusLimit = Duration.seconds(3)

    init(
        rules: RulesLoader, reloads: ReloadCoordinator, database: Database, gateway: @escaping @Sendable () -> UniqueID
    ) {
        self.rules = rules
        self.reloads = reloads
        self.gateway = gateway
        replayer = database.replayer
        host = database.host
        record = database.record
    }

    // MARK: Status

    func status() async -> RulesStatusReport {
        let directory = await check(nil)
        let digest = directory.rules?.digest
        let now = SystemTime.now()
        let own = GatewayRules(rules.standing, gateway: gateway(), host: host)
        let answer = await Deadline.race(Self.statusLimit) { await told() }
        guard case .success(let told) = answer else {
            return RulesStatusReport(
                directory: directory, gateways: [.init(own, isRunning: true, directoryDigest: digest)],
                problem:
                    "the database does not answer: other gateways are not known, nor what was before this one started")
        }
        let gateways =
            [own.withPast(of: told.first { $0.gateway == own.gateway })]
            + told.filter { $0.gateway != own.gateway }
        return RulesStatusReport(
            directory: directory,
            gateways: gateways.sorted { $0.loadedAt > $1.loadedAt }.map {
                .init($0, isRunning: $0.gateway == own.gateway || $0.isRunning(at: now), directoryDigest: digest)
            })
    }

    private func told() async -> Result<[GatewayRules], PostgresError> {
        do throws(PostgresError) {
            let connection = try await PostgresConnection.connect(record)
            do throws(PostgresError) {
                let gateways = try await PostgresRulesStatus(connection).gateways()
                await connection.close()
                return .success(gateways)
            } catch {
                await connection.close()
                throw error
            }
        } catch {
            return .failure(error)
        }
    }

    // MARK: Check and diff

    func check(_ files: [RulesFile]?) async -> RulesCheckReport {
        switch await load(files) {
        case .success(let loaded): RulesCheckReport(directory: loaded.files.origin, rules: loaded.rules.rules)
        case .failure(let error): RulesCheckReport(directory: files == nil ? rules.directory : Self.sent, error)
        }
    }

    func diff(_ files: [RulesFile]?, last: Int) async -> RulesDiffAnswer {
        let candidate: RulesFiles.Loaded
        switch await load(files) {
        case .success(let loaded): candidate = loaded
        case .failure(let errors): return .wrong(errors)
        }
        let preview = try? await replaying.withLock {
            // What is live by now, for another may have waited long.
            let live = rules.inForce
            return (live: live, answer: await replayer(live, candidate.rules, .request(last: last)))
        }
        guard let preview else { return .unmade(reason: "the request was given up") }
        switch preview.answer {
        case .unmade(let reason): return .unmade(reason: reason)
        case .made(let diff):
            let live = "generation \(preview.live.generation) of the gateway on \(host)"
            return .compared(
                RulesDiffReport(
                    diff, before: .init(preview.live.rules, from: live),
                    after: .init(candidate.rules.rules, from: candidate.files.origin)))
        }
    }

    /// What files are called that came with a request.
    private static let sent = "request"

    private func load(_ files: [RulesFile]?) async -> Result<RulesFiles.Loaded, RulesErrors> {
        guard let files else {
            return await RulesFiles.load(directory: rules.directory, generation: 0, downstreams: rules.downstreams)
        }
        return await RulesFiles(files: files, origin: Self.sent, downstreams: rules.downstreams).load()
    }

    // MARK: Reload

    func reload(by administrator: UniqueID) async -> RulesReloadAnswer {
        let actor = ReloadActor(name: "administrator \(administrator)", id: administrator)
        let result = await reloads.reload([.rules], by: actor).first
        switch result?.outcome {
        case .swapped(let receipt): return .done(report("swapped", receipt))
        case .unchanged(let receipt): return .done(report("unchanged", receipt))
        case .rejected(let reason): return .rejected(reason: reason)
        case nil: return .rejected(reason: "this gateway does not reload rules")
        }
    }

    private func report(_ outcome: String, _ receipt: ReloadReceipt) -> RulesReloadReport {
        RulesReloadReport(
            outcome: outcome, generation: receipt.generation, digest: rules.rules.digestText, summary: receipt.summary)
    }
}

extension GatewayRules {
    /// With what the database remembers of the time before this process.
    fileprivate func withPast(of told: GatewayRules?) -> GatewayRules {
        guard let told else { return self }
        var own = self
        own.failure = failure ?? told.failure
        if told.digest == digest { (own.sameSince, own.sameSinceBy) = (told.sameSince, told.sameSinceBy) }
        return own
    }
}
