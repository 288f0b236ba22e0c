import Glibc
package import Journal
package import Logging
package import Messaging
import NIOCore
package import NIOPosix
package import NIOSSL
import ServiceLifecycle
import Synchronization

/// The public TLS listener: two paths, nothing else.
package final class IngressServer: Service {
    package struct Configuration: Sendable {
        package var host: String
        /// 0 = any free port; `boundPort` tells which.
        package var port: Int
        package var limits: IngressLimits

        package init(host: String, port: Int, limits: IngressLimits = IngressLimits()) {
            self.host = host
            self.port = port
            self.limits = limits
        }
    }

    private let configuration: Configuration
    private let group: MultiThreadedEventLoopGroup
    private let tls: TLSContextHolder
    private let surroundings: WebhookHandler.Surroundings
    private let logger: Logger
    private let channel = Mutex<(any Channel)?>(nil)
    private let loops: [ObjectIdentifier: IngressLoop]

    package init(
        configuration: Configuration, group: MultiThreadedEventLoopGroup, tls: TLSContextHolder,
        verification: WebhookVerification, appender: any WebhookAppender, logger: Logger,
        clock: @escaping @Sendable () -> Timestamp
    ) {
        self.configuration = configuration
        self.group = group
        self.tls = tls
        self.logger = logger
        surroundings = WebhookHandler.Surroundings(
            limits: configuration.limits, verification: verification, appender: appender,
            budget: BodyBudget(bytes: configuration.limits.bodyBytesInFlightMax), metrics: IngressMetrics(),
            clock: clock)
        var loops: [ObjectIdentifier: IngressLoop] = [:]
        for eventLoop in group.makeIterator() {
            loops[ObjectIdentifier(eventLoop)] = IngressLoop(eventLoop: eventLoop, clock: clock)
        }
        self.loops = loops
    }

    /// The port that is listened on, once `bind` has returned.
    package var boundPort: Int? { channel.withLock { $0?.localAddress?.port } }

    /// Starts to listen; connections are served from here on.
    /// - Throws: `IngressError`, with the cure in its message.
    package func bind() async throws {
        guard channel.withLock({ $0 == nil }) else { return }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 65_536)
            )
            .childChannelInitializer { [surroundings, loops, tls] channel in
                Self.prepare(channel, surroundings, loops, tls)
            }
        do {
            let bound = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
            channel.withLock { $0 = bound }
            logger.info("ingress listens", metadata: ["host": "\(configuration.host)", "port": "\(boundPort ?? 0)"])
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw IngressError(
                "port \(configuration.port) is taken by another program; stop it, or set GATEWAY_INGRESS_PORT to a free one"
            )
        } catch {
            throw IngressError(
                "cannot listen on \(configuration.host):\(configuration.port) (GATEWAY_BIND, GATEWAY_INGRESS_PORT): \(error)"
            )
        }
    }

    private static func prepare(
        _ channel: any Channel, _ surroundings: WebhookHandler.Surroundings, _ loops: [ObjectIdentifier: IngressLoop],
        _ tls: TLSContextHolder
    ) -> EventLoopFuture<Void> {
        let metrics = surroundings.metrics
        let count = metrics.connectionOpened()
        channel.closeFuture.whenComplete { _ in metrics.connectionClosed() }
        guard count <= surroundings.limits.connectionsMax, let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
            metrics.connectionRefused()
            return channel.close()
        }
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(NIOSSLServerHandler(context: tls.current))
            try pipeline.addHandler(WebhookHandler(surroundings, loop: loop))
        }
    }

    package func run() async throws {
        try await bind()
        guard let listener = channel.withLock({ $0 }) else { return }
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await listener.closeFuture.get()
        } onCancelOrGracefulShutdown: {
            listener.close(promise: nil)
        }
        await drain()
    }

    /// How long connections are served on after the listener has closed: what was sent before may still be on its way,
    /// over a connection that looks idle.
    private static let graceMilliseconds: Int64 = 250
    /// How long open requests are given after that.
    private static let drainSeconds: Int64 = 10

    private func drain() async {
        try? await group.next().scheduleTask(in: .milliseconds(Self.graceMilliseconds)) {}.futureResult.get()
        let drained = group.next().makePromise(of: Void.self)
        let all = EventLoopFuture.andAllComplete(loops.values.map { $0.drain() }, on: group.next())
        all.cascade(to: drained)
        let deadline = group.next().scheduleTask(in: .seconds(Self.drainSeconds)) { drained.succeed() }
        try? await drained.futureResult.get()
        deadline.cancel()
        for loop in loops.values { try? await loop.closeAll().get() }
        logger.info("ingress closed")
    }
}

/// The TLS context new connections get; the open ones keep theirs. Swapped whole by a reload.
package final class TLSContextHolder: Sendable {
    private let context: Mutex<NIOSSLContext>

    package init(_ context: NIOSSLContext) { self.context = Mutex(context) }

    package var current: NIOSSLContext { context.withLock { $0 } }
    package func replace(with new: NIOSSLContext) { context.withLock { $0 = new } }

    /// TLS 1.2 and 1.3, HTTP/1.1 alone by ALPN.
    package static func serverConfiguration(
        certificates: [NIOSSLCertificate], key: NIOSSLPrivateKey
    ) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }
}

/// Why the listener could not start: what happened, which setting, what to do.
package struct IngressError: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
