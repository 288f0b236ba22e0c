import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
package import NIOSSL

/// Gives the TLS context for the next connection: swapped on a reload, without a word to connections that are open.
package typealias TLSProvider = @Sendable () -> NIOSSLContext

/// Sets up a connection: TLS with the context of the moment, HTTP/1.1, and the guards around it.
struct ConnectionSetup: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    private let base: HTTP1Channel
    private let tls: TLSProvider?
    private let limits: APILimits

    /// - Parameter tls: `nil` = plain, for tests alone.
    init(responder: @escaping HTTPChannelHandler.Responder, tls: TLSProvider?, limits: APILimits) {
        self.base = HTTP1Channel(
            responder: responder,
            configuration: .init(
                idleTimeout: limits.idleTimeout,
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.headerFieldBytesMax, maxHeaderListSize: limits.headerBytesMax,
                    maxHeaderFieldCount: limits.headerFieldsMax)))
        self.tls = tls
        self.limits = limits
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let limits = limits
        let tls = tls
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls())) }
            let deadlines = RequestDeadlines(channel: channel, limits: limits)
            try pipeline.addHandler(ByteArrivals(deadlines: deadlines))
        }.flatMap {
            base.setup(channel: channel, logger: logger)
        }.flatMapThrowing { value in
            let pipeline = channel.pipeline.syncOperations
            let deadlines = try pipeline.handler(type: ByteArrivals.self).deadlines
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(RequestGuard(deadlines: deadlines, limits: limits), position: .after(decoder))
            return value
        }
    }

    func handle(value: Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}
