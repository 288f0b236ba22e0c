import Messaging

/// What identities say beyond their own digits: which keys a person's routes may be filed under, and who has left a
/// number.
struct IdentityIndex: Sendable {
    /// Routes filed under `key` may be this person's.
    struct Link: Hashable, Sendable, BitwiseCopyable {
        var person: Person
        var key: PhoneKey
    }

    /// Tells people apart; their ids themselves nobody asks for.
    struct Person: Hashable, Sendable, BitwiseCopyable {
        private let mixed: UInt64

        init(_ id: UniqueID) { mixed = (id.high &* 0x9E37_79B9_7F4A_7C15).byteSwapped ^ id.low }
    }

    /// A phone number in its trust domain.
    struct Phone: Hashable, Sendable {
        var scope: String
        var key: PhoneKey

        /// A number in several domains is rare.
        func hash(into hasher: inout Hasher) { hasher.combine(key.value) }
    }

    /// What is known of a phone number.
    struct PhoneFacts: Sendable {
        /// Of the person who has the number now; to the number itself where somebody has left it.
        var links: [Link] = []
        /// Who has left the number, and when: every time.
        var departures: [(person: Person, at: Timestamp)] = []
    }

    private var accounts: AccountIndex
    private var phones: OverlaidDictionary<Phone, PhoneFacts>

    var count: Int { accounts.count + phones.count }
    var changeCount: Int { accounts.changes.count + phones.changes.count }

    /// Bytes its entries take: for numbers, which are few, roughly.
    var byteCount: Int { accounts.byteCount + 150 * phones.count }

    init(accounts: AccountIndex = AccountIndex(), phones: [Phone: PhoneFacts] = [:]) {
        self.accounts = accounts
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
                index.accounts[AccountIndex.Key(identity)] = rows.compactMap { Link($0) }
            }
        }
        return index
    }

    func compacted() -> IdentityIndex { IdentityIndex(accounts: accounts.merged(), phones: phones.merged()) }

    /// Whether nothing is known of a sender beyond the number itself.
    @inline(__always)
    func knowsNothing(about phone: PhoneKey, _ account: AccountIdentity?, phoneScope: String) -> Bool {
        if phones.count > 0, facts(of: phone, scope: phoneScope) != nil { return false }
        guard accounts.count > 0, let account else { return true }
        return links(of: account).isEmpty
    }

    func links(of account: AccountIdentity) -> [Link] { accounts.links(of: account) }

    func facts(of key: PhoneKey, scope: String) -> PhoneFacts? { phones[Phone(scope: scope, key: key)] }

    /// Collects the rows of a full load.
    struct Builder {
        private var accounts: [AccountIndex.Entry] = []
        private var phones: [Phone: PhoneFacts] = [:]

        init() {}

        mutating func add(_ row: IdentityLink) {
            let identity = AccountIdentity(kind: row.kind, scope: row.scope, value: row.value)
            if row.kind == .phone {
                guard let phone = Phone(identity) else { return }
                phones[phone, default: PhoneFacts()].add(row)
            } else if let link = Link(row) {
                accounts.append(AccountIndex.Entry(key: AccountIndex.Key(identity), link: link))
            }
        }

        consuming func finish() -> IdentityIndex {
            IdentityIndex(accounts: AccountIndex(accounts), phones: phones)
        }
    }
}

extension IdentityIndex.Link {
    /// `nil` for a row that links to no key.
    init?(_ row: IdentityLink) {
        guard let key = row.routeKey else { return nil }
        self.init(person: IdentityIndex.Person(row.personID), key: key)
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
        if let at = row.movedAt { departures.append((IdentityIndex.Person(row.personID), at)) }
    }
}
