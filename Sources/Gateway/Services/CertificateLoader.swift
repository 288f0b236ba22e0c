import Ingress
import Messaging
import NIOSSL
import Operations
import Synchronization

/// Reads the certificate files, and holds the TLS context new connections get.
final class CertificateLoader: Sendable {
    let holder: TLSContextHolder
    private let directory: String
    private let current: Mutex<(fingerprint: String, generation: Int64)>

    init(directory: String) throws {
        self.directory = directory
        let files = try CertificateFiles.load(directory, now: SystemTime.now())
        holder = TLSContextHolder(try Self.context(files))
        current = Mutex((files.fingerprint, 1))
    }

    /// Counts the certificates swapped in, from 1.
    var generation: Int64 { current.withLock { $0.generation } }

    /// Swaps whole, or throws and leaves the certificate as it was. Never waits for the database.
    func reload() throws -> ReloadReceipt {
        let files = try CertificateFiles.load(directory, now: SystemTime.now())
        let context = try Self.context(files)
        return current.withLock { current in
            if files.fingerprint != current.fingerprint {
                holder.replace(with: context)
                current = (files.fingerprint, current.generation + 1)
            }
            return ReloadReceipt(generation: current.generation, summary: files.summary)
        }
    }

    private static func context(_ files: CertificateFiles) throws -> NIOSSLContext {
        try NIOSSLContext(
            configuration: TLSContextHolder.serverConfiguration(certificates: files.chain, key: files.privateKey))
    }
}
