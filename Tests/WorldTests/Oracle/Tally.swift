import Messaging

/// Where a message is, as the database tells.
struct Outcome: Hashable, CustomStringConvertible {
    /// `routing_status`.
    var status: String
    var landlord: RowID?
    var tenant: RowID?
    var conversation: UniqueID?

    var description: String {
        landlord.map { "to \($0), \(tenant?.description ?? "no tenant"), \(status)" } ?? status
    }

    func agrees(withOneOf answers: [Ladder.Answer]) -> Bool { answers.contains { agrees(with: $0) } }

    private func agrees(with answer: Ladder.Answer) -> Bool {
        switch answer {
        case .held: status == "ambiguous"
        case .unclaimed: status == "unknown_sender"
        case .lease, .thread: landlord == answer.landlord && landlord != nil && tenant == answer.tenant
        }
    }
}

/// Why a message did not go where the ideal, or the truth, would have it.
enum Divergence: String, CaseIterable, Hashable {
    // The gateway decided by what it had read a moment before.
    case tableBehindLeases = "the table was older than a change of leases"
    case tableBehindIdentities = "the table was older than what was learnt of identities"
    case identityOfTheSameBatch = "identities were shown in the same batch"
    case threadOfTheSameBatch = "a thread was opened in the same batch"
    case threadOfAnotherPerson = "the thread was opened for another person"
    // Nobody could know.
    case peopleInConflict = "number and account id are two people's, and it waits for an administrator"
    case handedOnWithoutNotice = "the number was handed on without notice, and the landlord's data decided"
    case landlordWroteItAgain = "the landlord wrote a lease under a number its tenant had left"
    case lateAcrossHandOver = "the message came after its number was handed on"
    case takenForOne = "two had a number one after the other, and wrote before anything told them apart"
    case inTheThreadOfSuch = "it went into a thread that a message of one of these kinds was in"
}

extension Divergence {
    /// As `docs/decisions/0022-generated-world.md` calls it.
    var name: String { "\(self)" }
}

/// What came of a world.
struct Tally {
    struct Violation: Hashable, CustomStringConvertible {
        var message: MessageName?
        /// Messages that may have to do with it.
        var others: Set<MessageName> = []
        var isWrongLandlord = false
        var what: String
        /// What the oracle knew of the sender.
        var known: [String] = []

        var description: String { "\(message.map { "\($0) " } ?? "")\(what)" }
    }

    var messages = 0
    /// The story could not be told to its end.
    var isStuck = false
    var ideal = 0
    var notices = 0
    var duplicates = 0
    var statuses = 0
    var ignored = 0
    var redriven = 0
    /// Were nobody's, and found their landlord.
    var healed = 0
    var verdicts: [String: Int] = [:]
    var divergences: [Divergence: Int] = [:]
    var violations: [Violation] = []

    var wrongLandlords: Int { violations.count { $0.isWrongLandlord } }

    mutating func count(_ outcome: Outcome) { verdicts[outcome.status, default: 0] += 1 }
    mutating func diverged(_ reason: Divergence) { divergences[reason, default: 0] += 1 }
    mutating func violated(_ message: MessageName, _ what: String, known: [String] = []) {
        violations.append(Violation(message: message, what: what, known: known))
    }
    mutating func wrong(_ message: MessageName, _ what: String, known: [String] = []) {
        violations.append(Violation(message: message, isWrongLandlord: true, what: what, known: known))
    }

    static func += (a: inout Tally, b: Tally) {
        a.messages += b.messages
        a.ideal += b.ideal
        a.notices += b.notices
        a.duplicates += b.duplicates
        a.isStuck = a.isStuck || b.isStuck
        a.statuses += b.statuses
        a.ignored += b.ignored
        a.redriven += b.redriven
        a.healed += b.healed
        a.verdicts.merge(b.verdicts, uniquingKeysWith: +)
        a.divergences.merge(b.divergences, uniquingKeysWith: +)
        a.violations += b.violations
    }
}

/// The states of our own messages: whatever the order in which the words came, the highest stands.
struct StatusHistory {
    /// `nil`: the provider's answer is not there, and nothing can be matched.
    private(set) var expected: [RowID: String] = [:]
    private var isAnswered: Set<RowID> = []
    private var told: [RowID: [DeliveryWord]] = [:]

    /// From the lowest to the highest.
    private static let order = ["queued", "sent", "failed", "delivered", "read", "played"]

    mutating func queued(_ reply: RowID) { settle(reply, isQueued: true) }

    mutating func answered(_ reply: RowID) {
        isAnswered.insert(reply)
        settle(reply, isQueued: expected[reply] != nil)
    }

    mutating func told(_ reply: RowID, _ word: DeliveryWord, at: Moment) {
        told[reply, default: []].append(word)
        settle(reply, isQueued: expected[reply] != nil)
    }

    private mutating func settle(_ reply: RowID, isQueued: Bool) {
        guard isQueued else { return }
        guard isAnswered.contains(reply) else { return expected[reply] = "queued" }
        let words = (told[reply] ?? []).map(\.rawValue) + ["sent"]
        expected[reply] = Self.order.last { words.contains($0) }
    }
}
