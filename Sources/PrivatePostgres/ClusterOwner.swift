import Glibc

/// The user the server runs as: ourselves, or, if we are root, somebody without rights.
struct ClusterOwner: Sendable, Hashable {
    let name: String
    let user: uid_t
    let group: gid_t
    /// Not ourselves.
    let isOther: Bool

    private static let names = ["postgres", "zenrent"]

    static func current() throws(PrivatePostgresError) -> ClusterOwner {
        let uid = geteuid()
        guard uid == 0 else {
            return ClusterOwner(name: "user \(uid)", user: uid, group: getegid(), isOther: false)
        }
        for name in names {
            if let entry = getpwnam(name) {
                return ClusterOwner(name: name, user: entry.pointee.pw_uid, group: entry.pointee.pw_gid, isOther: true)
            }
        }
        throw PrivatePostgresError(
            "PostgreSQL does not run as root, and there is no user postgres or zenrent: useradd --system zenrent")
    }

    /// Runs a program as this user, in `/`, apart from our process group.
    func run(_ program: String, _ arguments: [String]) async throws(PrivatePostgresError) -> ChildProcess.Output {
        let (program, arguments) = command(program, arguments)
        return try await ChildProcess.run(program, arguments)
    }

    /// The same as a command line.
    func command(_ program: String, _ arguments: [String]) -> (String, [String]) {
        let whole = [program] + arguments
        let identity = isOther ? ["setpriv", "--reuid=\(user)", "--regid=\(group)", "--init-groups", "--"] : []
        return ("/usr/bin/env", ["--chdir=/"] + identity + whole)
    }
}
