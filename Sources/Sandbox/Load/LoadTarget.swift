/// Where the load goes: an address such as `https://localhost:8443/api/webhooks/meta`.
struct LoadTarget: Hashable, Sendable {
    let host: String
    let port: Int
    let path: String

    init(_ url: String) throws(LoadError) {
        guard let target = Self.parse(url) else { throw .badURL(url) }
        self = target
    }

    private init(host: String, port: Int, path: String) {
        self.host = host
        self.port = port
        self.path = path
    }

    /// For the header `Host`.
    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// An address has no name that a certificate could be asked for by.
    var serverName: String? {
        host.contains(":") || host.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") } ? nil : host
    }

    private static func parse(_ url: String) -> LoadTarget? {
        guard url.hasPrefix("https://"), url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        else { return nil }
        let rest = url.dropFirst(8)
        let end = rest.firstIndex(of: "/") ?? rest.endIndex
        var authority = rest[..<end]
        var port = 443
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(number) else {
                return nil
            }
            port = number
            authority = authority[..<colon]
        }
        if authority.hasPrefix("["), authority.hasSuffix("]") { authority = authority.dropFirst().dropLast() }
        guard !authority.isEmpty, !authority.contains(where: { "@[]?\\".contains($0) }) else { return nil }
        return LoadTarget(host: String(authority), port: port, path: end == rest.endIndex ? "/" : String(rest[end...]))
    }
}
