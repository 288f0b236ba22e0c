import CoreMetrics
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Testing

@testable import Operations

@Suite struct OperationsServerTests {
    @Test func saysThatItIsAlive() async throws {
        try await withServer { server, _, _ in
            let answer = try await exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", with: server.port)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n{\"status\":\"alive\"}\n"))
            #expect(answer.lowercased().contains("connection: close\r\n"))
        }
    }

    @Test func readinessFollowsTheBoard() async throws {
        try await withServer { server, board, _ in
            let journal = board.register("journal", blocksAcknowledging: true)
            let request = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
            var answer = try await exchange(request, with: server.port)
            #expect(answer.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
            #expect(answer.contains("\"degraded\":[\"journal\"]"))
            #expect(answer.contains("\"reason\":\"starting\""))
            journal.report(.ok)
            answer = try await exchange(request, with: server.port)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("\"status\":\"ready\""))
        }
    }

    @Test func showsTheMetrics() async throws {
        try await withServer { server, _, registry in
            Counter(label: "a_total", factory: registry).increment(by: 3)
            let answer = try await exchange("GET /metrics?x=1 HTTP/1.0\r\n\r\n", with: server.port)
            #expect(answer.lowercased().contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"))
            #expect(answer.contains("# TYPE a_total counter\na_total 3\n"))
        }
    }

    @Test(arguments: [
        ("GET / HTTP/1.1", "404 Not Found"), ("GET /metrics/ HTTP/1.1", "404 Not Found"),
        ("POST /nothing HTTP/1.1", "404 Not Found"), ("GET //healthz HTTP/1.1", "404 Not Found"),
        ("DELETE /metrics HTTP/1.1", "405 Method Not Allowed"), ("POST /healthz HTTP/1.1", "405 Method Not Allowed"),
        ("HEAD /healthz HTTP/1.1", "200 OK"), ("nonsense", "400 Bad Request"),
    ])
    func answersEverythingElseBriefly(request: String, status: String) async throws {
        try await withServer { server, _, _ in
            let answer = try await exchange("\(request)\r\nHost: x\r\nContent-Length: 0\r\n\r\n", with: server.port)
            #expect(answer.contains("HTTP/1.1 \(status)\r\n"))
            #expect(status.hasPrefix("405") == answer.contains("GET, HEAD"))
        }
    }

    @Test func headHasTheHeadersOfGetAndNoBody() async throws {
        try await withServer { server, _, _ in
            let answer = try await exchange("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", with: server.port)
            #expect(answer.hasSuffix("\r\n\r\n"))
            #expect(answer.lowercased().contains("content-length: 19\r\n"))
        }
    }

    @Test func refusesLongHeadsAndLongBodies() async throws {
        try await withServer { server, _, _ in
            let long = String(repeating: "a", count: 70_000)
            let head = try await exchange("GET /healthz HTTP/1.1\r\nHost: x\r\nX: \(long)\r\n\r\n", with: server.port)
            #expect(!head.contains("200 OK"))
            let body = try await exchange(
                "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n\(long)", with: server.port)
            #expect(body.isEmpty || body.hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test func cutsAConnectionThatSaysNothing() async throws {
        var limits = OperationsServer.Limits()
        limits.connectionLifetime = .milliseconds(50)
        try await withServer(limits: limits) { server, _, _ in
            // Both return only because the server closes.
            let silent = try await exchange("", with: server.port)
            let halfway = try await exchange("GET /healthz HT", with: server.port)
            #expect(silent.isEmpty && !halfway.contains("200 OK"))
        }
    }

    @Test func holdsOnlySoManyConnectionsAndTakesNewOnesWhenOldOnesEnd() async throws {
        var limits = OperationsServer.Limits()
        limits.connectionsMax = 2
        try await withServer(limits: limits) { server, _, _ in
            let first = try await RawConnection.open(port: server.port)
            let second = try await RawConnection.open(port: server.port)
            let third = try await RawConnection.open(port: server.port)
            let refused = try await third.received()
            #expect(refused.isEmpty)
            let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            for connection in [first, second] {
                connection.send(request)
                let answer = try await connection.received()
                #expect(answer.contains("200 OK"))
            }
            let later = try await exchange(request, with: server.port)
            #expect(later.contains("200 OK"))
        }
    }

    @Test func answersOnlyTheFirstOfPipelinedRequests() async throws {
        try await withServer { server, _, _ in
            let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            let answer = try await exchange(request + request + request, with: server.port)
            #expect(answer.split(separator: "HTTP/1.1 200").count == 1)
        }
    }

    @Test func namesATakenPortAndTheCure() async throws {
        try await withServer { server, board, registry in
            let error = await #expect(throws: OperationsServerError.self) {
                _ = try await OperationsServer.bind(
                    port: server.port, registry: registry, board: board,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
            let text = try #require(error).description
            #expect(text.contains("127.0.0.1:\(server.port)"))
            #expect(text.contains("GATEWAY_OPS_PORT"))
        }
    }

    @Test func listensOnLoopbackAlone() async throws {
        try await withServer { server, _, _ in
            await #expect(throws: (any Error).self) {
                _ = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.2", port: server.port).get()
            }
        }
    }

    @Test func endsOnGracefulShutdown() async throws {
        let server = try await OperationsServer.bind(
            port: 0, registry: PrometheusRegistry(), board: HealthBoard(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let group = ServiceGroup(
            services: [server], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        async let running: Void = group.run()
        let answer = try await exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", with: server.port)
        #expect(answer.contains("200 OK"))
        await group.triggerGracefulShutdown()
        try await running
    }
}

private func withServer(
    limits: OperationsServer.Limits = OperationsServer.Limits(),
    _ body: (OperationsServer, HealthBoard, PrometheusRegistry) async throws -> Void
) async throws {
    let board = HealthBoard()
    let registry = PrometheusRegistry()
    let server = try await OperationsServer.bind(
        port: 0, registry: registry, board: board, limits: limits,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    do {
        try await body(server, board, registry)
    } catch {
        await server.close()
        throw error
    }
    await server.close()
}

/// Sends these bytes and returns everything that comes until the server closes.
private func exchange(_ request: String, with port: Int) async throws -> String {
    let connection = try await RawConnection.open(port: port)
    connection.send(request)
    return try await connection.received()
}

/// A connection without any idea of HTTP.
private struct RawConnection {
    private let channel: any Channel
    private let bytes: EventLoopFuture<ByteBuffer>

    static func open(port: Int) async throws -> RawConnection {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: ByteBuffer.self)
        do {
            let channel = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Collector(promise))
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
            return RawConnection(channel: channel, bytes: promise.futureResult)
        } catch {
            promise.fail(error)
            throw error
        }
    }

    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    func received() async throws -> String { String(buffer: try await bytes.get()) }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let promise: EventLoopPromise<ByteBuffer>
        private var all = ByteBuffer()

        init(_ promise: EventLoopPromise<ByteBuffer>) { self.promise = promise }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var part = unwrapInboundIn(data)
            all.writeBuffer(&part)
        }

        func channelInactive(context: ChannelHandlerContext) { promise.succeed(all) }

        // A reset after the answer ends the exchange like a close.
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
