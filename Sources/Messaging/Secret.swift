/// A secret: it can be used, compared and counted, but not printed.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    /// - Returns: `nil` for an empty text: an empty secret is none.
    public init?(_ value: String) {
        guard !value.isEmpty else { return nil }
        self.value = value
    }

    /// The bytes, for the one place that needs them. Never interpolate the result.
    public var utf8: [UInt8] { Array(value.utf8) }

    /// The text, for a header or a connection. Never log the result.
    public func reveal() -> String { value }

    public var description: String { "‹secret›" }
    public var debugDescription: String { "‹secret›" }
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Secrets separated by commas, newest first: a ring during a rotation. Blank parts are left out.
    public static func ring(_ text: String) -> [Secret] {
        text.split(separator: ",").compactMap { part in
            let start = part.firstIndex { !$0.isWhitespace } ?? part.endIndex
            let end = part.lastIndex { !$0.isWhitespace }.map { part.index(after: $0) } ?? part.endIndex
            return Secret(String(part[start..<end]))
        }
    }
}
