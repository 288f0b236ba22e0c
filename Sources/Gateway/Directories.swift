import Foundation

/// Directories the gateway makes for itself.
package enum Directories {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes a directory that only this user can enter, if it is not there, and returns its absolute path.
    package static func make(_ path: String) throws(Failure) -> String {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        do {
            try FileManager.default.createDirectory(
                atPath: absolute, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure(description: "cannot make the directory \(absolute): \(error.localizedDescription); "
                + "set GATEWAY_DATA_DIR to a place this user can write to")
        }
        return absolute
    }
}
