/// What the public listener takes before it refuses. Each is a setting.
package struct IngressLimits: Hashable, Sendable {
    /// Bytes of a request body. Meta sends up to 3 MB.
    package var bodyBytesMax = 4 << 20
    /// Bytes of all header lines of a request, and of the trailers of a chunked one.
    package var headerBytesMax = 32 << 10
    /// Bytes of the request target.
    package var targetBytesMax = 8 << 10
    /// Seconds from the first byte (or the connection's start, with the TLS handshake) to the end of the head.
    package var headSeconds: Int64 = 10
    /// Seconds from the end of the head to the end of the body, however it drips.
    package var bodySeconds: Int64 = 15
    /// Seconds a connection may be silent between two requests.
    package var idleSeconds: Int64 = 60
    /// Seconds an answer that ends the connection is given to reach a sender that is still sending.
    package var lingerSeconds: Int64 = 2
    /// Connections at once; further ones are closed at once.
    package var connectionsMax = 16_384
    /// Bytes of unfinished bodies of all connections together; further large ones are answered 503.
    package var bodyBytesInFlightMax = 128 << 20

    package init() {}
}
