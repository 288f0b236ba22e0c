import Messaging
import Synchronization

/// A message the gateway sent to the twin.
struct SentMessage: Sendable {
    let wamid: String
    let phoneNumberID: String
    /// Digits, or a business-scoped id.
    let recipient: RecipientName
    let type: String
    let text: String?
    /// What can be tapped.
    let interactive: InteractiveMessage?
    let quotedMessageID: String?
    let callbackData: String?
    let acceptedAt: Timestamp
    /// Versions below 24 tell of conversations in their statuses.
    let hasConversation: Bool
    /// The statuses that went out so far.
    var statuses: [String] = []
}

/// Whom a call names.
enum RecipientName: Hashable, Sendable {
    /// Digits without plus.
    case phone(String)
    case accountID(String)

    var text: String {
        switch self {
        case .phone(let digits): digits
        case .accountID(let id): id
        }
    }

    var phone: String? { if case .phone(let digits) = self { digits } else { nil } }
    var accountID: String? { if case .accountID(let id) = self { id } else { nil } }
}

/// What the twin counts: `GET /twin/stats`.
struct TwinCounters: Sendable {
    var accepted = 0
    var refused = 0
    var webhooksPosted = 0
    var webhooksRetried = 0
    /// Given up after the last retry.
    var webhooksLost = 0
    var faultsPlayed = 0
}

/// What the twin knows: bounded, in memory alone.
final class TwinMemory: Sendable {
    private static let messagesMax = 10_000
    private static let windowSeconds: Int64 = 86_400
    private static let pairIntervalMicroseconds: Int64 = 6_000_000
    private static let pairBurst: Int64 = 45

    private struct Pair: Hashable {
        let phoneNumberID: String
        let recipient: RecipientName
    }

    private struct State {
        var sent: [SentMessage] = []
        /// Where the oldest message kept stands among all ever sent.
        var firstIndex = 0
        var indexByID: [String: Int] = [:]
        var lastInbound: [Pair: Timestamp] = [:]
        /// When the next message to a person would be due if they came evenly.
        var pairNext: [Pair: Timestamp] = [:]
        var faults: [Fault] = []
        var counters = TwinCounters()
    }

    private let state = Mutex(State())

    func count(_ counter: any WritableKeyPath<TwinCounters, Int> & Sendable) {
        state.withLock { $0.counters[keyPath: counter] += 1 }
    }

    var counters: TwinCounters { state.withLock { $0.counters } }

    // Sends.

    func remember(_ message: SentMessage) {
        state.withLock { state in
            state.indexByID[message.wamid] = state.firstIndex + state.sent.count
            state.sent.append(message)
            state.counters.accepted += 1
            // Dropped in lumps: one by one would move the rest each time.
            guard state.sent.count >= 2 * Self.messagesMax else { return }
            for old in state.sent.prefix(Self.messagesMax) { state.indexByID[old.wamid] = nil }
            state.sent.removeFirst(Self.messagesMax)
            state.firstIndex += Self.messagesMax
        }
    }

    func noteStatus(_ status: String, of wamid: String) {
        state.withLock { state in
            guard let index = state.indexByID[wamid] else { return }
            state.sent[index - state.firstIndex].statuses.append(status)
        }
    }

    func message(_ wamid: String) -> SentMessage? {
        state.withLock { state in state.indexByID[wamid].map { state.sent[$0 - state.firstIndex] } }
    }

    /// The newest, oldest of them first.
    func messages(limit: Int) -> [SentMessage] {
        state.withLock { Array($0.sent.suffix(limit)) }
    }

    /// The newest that this person can tap something in.
    func question(to recipients: [RecipientName]) -> SentMessage? {
        state.withLock { state in
            state.sent.last { recipients.contains($0.recipient) && $0.interactive?.options.isEmpty == false }
        }
    }

    // The window.

    func noteInbound(from recipients: [RecipientName], to phoneNumberID: String, at now: Timestamp) {
        state.withLock { state in
            for recipient in recipients {
                let pair = Pair(phoneNumberID: phoneNumberID, recipient: recipient)
                state.lastInbound[pair] = max(state.lastInbound[pair] ?? now, now)
            }
        }
    }

    func isInWindow(
        _ recipient: RecipientName, of phoneNumberID: String, at now: Timestamp, window: TwinConfiguration.Window
    ) -> Bool {
        let last = state.withLock { $0.lastInbound[Pair(phoneNumberID: phoneNumberID, recipient: recipient)] }
        guard let last else { return window == .lenient }
        return now < last.advanced(bySeconds: Self.windowSeconds)
    }

    /// Takes one message off the person's allowance.
    func takesPairRate(_ recipient: RecipientName, of phoneNumberID: String, at now: Timestamp) -> Bool {
        state.withLock { state in
            let pair = Pair(phoneNumberID: phoneNumberID, recipient: recipient)
            let next = max(state.pairNext[pair]?.microseconds ?? now.microseconds, now.microseconds)
            let lead = next - now.microseconds
            guard lead <= (Self.pairBurst - 1) * Self.pairIntervalMicroseconds else { return false }
            state.pairNext[pair] = Timestamp(microseconds: next + Self.pairIntervalMicroseconds)
            return true
        }
    }

    // Faults.

    func plan(_ faults: [Fault]) {
        state.withLock { $0.faults += faults }
    }

    func forgetFaults() {
        state.withLock { $0.faults = [] }
    }

    func nextFault() -> Fault? {
        state.withLock { state in
            guard !state.faults.isEmpty else { return nil }
            state.counters.faultsPlayed += 1
            return state.faults.removeFirst()
        }
    }
}

/// Something that goes wrong on purpose with a call to the Graph side.
enum Fault: Sendable {
    /// An error answer with this code.
    case error(GraphError)
    /// A `failed` status after a good answer.
    case failed(GraphError)
    /// No answer at all, until the caller gives up. `isAccepted`: the message is taken nevertheless, and its statuses
    /// come.
    case timeout(isAccepted: Bool)
    /// The connection is closed instead of an answer.
    case drop(isAccepted: Bool)
    /// A status without an error object.
    case plain(status: Int, isAccepted: Bool)
    /// 200 without a message id.
    case noID(isAccepted: Bool)
    /// 200 with a body of 1 MiB.
    case oversize(isAccepted: Bool)
    /// A good answer, but late.
    case slow(Duration)
}
