import Messaging

/// A key whose leases may be a sender's, and which of them are.
///
/// A lease that the landlord wrote down before a person left the number was meant for that person; one written down
/// since is its next holder's. So of a number that somebody left, each of the two sees one side.
struct Reach: Hashable, Sendable {
    var key: PhoneKey
    /// Leases learnt earlier are a former holder's.
    var learntFrom: Timestamp?
    /// Leases learnt at this moment or later are the next holder's.
    var learntBefore: Timestamp?

    func includes(_ learntAt: Timestamp) -> Bool {
        if let learntFrom, learntAt < learntFrom { return false }
        if let learntBefore, learntAt >= learntBefore { return false }
        return true
    }
}

extension IdentityIndex {
    /// Every key whose leases may be this sender's, each reach once.
    func forEachReach(phone: PhoneKey?, account: AccountIdentity?, phoneScope: String, _ body: (Reach) -> Void) {
        let links = account.map(links(of:)) ?? []
        let facts = phone.flatMap { self.facts(of: $0, scope: phoneScope) }
        if facts == nil, links.isEmpty {
            // Nearly every sender: a number, and nothing beyond it.
            if let phone { body(Reach(key: phone)) }
            return
        }
        var seen: [Reach] = []
        func visit(_ reach: Reach) {
            guard !seen.contains(reach) else { return }
            seen.append(reach)
            body(reach)
        }
        if let phone {
            visit(reach(phone, heldBy: facts?.links.first?.personID, facts: facts))
            for link in facts?.links ?? [] { visit(reach(link, phoneScope: phoneScope)) }
        }
        for link in links { visit(reach(link, phoneScope: phoneScope)) }
    }

    private func reach(_ link: Link, phoneScope: String) -> Reach {
        let facts = facts(of: link.key, scope: phoneScope)
        let hasReturned = facts?.links.contains { $0.personID == link.personID } ?? false
        let left = facts?.departures.filter { $0.personID == link.personID }.map(\.at).max()
        if let left, !hasReturned { return Reach(key: link.key, learntBefore: left) }
        return reach(link.key, heldBy: link.personID, facts: facts)
    }

    /// The number's own side: what was learnt since the last other person left it.
    private func reach(_ key: PhoneKey, heldBy person: UniqueID?, facts: PhoneFacts?) -> Reach {
        Reach(key: key, learntFrom: facts?.departures.filter { $0.personID != person }.map(\.at).max())
    }
}
