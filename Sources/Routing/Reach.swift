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
    /// Every key whose leases may be this sender's, each reach once. `gateway.sender_reach` says the same, and knows more:
    /// a number whose holder shows another account id, or is in conflict with it, leads no further than to itself.
    func forEachReach(phone: PhoneKey?, account: AccountIdentity?, phoneScope: String, _ body: (Reach) -> Void) {
        let accountLinks = account.map(links(of:)) ?? []
        let facts = phone.flatMap { self.facts(of: $0, scope: phoneScope) }
        if facts == nil, accountLinks.isEmpty {
            if let phone { body(Reach(key: phone)) }
            return
        }
        var links = accountLinks
        links.append(contentsOf: facts?.links ?? [])
        // A number shown with the account id of somebody who left it is theirs as it was then: the message comes late.
        let leavers = links.filter { $0.key == phone && hasLeft($0, facts) }
        if let phone, leavers.isEmpty {
            let others = facts?.departures.filter { departure in !links.contains { $0.person == departure.person } }
            body(Reach(key: phone, learntFrom: others?.map(\.at).max()))
        }
        var seen: [Reach] = []
        for link in links where link.key != phone || leavers.contains(link) {
            let reach = reach(link, phoneScope: phoneScope)
            guard !seen.contains(reach) else { continue }
            seen.append(reach)
            body(reach)
        }
    }

    /// Whether somebody left a number and does not have it again.
    private func hasLeft(_ link: Link, _ facts: PhoneFacts?) -> Bool {
        guard let facts, !facts.links.contains(where: { $0.person == link.person }) else { return false }
        return facts.departures.contains { $0.person == link.person }
    }

    private func reach(_ link: Link, phoneScope: String) -> Reach {
        guard let facts = facts(of: link.key, scope: phoneScope) else { return Reach(key: link.key) }
        let isHolder = facts.links.contains { $0.person == link.person }
        let left = isHolder ? nil : facts.departures.filter { $0.person == link.person }.map(\.at).max()
        let before = facts.departures.filter { departure in
            departure.person != link.person && left.map { departure.at <= $0 } ?? true
        }
        return Reach(key: link.key, learntFrom: before.map(\.at).max(), learntBefore: left)
    }
}
