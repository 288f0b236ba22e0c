import Delivery
import Downstream
import GraphAPI
package import Intake
import Journal
package import Logging
import Messaging
package import Operations
import PostgresStore
package import SQLiteJournal
import ServiceLifecycle
package import UnixSignals

/// Intake as a service: at shutdown what is being recorded is finished, the rest stays in the journal.
package struct IntakeService: Service {
    private let intake: Intake
    package init(_ intake: Intake) { self.intake = intake }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await intake.run() }
    }
}

/// Closes the journal last, when nobody appends or reads any more.
package struct JournalService: Service {
    private let journal: SQLiteJournal
    package init(_ journal: SQLiteJournal) { self.journal = journal }

    package func run() async throws {
        try? await gracefulShutdown()
        await journal.close()
    }
}

/// Delivery as a service: at shutdown sends in flight are finished, nothing new is claimed.
struct DeliveryService: Service {
    let graph: GraphAPIConfiguration
    let kind: OutboxKind
    /// Messages a second from one number, together with what others send from it.
    let perSecond: Int
    let outbox: any OutboxStore
    let worker: String
    let observe: @Sendable (DispatchEvent) -> Void

    func run() async throws {
        let sender = try GraphAPISender(configuration: graph)
        let dispatcher = Dispatcher(
            configuration: DispatcherConfiguration(kind: kind, worker: worker), store: outbox, sender: sender,
            pacer: Pacer(perSecond: perSecond), clock: ContinuousClock(), jitter: { Int64.random(in: $0) },
            observe: observe)
        await withGracefulShutdownHandler {
            await dispatcher.run()
        } onGracefulShutdown: {
            dispatcher.drain()
        }
    }
}

/// Lets no acknowledgement wait for the database for too long; stops after the ingress, when nobody waits any more.
struct AcknowledgementService: Service {
    private let journal: RecordedJournal<ContinuousClock>

    init(_ journal: RecordedJournal<ContinuousClock>) { self.journal = journal }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in await journal.run() }
    }
}

/// Forwarding as a service: at shutdown the webhook under way is finished, nothing new is sent.
struct ForwardService: Service {
    let downstream: DownstreamConfiguration
    let queue: PostgresForwardQueue
    let worker: String
    let observe: @Sendable (ForwardEvent<WebhookSource>) -> Void

    func run() async throws {
        let dispatcher = ForwardDispatcher(
            configuration: ForwardDispatcherConfiguration(worker: worker), lanes: WebhookSource.allCases, queue: queue,
            forwarder: DownstreamForwarder(configuration: downstream), clock: ContinuousClock(),
            jitter: { Int64.random(in: $0) }, observe: observe)
        await withGracefulShutdownHandler {
            await dispatcher.run()
        } onGracefulShutdown: {
            dispatcher.drain()
        }
    }
}

/// What rules order for named endpoints, as a service: at shutdown what is under way is finished, nothing new is sent.
struct RuleDeliveryService: Service {
    let endpoints: DownstreamEndpoints
    let queue: PostgresRuleDeliveryQueue
    let worker: String
    let observe: @Sendable (ForwardEvent<String>) -> Void

    func run() async throws {
        let dispatcher = ForwardDispatcher(
            configuration: ForwardDispatcherConfiguration(worker: worker, policy: ForwardPolicy(isOneOrder: false)),
            lanes: endpoints.addresses.keys.sorted(), queue: queue, forwarder: RuleDeliveryForwarder(endpoints),
            clock: ContinuousClock(), jitter: { Int64.random(in: $0) }, observe: observe)
        await withGracefulShutdownHandler {
            await dispatcher.run()
        } onGracefulShutdown: {
            dispatcher.drain()
        }
    }
}

/// SIGTERM and SIGINT: by returning it lets the others drain.
package struct EndService: Service {
    private let signals: UnixSignalsSequence

    /// - Parameter signals: trapped before anything is listened on: what is accepted from then on is answered.
    package init(_ signals: UnixSignalsSequence) { self.signals = signals }

    package func run() async throws {
        for await _ in signals.cancelOnGracefulShutdown() { return }
    }
}

/// SIGHUP: rules, certificates and routes are loaded again, and a stopped intake tries again.
package struct ReloadService: Service {
    private let signals: UnixSignalsSequence
    private let coordinator: ReloadCoordinator
    private let intake: Intake
    private let logger: Logger

    /// - Parameter signals: trapped before anything was read; until it is, a SIGHUP would end the process.
    package init(_ signals: UnixSignalsSequence, _ coordinator: ReloadCoordinator, intake: Intake, logger: Logger) {
        self.signals = signals
        self.coordinator = coordinator
        self.intake = intake
        self.logger = logger
    }

    package func run() async throws {
        for await _ in signals.cancelOnGracefulShutdown() {
            logger.notice("SIGHUP: reloading")
            await intake.resume()
            await coordinator.reload()
        }
    }
}

/// Something to be done now and then, whatever else happens.
package struct RepeatingService: Service {
    private let interval: Duration
    private let body: @Sendable () async -> Void

    package init(every interval: Duration, _ body: @escaping @Sendable () async -> Void) {
        self.interval = interval
        self.body = body
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                await body()
                try? await Task.sleep(for: interval)
            }
        }
    }
}
