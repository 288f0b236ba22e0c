import Messaging
import NIOCore
import NIOPosix
import NIOSSL
import Sandbox

/// A keep-alive TLS connection to the ingress, which sends bytes as they are.
final class WebhookConnection: Sendable {
    struct Answer: Sendable, Equatable {
        let status: Int
        let retryAfter: String?
        /// The server closes after it.
        let isLast: Bool
    }

    struct Lost: Error {}

    private let channel: any Channel
    private let reader: NIOLoopBound<Reader>

    /// Nobody but a test trusts blindly; who the peer is, is seen by its certificate.
    private static let context: NIOSSLContext = {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        return try! NIOSSLContext(configuration: configuration)
    }()

    static func open(port: Int) async throws -> WebhookConnection {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                    try pipeline.addHandler(Reader())
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let reader = try await channel.eventLoop.submit {
            NIOLoopBound(try channel.pipeline.syncOperations.handler(type: Reader.self), eventLoop: channel.eventLoop)
        }.get()
        return WebhookConnection(channel, reader)
    }

    private init(_ channel: any Channel, _ reader: NIOLoopBound<Reader>) {
        self.channel = channel
        self.reader = reader
    }

    deinit { channel.close(promise: nil) }

    /// Sends a signed webhook, and waits for the answer.
    /// - Throws: `Lost` when the connection ends before the answer.
    func post(_ body: [UInt8], as sender: WebhookSender = .meta) async throws -> Answer {
        try await send(body, as: sender).get()
    }

    /// Sends a signed webhook; the answer comes in the order of requests. The bytes have gone to the kernel on return.
    func send(_ body: [UInt8], as sender: WebhookSender = .meta) async throws -> EventLoopFuture<Answer> {
        var bytes = channel.allocator.buffer(capacity: body.count + 256)
        bytes.writeString(
            "POST \(sender.path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "\(sender.header): \(sender.signature(of: body))\r\nContent-Length: \(body.count)\r\n\r\n")
        bytes.writeBytes(body)
        let answer = channel.eventLoop.makePromise(of: Answer.self)
        let sent = channel.eventLoop.flatSubmit { [channel, reader, bytes] in
            reader.value.expect(answer)
            return channel.writeAndFlush(bytes)
        }
        do { try await sent.get() } catch { throw Lost() }
        return answer.futureResult
    }

    /// What the server showed, DER; after the first answer.
    func certificate() async throws -> [UInt8] {
        try await channel.eventLoop.submit { [channel] in
            let tls = try channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
            return try tls.peerCertificate?.toDERBytes() ?? []
        }.get()
    }

    func close() async { try? await channel.close() }

    /// Cuts answers out of the bytes. All of the ingress's have a `Content-Length`.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var waiting = CircularBuffer<EventLoopPromise<Answer>>()
        private var text = ""
        private var isClosed = false

        func expect(_ answer: EventLoopPromise<Answer>) {
            if isClosed { answer.fail(Lost()) } else { waiting.append(answer) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            text += String(buffer: unwrapInboundIn(data))
            while let end = text.firstRange(of: "\r\n\r\n") {
                let head = text[..<end.lowerBound]
                let length = Self.field("content-length", head).flatMap { Int($0) } ?? 0
                let body = text[end.upperBound...]
                guard body.utf8.count >= length else { return }
                let answer = Answer(
                    status: Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0,
                    retryAfter: Self.field("retry-after", head),
                    isLast: Self.field("connection", head) == "close")
                text = String(decoding: body.utf8.dropFirst(length), as: UTF8.self)
                waiting.popFirst()?.succeed(answer)
            }
        }

        private static func field(_ name: String, _ head: Substring) -> String? {
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name + ":") }
                .map { $0.dropFirst(name.count + 1).trimmingPrefix(while: { $0 == " " }) }.map(String.init)
        }

        func channelInactive(context: ChannelHandlerContext) { end() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            end()
            context.close(promise: nil)
        }

        private func end() {
            isClosed = true
            while let promise = waiting.popFirst() { promise.fail(Lost()) }
        }
    }
}
