import Messaging

/// Updates that nothing acts on yet, counted by what they are: short labels, `errors`, `group`, `account:security`.
public struct IgnoredUpdates: Hashable, Sendable {
    public private(set) var counts: [String: Int] = [:]

    public init() {}

    public var isEmpty: Bool { counts.isEmpty }

    mutating func note(_ what: String) { counts[what, default: 0] += 1 }

    static func += (a: inout IgnoredUpdates, b: IgnoredUpdates) {
        a.counts.merge(b.counts, uniquingKeysWith: +)
    }
}

extension InboundEvent {
    /// What it is called among those that nothing acts on; `nil` for what is recorded or parked.
    var ignoredLabel: String? {
        switch self {
        case .ignored(let what): what
        case .echo: "echo"
        case .history: "history"
        case .account(let update): "account:" + update.field
        case .preference: "preference"
        case .receipt: "receipt"
        case .message(let message) where !message.endpoint.kind.isRouted: message.endpoint.kind.rawValue + ":message"
        case .status(let status) where !status.endpoint.kind.isRouted: status.endpoint.kind.rawValue + ":status"
        case .message, .status, .session, .undecodable: nil
        }
    }
}
