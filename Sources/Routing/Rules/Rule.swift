package import Messaging

/// One rule of an administrator: when it applies, and what it orders then.
package struct Rule: Hashable, Sendable {
    /// Unique among all rules; stands in `routing_metadata` of the messages it decided.
    package var name: String
    package var condition: RuleCondition
    package var actions: [RuleAction]
    /// The rules below are looked at, too. Without it the first rule that matches is the last.
    package var continues: Bool
    /// Where it stands: `stop-words.yaml:12`.
    package var place: String

    package init(
        name: String, condition: RuleCondition, actions: [RuleAction], continues: Bool = false, place: String
    ) {
        self.name = name
        self.condition = condition
        self.actions = actions
        self.continues = continues
        self.place = place
    }

    /// In bytes.
    package static let nameLengthMax = 64

    /// Whether rules, and the endpoints they name, may be called so: letters, digits, `-` and `_`.
    package static func isName(_ text: String) -> Bool {
        (1...nameLengthMax).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}

/// What a rule asks of a message. Everything that is given must hold; of a list, one.
package struct RuleCondition: Hashable, Sendable {
    package var channels: Set<RuleChannel> = []
    /// Provider ids of endpoints.
    package var endpoints: Set<String> = []
    package var states: Set<RouteState> = []
    package var keywords: [Keyword] = []
    /// The provider's words: `text`, `image`, …
    package var types: Set<String> = []
    package var time: TimeWindow?
    package var landlords: Set<UniqueID> = []
    package var properties: Set<UniqueID> = []
    package var businesses: Set<UniqueID> = []

    package init() {}
}

/// What a message came by, as people say it.
package enum RuleChannel: String, Sendable, CaseIterable {
    case whatsApp = "whatsapp"
    case messenger
    case instagram
    /// WhatsApp by a session server.
    case vps

    package init(_ kind: EndpointKind) {
        switch kind {
        case .cloud: self = .whatsApp
        case .messenger: self = .messenger
        case .instagram: self = .instagram
        case .vpsSession: self = .vps
        }
    }
}

/// What the ladder found out about a sender before rules are asked.
package enum RouteState: String, Sendable, CaseIterable {
    /// One landlord is meant, and takes messages.
    case known
    /// Nobody has this sender.
    case unknown
    /// Several landlords could be meant.
    case ambiguous
    /// One landlord is meant, by a lease in its days of grace or a thread that outlived its lease.
    case ended
    /// One landlord is meant, and has switched WhatsApp off.
    case landlordOff = "landlord_off"
}

/// A part of the week in local time.
package struct TimeWindow: Hashable, Sendable {
    /// A name of the IANA time zone database: `Europe/London`.
    package var zone: String
    /// Monday is 0.
    package var days: Set<Int>
    /// Minutes since midnight. An end before the beginning goes on into the next day, which counts as the day it
    /// began on.
    package var from: Int
    package var to: Int
    /// Everything but this window is meant.
    package var isOutside: Bool

    package init(zone: String, days: Set<Int>, from: Int, to: Int, isOutside: Bool = false) {
        self.zone = zone
        self.days = days
        self.from = from
        self.to = to
        self.isOutside = isOutside
    }

    /// - Parameter secondsFromUTC: of the zone at that moment.
    package func contains(_ moment: Timestamp, secondsFromUTC: Int) -> Bool {
        let local = moment.advanced(bySeconds: Int64(secondsFromUTC))
        let days = Int(local.day.daysSince1970)
        let minute = Int((local.seconds - Int64(days) * 86_400) / 60)
        // 1970-01-01 was a Thursday.
        let today = ((days + 3) % 7 + 7) % 7
        let yesterday = (today + 6) % 7
        let isInside =
            if from < to {
                self.days.contains(today) && minute >= from && minute < to
            } else {
                self.days.contains(today) && minute >= from || self.days.contains(yesterday) && minute < to
            }
        return isInside != isOutside
    }
}

/// What a rule orders. The recorder writes it in the statement that records the message.
package enum RuleAction: Hashable, Sendable {
    /// Answers the sender with a text.
    case reply(String)
    /// Answers with an approved template.
    case replyTemplate(name: String, language: String)
    /// Gives the message to a landlord, if they are among its candidates or nobody is.
    case assign(UniqueID)
    /// Asks the sender which landlord is meant.
    case ask
    /// Waits for an administrator.
    case hold
    case tag(String)
    /// Before others in lists and notifications.
    case raisePriority
    /// Tells the administrators, under this subject.
    case notify(String)
    /// Passes the message on to the downstream endpoint of this name.
    case forward(String)
    case optOut
    case optIn
    /// Recorded as always, and not passed on to the landlord.
    case withhold

    /// Whether it says where the message goes: one rule orders at most one of these.
    package var isDestination: Bool {
        switch self {
        case .assign, .ask, .hold: true
        default: false
        }
    }
}

/// What rules are asked about: a message, and what the ladder found out about its sender.
package struct RuleSubject: Sendable {
    package var channel: RuleChannel
    package var endpoint: String
    package var state: RouteState
    package var type: String
    package var text: String?
    package var at: Timestamp
    /// Of the landlord who is meant, or of all who could be.
    package var landlords: [UniqueID]
    package var properties: [UniqueID]
    package var business: UniqueID?

    package init(
        channel: RuleChannel, endpoint: String, state: RouteState, type: String, text: String?, at: Timestamp,
        landlords: [UniqueID] = [], properties: [UniqueID] = [], business: UniqueID? = nil
    ) {
        self.channel = channel
        self.endpoint = endpoint
        self.state = state
        self.type = type
        self.text = text
        self.at = at
        self.landlords = landlords
        self.properties = properties
        self.business = business
    }
}
