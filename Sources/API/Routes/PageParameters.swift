import Conversations
import Hummingbird
import Messaging

/// `?limit=…&cursor=…` of a list.
enum PageParameters {
    static let limitDefault = 50

    static func read(_ request: Request) throws -> PageRequest {
        let parameters = request.uri.queryParameters
        let limits = parameters.getAll("limit")
        let cursors = parameters.getAll("cursor")
        var limit = limitDefault
        if let text = limits.first {
            guard limits.count == 1, let number = Int(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                (1...PageRequest.limitMax).contains(number)
            else {
                throw Problem(
                    .invalidLimit,
                    "The query parameter limit is not one whole number from 1 to \(PageRequest.limitMax).",
                    next: "Leave it out for \(limitDefault), or correct it.")
            }
            limit = number
        }
        var cursor: PageCursor?
        if let text = cursors.first {
            cursor = cursors.count == 1 ? PageCursor(opaque: text) : nil
            guard cursor != nil else {
                throw Problem(
                    .invalidCursor, "The query parameter cursor is not one that this API gave out.",
                    next: "Take next of the page before, unchanged; leave it out for the first page.")
            }
        }
        return PageRequest(limit: limit, cursor: cursor)
    }
}

extension PageCursor {
    /// Time and id in 32 characters of base64url. Not a secret: row security decides what a page shows, wherever it
    /// starts.
    var opaque: String {
        let time = UInt64(bitPattern: at.microseconds)
        let timeBytes = stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: time >> UInt64($0)) }
        return Base64URL.encode(timeBytes + id.bytes)
    }

    /// - Returns: `nil` for what `opaque` does not write, and for times PostgreSQL does not hold or nobody wrote at.
    init?(opaque text: String) {
        guard let bytes = Base64URL.decode(text.utf8), bytes.count == 24, let id = UniqueID(bytes: bytes[8...]) else {
            return nil
        }
        let at = Timestamp(microseconds: Int64(bitPattern: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }))
        guard Self.plausible.contains(at) else { return nil }
        self.init(at: at, id: id)
    }

    /// The years 1970 to 9999.
    private static let plausible = Timestamp(seconds: 0)..<Timestamp(seconds: 253_402_300_800)
}
