import Glibc

/// Where the server's programs are.
struct ServerBinaries: Sendable, Hashable {
    let directory: String
    let majorVersion: Int

    /// The oldest PostgreSQL the schema works on.
    static let majorVersionMin = 15

    func path(_ program: String) -> String { "\(directory)/\(program)" }

    /// - Parameter majorVersion: of a cluster that exists; otherwise the newest is taken.
    static func find(majorVersion: Int?) throws(PrivatePostgresError) -> ServerBinaries {
        let found = installed.filter { $0.majorVersion >= majorVersionMin }
        if let majorVersion {
            if let match = found.first(where: { $0.majorVersion == majorVersion }) { return match }
            throw PrivatePostgresError(
                "the private cluster needs PostgreSQL \(majorVersion): apt-get install postgresql-\(majorVersion)"
            )
        }
        if let newest = found.max(by: { $0.majorVersion < $1.majorVersion }) { return newest }
        throw PrivatePostgresError(
            "no PostgreSQL server of version \(majorVersionMin) or newer is installed: apt-get install postgresql"
        )
    }

    /// Debian's and Red Hat's directories, then those of PATH.
    private static var installed: [ServerBinaries] {
        var found = entries("/usr/lib/postgresql").compactMap { name in
            Int(name).map { ServerBinaries(directory: "/usr/lib/postgresql/\(name)/bin", majorVersion: $0) }
        }
        found += entries("/usr").compactMap { name in
            guard name.hasPrefix("pgsql-"), let version = Int(name.dropFirst(6)) else { return nil }
            return ServerBinaries(directory: "/usr/\(name)/bin", majorVersion: version)
        }
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        found += path.split(separator: ":").compactMap { directory in
            version(ofPathDirectory: String(directory)).map {
                ServerBinaries(directory: String(directory), majorVersion: $0)
            }
        }
        return found.filter { binaries in
            ["initdb", "pg_ctl", "pg_isready", "postgres", "psql"].allSatisfy { access(binaries.path($0), X_OK) == 0 }
        }
    }

    /// `bin/initdb` with a `share` beside it says its version in `share/**/postgres.bki`, whose first line is
    /// `# PostgreSQL 15`.
    private static func version(ofPathDirectory directory: String) -> Int? {
        guard access(directory + "/initdb", X_OK) == 0 else { return nil }
        for share in ["/../share/postgresql", "/../share"] {
            guard let text = ClusterLayout.contents(directory + share + "/postgres.bki") else { continue }
            return Int(text.prefix { $0 != "\n" }.drop { !$0.isNumber }.prefix { $0.isNumber })
        }
        return nil
    }

    private static func entries(_ directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }
}
