import Messaging
import Routing

/// What the messages of a batch show about identities that the routing table does not know.
///
/// A message that shows a number and an account id together teaches that they are one person's, and so does a status, of
/// whom our message went to. A later message that shows one of the two, and not the other, is to be decided with that:
/// once the teacher is recorded the database knows, and only then, for a message that was recorded before teaches nothing.
struct TaughtIdentities {
    private struct Phone: Hashable {
        let scope: String
        let key: PhoneKey
    }

    private let table: RoutingTable
    /// The table may be too old to say who has what: every pair is news.
    private let asksDatabase: Bool
    /// What was taught.
    private var accounts: [Phone: AccountIdentity] = [:]
    private var taughtAccounts: Set<AccountIdentity> = []
    /// Numbers that were taught, and those of their accounts as far as known: their holders may be others now.
    private var taughtPhones: Set<Phone> = []
    /// Identities that messages showed, whoever's they are, and the numbers known of the accounts among them.
    private var shownAccounts: Set<AccountIdentity> = []
    private var shownPhones: Set<Phone> = []

    init(table: RoutingTable, asksDatabase: Bool) {
        self.table = table
        self.asksDatabase = asksDatabase
    }

    /// Takes up what an update shows.
    /// - Returns: whether an earlier one teaches something about its sender, or it about the sender of an earlier one:
    ///   then nothing of it was taken up.
    mutating func follows(_ update: InboundEvent) -> Bool {
        guard let shown = update.shownPerson, let endpoint = table.endpoint(shown.endpoint) else { return false }
        let account = shown.person.account(at: endpoint)
        let phone = shown.person.phone.map { Phone(scope: endpoint.phoneScope, key: $0.key) }
        if let account, let phone, accounts[phone] == account { return false }
        let known = (account.map { table.phones(of: $0) } ?? []).map { Phone(scope: endpoint.phoneScope, key: $0) }
        func isAmong(_ phones: Set<Phone>, _ accounts: Set<AccountIdentity>) -> Bool {
            account.map(accounts.contains) ?? false || phone.map(phones.contains) ?? false
                || known.contains(where: phones.contains)
        }
        // A number of theirs was shown as another's, or an account of theirs with another number: what is filed under
        // it may be that one's by now, and one person may have become of two.
        if !accounts.isEmpty, isAmong(taughtPhones, taughtAccounts) { return true }
        if let account, let phone, asksDatabase || !table.knows(account, has: phone.key, at: endpoint) {
            // What it teaches may make one person of two, of whom an earlier message shows one.
            if isAmong(shownPhones, shownAccounts) { return true }
            accounts[phone] = account
            taughtAccounts.insert(account)
            taughtPhones.insert(phone)
            taughtPhones.formUnion(known)
        }
        if let account { shownAccounts.insert(account) }
        if let phone { shownPhones.insert(phone) }
        shownPhones.formUnion(known)
        return false
    }
}

/// A part of a webhook that is recorded before what follows it is decided.
enum RecordingStep: Hashable, Sendable {
    /// What one message announces about its sender's identities.
    case changes(Int)
    case updates(Range<Int>)
}

extension DecodedEntry {
    /// The steps this webhook takes: one, unless something in it hangs on what comes before it.
    /// - Parameter asksDatabase: the table may be too old to say who has what.
    func steps(table: RoutingTable, asksDatabase: Bool = false) -> [RecordingStep] {
        var steps: [RecordingStep] = []
        var start = 0
        var taught = TaughtIdentities(table: table, asksDatabase: asksDatabase)
        for (index, update) in webhook.updates.enumerated() {
            let isChange = update.identityChanges.isEmpty == false
            guard taught.follows(update) || isChange else { continue }
            if start < index { steps.append(.updates(start..<index)) }
            if isChange { steps.append(.changes(index)) }
            start = index
            taught = TaughtIdentities(table: table, asksDatabase: asksDatabase)
            _ = taught.follows(update)
        }
        if start < webhook.updates.count || steps.isEmpty { steps.append(.updates(start..<webhook.updates.count)) }
        return steps
    }

    /// Every update a step of its own.
    var stepsApart: [RecordingStep] {
        webhook.updates.indices.flatMap { index -> [RecordingStep] in
            let changes = webhook.updates[index].identityChanges.isEmpty ? [] : [RecordingStep.changes(index)]
            return changes + [.updates(index..<index + 1)]
        }
    }
}

extension InboundEvent {
    /// Whom an update shows that is decided or learnt by; of a status only a recipient with a number and an account id.
    fileprivate var shownPerson: (person: Sender, endpoint: EndpointReference)? {
        switch self {
        case .message(let message): return (message.sender, message.endpoint)
        case .status(let status):
            guard let recipient = status.recipient, recipient.phone != nil, recipient.accountID != nil else {
                return nil
            }
            return (recipient, status.endpoint)
        default: return nil
        }
    }

    /// What a message announces about its sender's identities.
    var identityChanges: [IdentityChange] {
        guard case .message(let message) = self else { return [] }
        return message.identityChanges
    }
}

extension ArraySlice<DecodedEntry> {
    /// How many entries from the first one on can be decided and recorded together; at least one.
    /// - Parameter asksDatabase: the table may be too old to say who has what.
    func countTogether(table: RoutingTable, asksDatabase: Bool = false) -> Int {
        var taught = TaughtIdentities(table: table, asksDatabase: asksDatabase)
        for (offset, entry) in enumerated() {
            let isAlone = entry.webhook.updates.contains { !$0.identityChanges.isEmpty || taught.follows($0) }
            if isAlone { return Swift.max(1, offset) }
        }
        return count
    }
}
