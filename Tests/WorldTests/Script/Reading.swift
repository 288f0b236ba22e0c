/// Steps as a person reads them.
extension Step: CustomStringConvertible {
    var description: String {
        let seconds = at - Generator.start
        return "day \(seconds / 86_400) \(seconds % 86_400 / 3600)h\(seconds / 60 % 60)m\(seconds % 60)s  \(action)"
    }
}

extension Action: CustomStringConvertible {
    var description: String {
        switch self {
        case .landlord(let event): "\(event)"
        case .post(let post):
            "post \(post.id) at \(post.place): \(post.updates.map(\.description).joined(separator: "; "))"
        case .refresh(let full): full ? "the table is loaded anew" : "the table is refreshed"
        case .settle: "what arrived is recorded"
        case .reply(let reply): "\(reply.id) answers \(reply.to)"
        case .answered(let reply): "\(reply) is accepted"
        case .block(let message): "the thread of \(message) is blocked"
        case .endpointKnown(let place): "\(place) becomes known"
        }
    }
}

extension Update: CustomStringConvertible {
    var description: String {
        switch self {
        case .message(let sent):
            "\(sent.name) by human \(sent.human), number \(sent.number?.description ?? "-"), id \(sent.account ?? "-"), "
                + "sent \(sent.at - Generator.start)s\(sent.quotes.map { ", quotes \($0)" } ?? "")"
        case .notice(let notice):
            "\(notice.name), notice of human \(notice.human): \(notice.change), "
                + "dated \(notice.at - Generator.start)s"
        case .status(let reply, let word, _): "\(reply) \(word.rawValue)"
        case .other: "another field"
        }
    }
}

extension LandlordEvent: CustomStringConvertible {
    var description: String {
        switch self {
        case .landlord(let id, let enabled): "\(id) arrives, \(enabled ? "on" : "off")"
        case .enabled(let id, let enabled): "\(id) switches \(enabled ? "on" : "off")"
        case .landlordGone(let id): "\(id) is gone"
        case .property(let id, let owner): "\(id) of \(owner)"
        case .sold(let id, let owner): "\(id) is sold to \(owner)"
        case .tenant(let id, let owner, let number, _): "\(id) of \(owner), number \(number)"
        case .tenantNumber(let id, let number, _): "\(id) has number \(number) now"
        case .tenantGone(let id): "\(id) is deleted"
        case .lease(let id, let row):
            "\(id): \(row.tenant) in \(row.property), \(Self.days(row.from, row.until)), \(row.isActive ? "active" : "ended")"
        case .leaseChanged(let id, let from, let until, let isActive):
            "\(id) is \(Self.days(from, until)), \(isActive ? "active" : "ended")"
        }
    }

    private static func days(_ from: Day?, _ until: Day?) -> String {
        func day(_ day: Day?) -> String { day.map { "day \($0 - Generator.start.day)" } ?? "open" }
        return "\(day(from)) to \(day(until))"
    }
}
