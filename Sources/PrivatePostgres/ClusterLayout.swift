import Glibc

/// The directories of one cluster.
struct ClusterLayout: Sendable, Hashable {
    /// Holds the rest; nobody but the owner may enter.
    let home: String
    /// Where the socket is. A socket's path holds 107 bytes at most, so this may have to be elsewhere.
    let sockets: String

    /// PostgreSQL's data directory.
    var data: String { home + "/data" }
    var postmasterFile: String { data + "/postmaster.pid" }
    /// The server's log since it was started; the one before has `.1` at its end.
    var log: String { home + "/server.log" }

    /// Where `<sockets>/.s.PGSQL.5432.lock` still fits with room to spare.
    private static let socketsLengthMax = 80
    private static let rootHome = "/var/lib/zenrent-gateway"

    static func resident(dataDirectory: String, owner: ClusterOwner) throws(PrivatePostgresError) -> ClusterLayout {
        let absolute = absolute(dataDirectory)
        let home = owner.isOther ? "\(rootHome)/postgres-\(hash(absolute))" : absolute + "/postgres"
        return ClusterLayout(home: home)
    }

    init(home: String) {
        self.home = home
        let inside = home + "/socket"
        sockets = inside.utf8.count <= Self.socketsLengthMax ? inside : "/tmp/zenrent-gateway-\(Self.hash(home))"
    }

    /// What made the data directory; `nil` when there is none yet.
    var majorVersion: Int? {
        Self.contents(data + "/PG_VERSION").flatMap { Int($0.prefix { $0.isNumber }) }
    }

    /// Makes the directories, and sees that they are the owner's alone.
    func prepare(_ owner: ClusterOwner) throws(PrivatePostgresError) {
        if let slash = home.lastIndex(of: "/") { try Self.makeParents(String(home[..<slash])) }
        for directory in [home, sockets] {
            if mkdir(directory, 0o700) == 0 {
                guard chown(directory, owner.user, owner.group) == 0 else {
                    throw .system("chown", directory, errno)
                }
            } else if errno != EEXIST {
                throw .system("cannot make the directory", directory, errno)
            }
            var status = stat()
            guard lstat(directory, &status) == 0 else { throw .system("cannot look at", directory, errno) }
            guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == owner.user, status.st_mode & 0o077 == 0 else {
                throw PrivatePostgresError(
                    "\(directory) must be \(owner.name)'s and closed to others: move it away, or chown and chmod 700 it"
                )
            }
        }
    }

    private static func makeParents(_ path: String) throws(PrivatePostgresError) {
        var prefix = ""
        for part in path.split(separator: "/") {
            prefix += "/" + part
            guard mkdir(prefix, 0o755) == 0 || errno == EEXIST else {
                throw .system("cannot make the directory", prefix, errno)
            }
        }
    }

    private static func absolute(_ path: String) -> String {
        var parts: [Substring] = []
        let full = path.hasPrefix("/") ? path : workingDirectory + "/" + path
        for part in full.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    private static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    /// FNV-1a: the same path has the same name for ever.
    static func hash(_ text: String) -> String {
        let value = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(value, radix: 36)
    }

    /// A small file's text; `nil` when it cannot be read.
    static func contents(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
