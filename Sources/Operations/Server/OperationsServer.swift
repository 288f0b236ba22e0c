package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization

/// What operators and probes ask: `/healthz`, `/readyz` and `/metrics`, in plain HTTP, on loopback and nowhere else.
///
/// It has a thread of its own, so that a slow scrape never stands between a webhook and its answer, and a busy ingress
/// never makes a probe wait. One request a connection; a connection lives ten seconds at most.
package final class OperationsServer: Service {
    package struct Limits: Sendable {
        package var connectionsMax = 64
        /// From the connection to the end of the answer.
        package var connectionLifetime: Duration = .seconds(10)
        package var requestHeadBytesMax = 16_384
        package var requestBodyBytesMax = 16_384

        package init() {}
    }

    /// The port that was bound; another than was asked for only if that was 0.
    package let port: Int

    private let channel: any Channel
    private let group: MultiThreadedEventLoopGroup

    private init(channel: any Channel, port: Int, group: MultiThreadedEventLoopGroup) {
        self.channel = channel
        self.port = port
        self.group = group
    }

    /// Binds 127.0.0.1 and answers from then on; `run` is what ends it.
    /// - Parameter port: `GATEWAY_OPS_PORT`; 0 takes a free one.
    /// - Throws: `OperationsServerError` if the port cannot be had.
    package static func bind(
        port: Int, registry: PrometheusRegistry, board: HealthBoard, limits: Limits = Limits(), logger: Logger
    ) async throws -> OperationsServer {
        guard (0...65_535).contains(port) else {
            throw OperationsServerError(port: port, reason: "a port is a number from 0 to 65535")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let pages = OperationsPages(registry: registry, board: board)
        let connections = ConnectionCount(max: limits.connectionsMax)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    var decoding = NIOHTTPDecoderLimitConfiguration()
                    decoding.maxHeaderListSize = limits.requestHeadBytesMax
                    decoding.maxHeaderFieldSize = limits.requestHeadBytesMax
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                        withPipeliningAssistance: false, withEncoderConfiguration: .init(),
                        withDecoderLimitConfiguration: decoding)
                    try channel.pipeline.syncOperations.addHandler(
                        OperationsRequestHandler(pages: pages, limits: limits, connections: connections))
                }
            }
        do {
            let channel = try await bootstrap.bind(host: "127.0.0.1", port: port).get()
            let bound = channel.localAddress?.port ?? port
            logger.info("operations listener on http://127.0.0.1:\(bound) (/healthz, /readyz, /metrics)")
            return OperationsServer(channel: channel, port: bound, group: group)
        } catch {
            try? await group.shutdownGracefully()
            throw OperationsServerError(port: port, reason: String(describing: error))
        }
    }

    /// Answers until graceful shutdown or cancellation, then closes everything.
    package func run() async throws {
        try? await gracefulShutdown()
        await close()
    }

    /// Closes the port and every connection. Further calls do nothing.
    package func close() async {
        channel.close(promise: nil)
        try? await channel.closeFuture.get()
        try? await group.shutdownGracefully()
    }
}

/// Why the operations listener could not start.
package struct OperationsServerError: Error, Sendable, Hashable, CustomStringConvertible {
    package let port: Int
    package let reason: String

    package var description: String {
        "cannot listen on 127.0.0.1:\(port) for /healthz, /readyz and /metrics: \(reason); "
            + "free the port (`ss -ltnp 'sport = :\(port)'` shows who has it) or set GATEWAY_OPS_PORT to another"
    }
}

/// How many connections are open, so that probes gone wild cannot use up the descriptors that webhooks need.
final class ConnectionCount: Sendable {
    private let open = Atomic<Int>(0)
    private let max: Int

    init(max: Int) { self.max = max }

    /// - Returns: whether there was room; `leave` is called only after a yes.
    func enter() -> Bool {
        guard open.wrappingAdd(1, ordering: .relaxed).newValue <= max else {
            open.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    func leave() { open.wrappingSubtract(1, ordering: .relaxed) }
}
