import CPostgres
import Glibc

/// libpq's connection: closed when its owner lets go, used by one thread at a time.
struct PostgresHandle: ~Copyable {
    let pointer: OpaquePointer

    private init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQfinish(pointer) }

    /// Blocks until a host has answered, or all have failed; at most `connectTimeoutSeconds` for each.
    static func open(_ configuration: PostgresConfiguration) throws(PostgresError) -> PostgresHandle {
        let pairs = configuration.keywords
        var keywords: [UnsafePointer<CChar>?] = pairs.map { UnsafePointer(strdup($0.keyword)) } + [nil]
        var values: [UnsafePointer<CChar>?] = pairs.map { UnsafePointer(strdup($0.value)) } + [nil]
        defer { for text in keywords + values { free(UnsafeMutablePointer(mutating: text)) } }
        guard let pointer = PQconnectdbParams(&keywords, &values, 1) else {
            throw PostgresError(.connectFailed, "no memory for a connection")
        }
        let handle = PostgresHandle(owning: pointer)
        guard PQstatus(pointer) == CONNECTION_OK, PQsetnonblocking(pointer, 1) == 0 else {
            throw PostgresError(
                .connectFailed, "no connection to PostgreSQL: \(lastMessage(pointer))",
                sqlState: nil, hint: "check that the server runs, and DATABASE_URL")
        }
        PQsetNoticeProcessor(pointer, { _, _ in }, nil)
        return handle
    }

    /// What libpq says went wrong last, on one line.
    static func lastMessage(_ pointer: OpaquePointer) -> String {
        guard let text = PQerrorMessage(pointer) else { return "no reason given" }
        return String(cString: text).split(separator: "\n").map { $0.drop(while: \.isWhitespace) }.joined(
            separator: "; ")
    }
}

extension PostgresError {
    /// The server's refusal as a result carries it.
    /// - Parameter isConnected: whether the connection survived it.
    init(_ result: OpaquePointer, isConnected: Bool) {
        func field(_ code: UnicodeScalar) -> String? {
            PQresultErrorField(result, Int32(code.value)).map { String(cString: $0) }
        }
        let sqlState = field("C")
        let message = field("M") ?? PQresultErrorMessage(result).map { String(cString: $0) } ?? "no reason given"
        self.init(
            isConnected ? .server : .connectionLost,
            sqlState?.hasPrefix("22") == true ? Self.withoutQuotedValues(message) : message.oneLine,
            sqlState: sqlState, hint: field("H")?.oneLine, constraint: field("n"), detail: field("D"))
    }

    /// `invalid input syntax for type uuid: "…"`: errors of the data quote it.
    static func withoutQuotedValues(_ message: String) -> String {
        guard let first = message.firstIndex(of: "\""), let last = message.lastIndex(of: "\"") else {
            return message.oneLine
        }
        return (message[...first] + "…" + message[last...]).oneLine
    }
}

extension String {
    /// Without line breaks and control characters, so that it stays one line of a log.
    var oneLine: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    }
}
