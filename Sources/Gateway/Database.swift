import Foundation
import Intake
import Logging
import Messaging
import Operations
import PostgresClient
import PostgresStore
import Routing
import ServiceLifecycle

/// Everything that speaks to the database, each on connections of its own.
struct Database: Sendable {
    let gate: DatabaseGate
    let recorder: PostgresRecorder
    let lookup: PostgresConversationLookup
    let routes: RouteLoader
    let healing: HealingService
    let outbox: PostgresOutboxStore
    let questions: PostgresOutboxStore
    let expiry: QuestionExpiry
    let forwards: PostgresForwardQueue
    let ruleDeliveries: PostgresRuleDeliveryQueue
    let conversations: PostgresConversationStore
    let explanations: PostgresExplanations
    let explanationLookup: PostgresConversationLookup
    let replayer: RulesReplayer
    /// Where what this gateway decides by is put on record.
    let record: PostgresConfiguration
    let host = ProcessInfo.processInfo.hostName
    let housekeeping: [any Service]

    /// Connections for the requests of landlords.
    private static let landlordConnectionsMax = 8

    init(_ url: Secret, configuration: GatewayConfiguration, board: HealthBoard, logger: Logger) {
        func connection(_ name: String) -> PostgresConfiguration {
            PostgresConfiguration(
                url.reveal(), applicationName: name.isEmpty ? "zenrent-gateway" : "zenrent-gateway \(name)")
        }
        let health = board.register("database", blocksAcknowledging: false)
        let endpoints = PostgresEndpointStore(connection("endpoints"))
        let upkeep = Upkeep(PostgresPool(connection("upkeep"), limits: .init(connectionsMax: 1)))
        var recording = connection("")
        if case .postgres = configuration.acknowledgement {
            // A database told to answer before its disk (or its standby's) would make the 200 a lie.
            recording.settings.append(("synchronous_commit", "on"))
        }
        let session = RecorderSession(recording)
        recorder = PostgresRecorder(
            session, host: host, passesWebhooksOn: configuration.downstream != nil,
            noticesTo: configuration.ruleDeliveries.noticesTo)
        lookup = PostgresConversationLookup(session)
        outbox = PostgresOutboxStore(connection("outbox"))
        questions = PostgresOutboxStore(connection("questions"))
        expiry = QuestionExpiry(PostgresPool(connection("expiry"), limits: .init(connectionsMax: 1)))
        forwards = PostgresForwardQueue(connection("forwards"))
        ruleDeliveries = PostgresRuleDeliveryQueue(connection("rule deliveries"))
        conversations = PostgresConversationStore(
            PostgresPool(connection("api"), limits: .init(connectionsMax: Self.landlordConnectionsMax)))
        let explaining = RecorderSession(connection("explain"))
        explanations = PostgresExplanations(explaining)
        explanationLookup = PostgresConversationLookup(explaining)
        let hints = HealingQueue()
        let routes = RouteLoader(
            source: PostgresRouteSource(connection("routes")),
            pace: .init(
                poll: .seconds(configuration.routePollSeconds), staleAfter: .seconds(configuration.routesStaleSeconds)),
            database: health, logger: logger, published: { hints.add($0) })
        self.routes = routes
        board.register("routes", blocksAcknowledging: false) { routes.health }
        let healer = RecorderSession(connection("healing"))
        healing = HealingService(
            Healing(
                messages: PostgresWaitingMessages(healer), lookup: PostgresConversationLookup(healer),
                table: { routes.table.snapshot }, now: SystemTime.now),
            hints: hints, clock: ContinuousClock(), logger: logger)
        gate = DatabaseGate(
            connection("start"), health: health, logger: logger
        ) {
            try await upkeep.makePartitions()
            try await Self.writeEndpoints(endpoints, configuration, logger)
        }
        replayer = RulesReplayer(configuration: connection("rules diff"), routes: routes, gate: gate)
        record = connection("rules")
        let standing = PostgresPool(connection("rule standing"), limits: .init(connectionsMax: 1))
        housekeeping = [
            UpkeepService(
                clock: ContinuousClock(),
                health: board.register("upkeep", blocksAcknowledging: false, state: .ok), logger: logger
            ) { try await upkeep.run() },
            RuleDeliveryReporter.watching(standing, configuration.ruleDeliveries.names, logger: logger),
        ]
    }

    /// What is received on and sent from, as the configuration says.
    private static func writeEndpoints(
        _ endpoints: PostgresEndpointStore, _ configuration: GatewayConfiguration, _ logger: Logger
    ) async throws(PostgresError) {
        if let phoneNumberID = configuration.meta.phoneNumberID {
            try await endpoints.save(
                cloudNumber: phoneNumberID, businessAccountID: configuration.meta.businessAccountID)
        } else {
            logger.warning(
                "WHATSAPP_PHONE_NUMBER_ID is not set: webhooks for numbers that are not in gateway.endpoints are parked"
            )
        }
        guard configuration.vps.isServed else { return }
        for name in try await endpoints.save(sessions: configuration.vps.sessions) {
            logger.warning(
                "VPS_SESSIONS names a session that is not the platform's: it stays its owner's; take the name off the list",
                metadata: ["session": "\(name)"])
        }
    }
}
