import Glibc

/// Why the private cluster cannot be had: what happened, where, and what to do.
package struct PrivatePostgresError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }

    /// Of a system call that just failed.
    static func system(_ what: String, _ path: String, _ code: Int32) -> PrivatePostgresError {
        PrivatePostgresError("\(what) \(path): \(String(cString: strerror(code)))")
    }
}

extension String {
    /// The end of what a program said, on one line.
    var lastLines: String { split(separator: "\n").suffix(3).joined(separator: "; ") }
}
