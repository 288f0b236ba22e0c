import Foundation
package import Messaging

/// Secrets that development makes for itself and keeps, readable by this user alone.
package struct DevelopmentSecrets: Sendable {
    private let directory: String

    package init(directory: String) { self.directory = directory }

    /// The secret of this name; made on first use.
    package func secret(_ name: String) throws -> Secret {
        if let secret = kept(name) { return secret }
        let path = directory + "/" + name
        var generator = SystemRandomNumberGenerator()
        let text = (0..<4).map { _ in Self.hex(generator.next()) }.joined()
        let isMade = FileManager.default.createFile(
            atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
        guard isMade, let secret = Secret(text) else {
            throw Directories.Failure(description: "cannot write \(path); is the directory writable for this user?")
        }
        return secret
    }

    /// The secret of this name, if it was made before.
    package func kept(_ name: String) -> Secret? {
        FileManager.default.contents(atPath: directory + "/" + name).flatMap {
            Secret(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
