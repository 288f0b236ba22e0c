import Hummingbird
package import Logging
import Messaging
import NIOCore
import ServiceLifecycle

/// Plays Meta on the loopback interface: takes Graph API sends and answers them as Meta does, posts signed webhooks to
/// the gateway, and does wrong on purpose when asked to. It knows the gateway only over the wire.
///
/// Graph side: `POST /{version}/{phone-number-id}/messages`. For the developer: `/twin/…`, see `docs/sandbox.md`.
package final class MetaTwin: Service {
    let configuration: TwinConfiguration
    let memory = TwinMemory()
    let poster: WebhookPoster
    /// For the session server it plays beside Meta, if it does.
    let sessionPoster: WebhookPoster?
    private let port = BoundPort()
    private let logger: Logger
    private let work: AsyncStream<@Sendable () async -> Void>
    private let enqueue: AsyncStream<@Sendable () async -> Void>.Continuation

    /// - Throws: `TwinError` for a certificate that cannot be read.
    package init(configuration: TwinConfiguration, logger: Logger? = nil) throws(TwinError) {
        self.configuration = configuration
        self.poster = try WebhookPoster(configuration, memory: memory)
        if let session = configuration.session {
            self.sessionPoster = try WebhookPoster(configuration, session: session, memory: memory)
        } else {
            self.sessionPoster = nil
        }
        self.logger = logger ?? Logger(label: "twin") { _ in SwiftLogNoOpLogHandler() }
        (self.work, self.enqueue) = AsyncStream.makeStream()
    }

    /// The port it listens on, once it does.
    package var boundPort: Int {
        get async throws { try await port.value() }
    }

    /// Serves until it is shut down. What still has to be posted by then is dropped.
    package func run() async throws {
        let application = Application(
            router: router(),
            configuration: ApplicationConfiguration(
                address: .hostname("127.0.0.1", port: configuration.port), serverName: nil),
            onServerRunning: { [port] channel in
                _ = port.settle(.success(channel.localAddress?.port ?? 0))
            },
            logger: logger)
        let outcome = await withTaskGroup(of: Void.self, returning: Result<Void, any Error>.self) { group in
            group.addTask { await self.workInBackground() }
            let outcome = await self.serve(application)
            group.cancelAll()
            return outcome
        }
        switch outcome {
        case .success:
            _ = port.settle(.failure(.stopped))
        case .failure(let error):
            let failure = TwinError.cannotListen(port: configuration.port, cause: "\(error)")
            throw port.settle(.failure(failure)) ? failure : error
        }
    }

    /// Serves until shutdown or cancellation, and ends gracefully in both cases: cutting the listener off while it
    /// accepts a connection is a trap in NIO's asynchronous channels.
    private func serve(_ application: some ApplicationProtocol) async -> Result<Void, any Error> {
        var limits = ServiceGroupConfiguration(services: [application], logger: logger)
        limits.maximumGracefulShutdownDuration = .seconds(5)
        let group = ServiceGroup(configuration: limits)
        let run = Task { try await group.run() }
        let stop: @Sendable () -> Void = { Task { await group.triggerGracefulShutdown() } }
        return await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await run.result
            } onGracefulShutdown: {
                stop()
            }
        } onCancel: {
            stop()
        }
    }

    /// Runs something beside the requests: statuses, repeated webhooks.
    func inBackground(_ operation: @escaping @Sendable () async -> Void) {
        enqueue.yield(operation)
    }

    private func workInBackground() async {
        await withDiscardingTaskGroup { group in
            for await operation in work { group.addTask { await operation() } }
        }
    }

    private func router() -> Router<TwinContext> {
        let router = Router(context: TwinContext.self)
        addGraphSide(to: router)
        addTenantSide(to: router)
        addSessionSide(to: router)
        return router
    }
}

/// A request's context that knows its connection: some faults close it.
struct TwinContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.channel = source.channel
    }
}

extension MetaJSON {
    /// As an HTTP answer.
    func response(status: Int = 200) -> Response {
        Response(
            status: .init(code: status), headers: [.contentType: "application/json; charset=UTF-8"],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
