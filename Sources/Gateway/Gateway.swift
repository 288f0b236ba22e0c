import API
import AsyncHTTPClient
import Delivery
import Dispatch
import GraphAPI
import Ingress
import Intake
import Journal
package import Logging
import Messaging
import NIOCore
import NIOPosix
import NIOSSL
package import Operations
import PostgresClient
import PostgresStore
import Routing
import SQLiteJournal
package import ServiceLifecycle
import Synchronization
import UnixSignals

/// The gateway, put together. The only place that sees all adapters; it decides nothing.
package struct Gateway: Sendable {
    private let services: [any Service]
    private let logger: Logger
    /// The ports that are listened on.
    package let ports: Ports

    package struct Ports: Sendable {
        package let ingress: Int
        package let operations: Int
        /// `nil`: the API is not served.
        package let api: Int?
    }

    /// Opens the journal, reads certificates and rules, looks at the database, binds the public port.
    /// - Throws: an error with its cure in the description, when something must be mended first.
    package static func prepare(
        _ configuration: GatewayConfiguration, registry: PrometheusRegistry, logger: Logger
    ) async throws -> Gateway {
        guard let databaseURL = configuration.databaseURL else {
            throw SettingError(
                .databaseURL,
                "is not set; give the database's address, or start with --private-postgres and an absolute "
                    + "GATEWAY_DATA_DIR to have one made")
        }
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        let board = HealthBoard()
        let fatal = FatalErrorService()
        let certificates = try CertificateLoader(directory: configuration.certificatesDirectory)
        let rules = try RulesLoader(
            directory: configuration.rulesDirectory, downstreams: configuration.ruleDeliveries.names,
            logger: logger)
        let journal = try openJournal(configuration, board: board, fatal: fatal, logger: logger)
        registry.collect { JournalMetrics.samples(journal.standing) }
        registry.collect { board.samples() }
        let database = Database(databaseURL, configuration: configuration, board: board, logger: logger)
        try await database.gate.check()
        announce(configuration, logger)
        let front = front(journal, configuration, registry: registry, board: board)
        let intake = Intake(
            journal: front.journal, recorder: database.recorder, lookup: database.lookup,
            table: { database.routes.table.snapshot }, rules: { rules.inForce }, isStale: { database.routes.isStale },
            refreshTable: { await database.routes.refreshNow() }, owner: newID(), clock: ContinuousClock(),
            now: SystemTime.now,
            observer: IntakeReporter(logger: logger, health: board.register("recording", blocksAcknowledging: false)))
        let reloads = reloads(rules, certificates, database, logger: logger)
        registry.collect { database.routes.samples + reloads.samples }
        let ingress = IngressServer(
            configuration: .init(
                host: configuration.bind, port: configuration.ingressPort, limits: configuration.ingressLimits),
            group: MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoops ?? Processors.available),
            tls: certificates.holder, verification: configuration.verification, appender: front.journal, logger: logger,
            clock: SystemTime.now)
        let endings = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await ingress.bind()
        let operations = try await OperationsServer.bind(
            port: configuration.operationsPort, registry: registry, board: board, logger: logger)

        var services: [any Service] = [fatal, operations, JournalService(journal)] + front.services + [database.gate]
        services += [GatedService(database.gate, database.routes), GatedService(database.gate, IntakeService(intake))]
        services.append(GatedService(database.gate, database.healing))
        services += database.housekeeping.map { GatedService(database.gate, $0) }
        services.append(GatedService(database.gate, questions(database, rules, logger: logger)))
        let record = RulesRecordService(
            rules: rules, gateway: { journal.standing.id }, host: database.host, configuration: database.record,
            logger: logger)
        services.append(GatedService(database.gate, record))
        services += try delivery(configuration, database, logger: logger)
        services += forwarding(configuration, database, board: board, logger: logger)
        services += ruleDeliveries(configuration, database, board: board, logger: logger)
        let live = LiveRules(
            rules: rules, reloads: reloads, database: database, gateway: { journal.standing.id })
        let api = api(configuration, database, certificates, live, logger: logger)
        if let api { services.append(api.service) }
        services += [
            ReloadService(hangups, reloads, intake: intake, logger: logger), EndService(endings), ingress,
        ]
        return Gateway(
            services: services, logger: logger,
            ports: Ports(ingress: ingress.boundPort ?? 0, operations: operations.port, api: api?.port))
    }

    /// Serves until SIGTERM or SIGINT, then drains: what was accepted is answered, what is being recorded is finished.
    /// - Parameter others: started before and stopped after the gateway's own.
    package func run(with others: [any Service] = []) async throws {
        var configuration = ServiceGroupConfiguration(
            services: (others + services).map {
                // Also when one part fails, the others drain: what was accepted is answered.
                .init(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            }, logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(30)
        configuration.maximumCancellationDuration = .seconds(10)
        try await ServiceGroup(configuration: configuration).run()
        logger.notice("stopped")
    }

    /// What somebody may not have meant as it stands.
    private static func announce(_ configuration: GatewayConfiguration, _ logger: Logger) {
        for name in configuration.unused {
            logger.warning("a setting is set that this version does not use", metadata: ["setting": "\(name.rawValue)"])
        }
        if !configuration.vps.isServed {
            logger.notice(
                "VPS_WEBHOOK_SECRET is not set: the VPS source is off and /api/webhooks/vps answers 404; to switch it on, set the key the session server signs with"
            )
        }
        if configuration.vps.isOneKeyWithCommas {
            logger.notice(
                "VPS_WEBHOOK_SECRET has a comma and a part of fewer than 16 bytes: the whole is taken for one key; if it was meant as a ring, choose longer keys"
            )
        }
    }

    private static func newID() -> UniqueID {
        var generator = SystemRandomNumberGenerator()
        return .make(at: SystemTime.now(), using: &generator)
    }

    private static func openJournal(
        _ configuration: GatewayConfiguration, board: HealthBoard, fatal: FatalErrorService, logger: Logger
    ) throws -> SQLiteJournal {
        let directory = try Directories.make(configuration.dataDirectory)
        let journal = try SQLiteJournal(
            directory: directory + "/journal", limits: configuration.journalLimits, newID: newID(), logger: logger,
            clock: SystemTime.now, onFatal: { fatal.raise($0) })
        board.register("journal", blocksAcknowledging: true) {
            journal.refusal.map { .failed(reason: $0.message) } ?? .ok
        }
        return journal
    }

    /// The journal as ingress and intake see it: under the policy `postgres`, one that answers later.
    private static func front(
        _ journal: SQLiteJournal, _ configuration: GatewayConfiguration, registry: PrometheusRegistry,
        board: HealthBoard
    ) -> (journal: any Journal & WebhookAppender, services: [any Service]) {
        guard case .postgres(let limits) = configuration.acknowledgement else { return (journal, []) }
        let recorded = RecordedJournal(journal, limits: limits, clock: ContinuousClock())
        let health = AcknowledgementHealth(board) { recorded.refusal?.message }
        board.register("acknowledging", blocksAcknowledging: true) { health.state }
        registry.collect {
            [MetricSample("gateway_acknowledgements_waiting", .gauge, value: Double(recorded.waiting))]
        }
        return (recorded, [AcknowledgementService(recorded)])
    }

    private static func forwarding(
        _ configuration: GatewayConfiguration, _ database: Database, board: HealthBoard, logger: Logger
    ) -> [any Service] {
        guard let downstream = configuration.downstream else { return [] }
        let reporter = ForwardReporter(
            logger: logger, health: board.register("forwarding", blocksAcknowledging: false, state: .ok))
        let service = ForwardService(
            downstream: downstream, queue: database.forwards, worker: "\(newID())", observe: reporter.observe)
        return [GatedService(database.gate, service)]
    }

    private static func ruleDeliveries(
        _ configuration: GatewayConfiguration, _ database: Database, board: HealthBoard, logger: Logger
    ) -> [any Service] {
        let endpoints = configuration.ruleDeliveries.endpoints
        guard !endpoints.addresses.isEmpty else { return [] }
        let reporter = RuleDeliveryReporter(
            logger: logger, health: board.register("rule_deliveries", blocksAcknowledging: false, state: .ok))
        let service = RuleDeliveryService(
            endpoints: endpoints, queue: database.ruleDeliveries, worker: "\(newID())", observe: reporter.observe)
        return [GatedService(database.gate, service)]
    }

    private static func reloads(
        _ rules: RulesLoader, _ certificates: CertificateLoader, _ database: Database, logger: Logger
    ) -> ReloadCoordinator {
        let (routes, replayer) = (database.routes, database.replayer)
        return ReloadCoordinator(
            logger: logger,
            actions: [
                .rules: (
                    { rules.generation },
                    { actors in try await rules.reload(by: actors) { await replayer($0, $1, .reload) } }
                ),
                .certificates: ({ certificates.generation }, { _ in try certificates.reload() }),
                .routes: ({ routes.liveGeneration }, { _ in try await routes.reload() }),
            ])
    }

    private static func delivery(
        _ configuration: GatewayConfiguration, _ database: Database, logger: Logger
    ) throws -> [any Service] {
        guard let token = configuration.meta.accessToken else {
            logger.warning("WHATSAPP_ACCESS_TOKEN is not set: replies are queued and not sent")
            return []
        }
        var graph = try GraphAPIConfiguration(
            baseURL: configuration.meta.graphURL, version: configuration.meta.version, accessToken: token,
            appSecret: configuration.meta.appSecrets.first)
        graph.trustRootFile = configuration.meta.graphTrustFile
        let reporter = DeliveryReporter(logger: logger)
        // Meta gives a number 80 a second, whatever is sent.
        return [(OutboxKind.metaSend, database.outbox, 72), (.ask, database.questions, 8)].map { kind, outbox, rate in
            GatedService(
                database.gate,
                DeliveryService(
                    graph: graph, kind: kind, perSecond: rate, outbox: outbox, worker: "\(newID())",
                    observe: reporter.observe))
        }
    }

    /// Questions nobody answered in time.
    private static func questions(_ database: Database, _ rules: RulesLoader, logger: Logger) -> RepeatingService {
        RepeatingService(every: .seconds(20)) {
            var landlord: UniqueID?
            if case .assign(let id) = rules.rules.afterTimeout { landlord = id }
            do {
                let outcome = try await database.expiry.run(assigningTo: landlord)
                guard outcome.expired > 0 else { return }
                logger.info(
                    "questions were not answered in time",
                    metadata: ["questions": "\(outcome.expired)", "messages_assigned": "\(outcome.released)"])
            } catch {
                logger.warning(
                    "unanswered questions were not looked at; tried again", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func api(
        _ configuration: GatewayConfiguration, _ database: Database, _ certificates: CertificateLoader,
        _ live: LiveRules, logger: Logger
    ) -> (service: any Service, port: Int)? {
        guard configuration.supabase.isConfigured else {
            logger.warning("neither SUPABASE_JWT_SECRET nor SUPABASE_JWKS_URL is set: the landlords' API is not served")
            return nil
        }
        let supabase = configuration.supabase
        let verifier = TokenVerifier(
            expectations: .init(secret: supabase.secret, issuer: supabase.issuer, audience: supabase.audience),
            publishedKeys: supabase.keysURL.map {
                PublishedKeys(url: $0, client: .shared, clock: SystemTime.now, logger: logger)
            })
        let routes = database.routes
        let explainer = Explainer(
            store: database.explanations, lookup: database.explanationLookup,
            world: .running(table: { routes.table.snapshot }, rules: { live.rules.inForce }),
            countryCode: configuration.defaultCountryCode, now: SystemTime.now)
        let server = APIServer(
            configuration: APIConfiguration(host: configuration.bind, port: configuration.apiPort),
            store: database.conversations, explainer: explainer, rules: live, verifier: verifier,
            tls: { certificates.holder.current }, signatureTemplate: { live.rules.rules.signature },
            clock: SystemTime.now, logger: logger)
        return (APIService(server, port: configuration.apiPort), configuration.apiPort)
    }
}
