import Messaging

/// What identities say beyond their own digits: which keys a person's routes may be filed under, and who has left a
/// number.
struct IdentityIndex: Sendable {
    /// Routes filed under `key` may be this person's.
    struct Link: Hashable, Sendable {
        var personID: UniqueID
        var key: PhoneKey
    }

    /// A phone number in its trust domain.
    struct Phone: Hashable, Sendable {
        var scope: String
        var key: PhoneKey
    }

    /// What is known of a phone number.
    struct PhoneFacts: Sendable {
        /// Of the person who has the number now; to the number itself where somebody has left it.
        var links: [Link] = []
        /// Who has left the number, and when: every time.
        var departures: [(personID: UniqueID, at: Timestamp)] = []
    }

    private var accounts: OverlaidDictionary<AccountIdentity, [Link]>
    private var phones: OverlaidDictionary<Phone, PhoneFacts>

    var count: Int { accounts.count + phones.count }
    var changeCount: Int { accounts.changes.count + phones.changes.count }

    /// Bytes its entries take, roughly: they are kept in dictionaries, with their texts beside them.
    var byteCount: Int { 170 * accounts.count + 150 * phones.count }

    init(accounts: [AccountIdentity: [Link]] = [:], phones: [Phone: PhoneFacts] = [:]) {
        self.accounts = OverlaidDictionary(accounts)
        self.phones = OverlaidDictionary(phones)
    }

    /// With all that holds now for some identities; no rows = nothing is known of one any more.
    func applying(_ changes: [AccountIdentity: [IdentityLink]]) -> IdentityIndex {
        var index = self
        for (identity, rows) in changes {
            if identity.kind == .phone {
                guard let phone = Phone(identity) else { continue }
                index.phones[phone] = PhoneFacts(rows)
            } else {
                let links = rows.compactMap { Link($0) }
                index.accounts[identity] = links.isEmpty ? nil : links
            }
        }
        return index
    }

    func compacted() -> IdentityIndex { IdentityIndex(accounts: accounts.merged(), phones: phones.merged()) }

    func links(of account: AccountIdentity) -> [Link] { accounts[account] ?? [] }

    func facts(of key: PhoneKey, scope: String) -> PhoneFacts? { phones[Phone(scope: scope, key: key)] }

    /// Collects the rows of a full load.
    struct Builder {
        private var accounts: [AccountIdentity: [Link]] = [:]
        private var phones: [Phone: PhoneFacts] = [:]

        init() {}

        mutating func add(_ row: IdentityLink) {
            let identity = AccountIdentity(kind: row.kind, scope: row.scope, value: row.value)
            if row.kind == .phone {
                guard let phone = Phone(identity) else { return }
                phones[phone, default: PhoneFacts()].add(row)
            } else if let link = Link(row) {
                accounts[identity, default: []].append(link)
            }
        }

        consuming func finish() -> IdentityIndex { IdentityIndex(accounts: accounts, phones: phones) }
    }
}

extension IdentityIndex.Link {
    /// `nil` for a row that links to no key.
    init?(_ row: IdentityLink) {
        guard let key = row.routeKey else { return nil }
        self.init(personID: row.personID, key: key)
    }
}

extension IdentityIndex.Phone {
    /// `nil` for a value that is no number: nothing can be filed under it.
    init?(_ identity: AccountIdentity) {
        guard let value = UInt64(identity.value) else { return nil }
        self.init(scope: identity.scope, key: PhoneKey(folded: value))
    }
}

extension IdentityIndex.PhoneFacts {
    init?(_ rows: [IdentityLink]) {
        guard !rows.isEmpty else { return nil }
        self.init()
        for row in rows { add(row) }
    }

    mutating func add(_ row: IdentityLink) {
        if let link = IdentityIndex.Link(row) { links.append(link) }
        if let at = row.movedAt { departures.append((row.personID, at)) }
    }
}
