import Messaging
import NIOCore
import NIOPosix
import NIOSSL

/// Sends signed, distinct webhooks to a gateway, or to any other server, at a rate that does not ask how the server is
/// doing (open loop), and measures how long each took to be answered from the time it was due.
package struct LoadGenerator: Sendable {
    private let configuration: LoadConfiguration
    private let target: LoadTarget
    private let tls: NIOSSLContext

    package init(_ configuration: LoadConfiguration) throws(LoadError) {
        self.configuration = configuration
        target = try LoadTarget(configuration.url)
        let ids = [configuration.phone.phoneNumberID, configuration.phone.accountID, configuration.phone.displayNumber]
        guard ids.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
            throw .badPhone
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.applicationProtocols = ["http/1.1"]
        if let file = configuration.trustRootFile {
            guard let roots = try? NIOSSLCertificate.fromPEMFile(file), !roots.isEmpty else {
                throw .badTrustRoot(file: file)
            }
            tls.additionalTrustRoots = [.certificates(roots)]
        }
        guard let context = try? NIOSSLContext(configuration: tls) else {
            throw .badTrustRoot(file: configuration.trustRootFile ?? "of the system")
        }
        self.tls = context
    }

    /// Runs through the whole load, on a thread of its own.
    package func run() async throws(LoadError) -> LoadReport {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let result: Result<LoadReport, any Error>
        do {
            result = .success(
                try await LoadRun(configuration, target: target, tls: tls, loop: group.next()).begin().get())
        } catch {
            result = .failure(error)
        }
        try? await group.shutdownGracefully()
        do { return try result.get() } catch { throw .cannotConnect(url: configuration.url, cause: "\(error)") }
    }
}
