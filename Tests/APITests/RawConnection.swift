import Glibc
import NIOCore
import NIOPosix

/// A plain connection a test writes bytes to, for requests no HTTP client would send.
struct RawConnection: Sendable {
    private let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    init(port: Int) async throws {
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
            }
    }

    /// Sends the pieces, and gives everything that comes until the server ends the connection.
    func exchange(_ pieces: [String]) async throws -> String {
        try await channel.executeThenClose { inbound, outbound in
            for piece in pieces { try await outbound.write(ByteBuffer(string: piece)) }
            var answer = ByteBuffer()
            do {
                for try await part in inbound { answer.writeImmutableBuffer(part) }
            } catch let error as IOError where error.errnoCode == ECONNRESET {
                // Cut off rather than closed: an end all the same.
            }
            return String(buffer: answer)
        }
    }
}
