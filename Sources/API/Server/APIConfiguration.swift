package import NIOCore

/// Where the API listens and what it puts up with.
package struct APIConfiguration: Sendable {
    package var host: String
    /// 0 = any free one.
    package var port: Int
    package var limits: APILimits

    package init(host: String = "0.0.0.0", port: Int, limits: APILimits = APILimits()) {
        self.host = host
        self.port = port
        self.limits = limits
    }
}

/// What one caller may cost.
package struct APILimits: Sendable {
    /// A message of 4,096 characters fits twice over, however it is escaped.
    package var bodyBytesMax = 64 * 1024
    /// Of an administrator's request about rules: ten thousand of them.
    package var rulesBodyBytesMax = 2 * 1024 * 1024
    /// A field must be able to hold a token that is too long, so that it is answered as one.
    package var headerFieldBytesMax = 16 * 1024
    package var headerBytesMax = 32 * 1024
    package var headerFieldsMax = 100
    package var targetBytesMax = 8 * 1024
    /// From the connection, or the first byte of a request, to the end of its headers; TLS handshake included.
    package var headTimeout = TimeAmount.seconds(10)
    /// From the end of the headers to the end of the body, however it drips.
    package var bodyTimeout = TimeAmount.seconds(15)
    /// From the end of a request until its answer was taken.
    package var answerTimeout = TimeAmount.seconds(60)
    /// Between requests.
    package var idleTimeout = TimeAmount.seconds(60)
    /// After an answer that ends the connection, for the caller to read it.
    package var lingerTimeout = TimeAmount.seconds(2)
    /// More than these wait in the kernel's queue.
    package var connectionsMax = 4096

    package init() {}
}
