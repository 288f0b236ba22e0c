/// What became of an update. Every update of every accepted webhook has exactly one.
public enum Verdict: String, Sendable, CaseIterable {
    /// In a landlord's conversation, and goes on to the landlord.
    case routed
    /// In the conversation, but does not go on: landlord switched off, conversation blocked, over a limit.
    case withheld
    /// Waits for the tenant to say which landlord.
    case held
    /// From somebody no landlord has.
    case unclaimed
    /// A well-formed status; also one for a message we do not know yet, which waits.
    case status
    /// A message that is already recorded.
    case duplicate
    /// Stored raw, and nothing acts on it yet.
    case ignored
    /// Could not be processed; kept with its bytes to be redriven.
    case parked
}

/// How many updates got each verdict.
public struct VerdictCounts: Hashable, Sendable {
    public var routed = 0
    public var withheld = 0
    public var held = 0
    public var unclaimed = 0
    public var status = 0
    public var duplicate = 0
    public var ignored = 0
    public var parked = 0

    public init() {}

    public subscript(verdict: Verdict) -> Int {
        get {
            switch verdict {
            case .routed: routed
            case .withheld: withheld
            case .held: held
            case .unclaimed: unclaimed
            case .status: status
            case .duplicate: duplicate
            case .ignored: ignored
            case .parked: parked
            }
        }
        set {
            switch verdict {
            case .routed: routed = newValue
            case .withheld: withheld = newValue
            case .held: held = newValue
            case .unclaimed: unclaimed = newValue
            case .status: status = newValue
            case .duplicate: duplicate = newValue
            case .ignored: ignored = newValue
            case .parked: parked = newValue
            }
        }
    }

    public var total: Int { routed + withheld + held + unclaimed + status + duplicate + ignored + parked }

    public static func += (a: inout VerdictCounts, b: VerdictCounts) {
        for verdict in Verdict.allCases { a[verdict] += b[verdict] }
    }
}
