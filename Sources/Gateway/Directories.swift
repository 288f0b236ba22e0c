import Foundation
import Glibc

/// Directories the gateway makes for itself.
package enum Directories {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes a directory that only this user can enter, if it is not there, and returns its absolute path.
    package static func make(_ path: String) throws(Failure) -> String {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        var prefix = ""
        for part in absolute.split(separator: "/") {
            prefix += "/" + part
            guard mkdir(prefix, 0o700) != 0 else { continue }
            let reason = errno
            guard FileStatus(path: prefix)?.isDirectory != true else { continue }
            throw Failure(
                description: "cannot make the directory \(prefix) (\(String(cString: strerror(reason)))); "
                    + "set GATEWAY_DATA_DIR to a place this user can write to")
        }
        return absolute
    }
}

/// Keeps other gateways out of a data directory while it is held; the kernel lets go when the process ends.
final class DirectoryHold: Sendable {
    private let descriptor: Int32

    init(_ directory: String) throws(Directories.Failure) {
        let path = try Directories.make(directory) + "/gateway.lock"
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Directories.Failure(
                description: "cannot open \(path) (\(String(cString: strerror(errno)))); "
                    + "set GATEWAY_DATA_DIR to a place this user can write to")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw Directories.Failure(
                description: "another gateway runs in \(directory); stop it, or give this one another GATEWAY_DATA_DIR")
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}
