import Foundation
package import Messaging

/// Secrets that development makes for itself and keeps, readable by this user alone.
package struct DevelopmentSecrets: Sendable {
    private let directory: String

    package init(directory: String) { self.directory = directory }

    /// The secret of this name; made on first use.
    package func secret(_ name: String) throws -> Secret {
        let path = directory + "/" + name
        if let data = FileManager.default.contents(atPath: path),
            let secret = Secret(String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        {
            return secret
        }
        var generator = SystemRandomNumberGenerator()
        let text = (0..<4).map { _ in Self.hex(generator.next()) }.joined()
        let isMade = FileManager.default.createFile(
            atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
        guard isMade, let secret = Secret(text) else {
            throw Directories.Failure(description: "cannot write \(path); is the directory writable for this user?")
        }
        return secret
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
