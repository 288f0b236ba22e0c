import Hummingbird

/// Finds the token of a request (RFC 6750, section 2.1).
enum BearerToken {
    /// Longer ones are refused unread: a Supabase token with generous metadata has about 2 KiB.
    static let lengthMax = 8192

    static func extract(from fields: HTTPFields) throws(TokenRefusal) -> String {
        let values = fields[values: .authorization]
        guard let value = values.first else { throw .missing }
        guard values.count == 1 else { throw .severalHeaders }
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw .notBearer }
        let token = parts[1].drop { $0 == " " }
        guard token.utf8.count <= lengthMax else { throw .tooLong }
        return String(token)
    }
}
