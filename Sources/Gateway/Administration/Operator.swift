import Glibc

/// Who works at the command line, for the audit log.
enum Operator {
    /// `cli:` and the login name of the process' real user; the number where it has no name.
    static let name: String = {
        let user = getuid()
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        let name = buffer.withUnsafeMutableBufferPointer { buffer -> String? in
            guard let base = buffer.baseAddress, getpwuid_r(user, &entry, base, buffer.count, &found) == 0,
                found != nil, let name = entry.pw_name
            else { return nil }
            return String(cString: name)
        }
        return "cli:" + (name ?? "\(user)")
    }()
}
