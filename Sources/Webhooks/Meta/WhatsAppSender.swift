import Messaging

/// The `contacts` of a change, to be paired with its messages by id: the lists need not be of one length or order.
struct WhatsAppContacts {
    private let contacts: JSONValue?
    /// For more contacts than a look through all of them is worth.
    private let byID: [String: JSONValue]
    /// The one contact of a change with one message: it wrote it, also where the ids do not say so.
    private let only: JSONValue?

    private static let linearMax = 8

    init(_ contacts: JSONValue?, messages: JSONValue) {
        self.contacts = contacts
        guard let contacts else {
            byID = [:]
            only = nil
            return
        }
        let count = contacts.elements.prefix(Self.linearMax + 1).reduce(0) { total, _ in total + 1 }
        byID = count > Self.linearMax ? Self.index(contacts) : [:]
        let isPair = count == 1 && messages.elements.prefix(2).reduce(0) { total, _ in total + 1 } == 1
        only = isPair ? contacts.elements.first { _ in true } : nil
    }

    private static func index(_ contacts: JSONValue) -> [String: JSONValue] {
        var byID: [String: JSONValue] = [:]
        for contact in contacts.elements {
            for key in ["wa_id", "user_id"] as [StaticString] {
                if let id = contact[key]?.scalarText, !id.isEmpty, byID[id] == nil { byID[id] = contact }
            }
        }
        return byID
    }

    private func contact(of id: JSONValue) -> JSONValue? {
        guard let contacts, !id.isEmptyValue else { return nil }
        if !byID.isEmpty { return id.scalarText.flatMap { byID[$0] } }
        for contact in contacts.elements {
            for member in contact.members where member.key.isText("wa_id") || member.key.isText("user_id") {
                if member.value.hasSameText(as: id) { return contact }
            }
        }
        return nil
    }

    /// Everything a message and its contact say about who wrote it.
    /// - Parameters:
    ///   - from: a phone number, a business-scoped id, empty, `null` or absent.
    ///   - userID: the business-scoped id.
    func sender(from: JSONValue?, userID: JSONValue?, parentUserID: JSONValue?) -> Sender {
        var sender = Sender()
        sender.take(waID: from)
        if let id = userID?.accountID { sender.accountID = id }
        sender.parentAccountID = parentUserID?.accountID
        let paired = from.flatMap(contact(of:)) ?? userID.flatMap(contact(of:))
        guard let contact = paired ?? (sender.isKnownByNothing ? only : nil) else { return sender }
        for member in contact.members {
            switch member.key.textLength {
            case 5 where member.key.isText("wa_id"): sender.take(waID: member.value)
            case 7 where member.key.isText("user_id"): sender.accountID = sender.accountID ?? member.value.accountID
            case 7 where member.key.isText("profile"): sender.take(profile: member.value)
            case 14 where member.key.isText("parent_user_id"):
                sender.parentAccountID = sender.parentAccountID ?? member.value.accountID
            default: continue
            }
        }
        return sender
    }
}

extension Sender {
    /// The longest name kept, in bytes. People choose it themselves.
    private static let nameLengthMax = 512

    /// Takes what a `from` or `wa_id` says, unless it is known already.
    fileprivate mutating func take(waID value: JSONValue?) {
        guard let value else { return }
        if let phone = value.phone {
            self.phone = self.phone ?? phone
        } else if value.isScopedID {
            accountID = accountID ?? value.accountID
        }
    }

    fileprivate mutating func take(profile: JSONValue) {
        for member in profile.members {
            if member.key.isText("name") {
                displayName = member.value.nonemptyText.map(Self.bounded)
            } else if member.key.isText("username") {
                username = member.value.nonemptyText.map(Self.bounded)
            }
        }
    }

    private static func bounded(_ name: String) -> String {
        guard name.utf8.count > nameLengthMax else { return name }
        var end = name.utf8.index(name.startIndex, offsetBy: nameLengthMax)
        while end.samePosition(in: name.unicodeScalars) == nil { end = name.utf8.index(before: end) }
        return String(name[..<end])
    }
}

extension JSONValue {
    /// Longer ones are no ids of Meta's: 135 characters are the most it speaks of, 256 in an early draft.
    private static let accountIDLengthMax = 256

    fileprivate var accountID: String? {
        content.count <= Self.accountIDLengthMax ? identifier : nil
    }

    /// `CC.` and what follows: a business-scoped id where a phone number is expected.
    fileprivate var isScopedID: Bool {
        isString
            && withCharacters { characters in
                characters.count > 3 && characters[2] == UInt8(ascii: ".")
                    && characters[..<2].allSatisfy { $0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z") }
            }
    }

    /// A `wa_id`: international digits without a plus sign. Anything else that is surely international is understood, too.
    fileprivate var phone: PhoneNumber? {
        isString || isNumber ? withCharacters(Self.phone) : nil
    }

    private static func phone(_ characters: UnsafeBufferPointer<UInt8>) -> PhoneNumber? {
        guard (8...32).contains(characters.count) else { return nil }
        let isBare = characters.count <= 15 && characters.allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
        if isBare, characters[0] != UInt8(ascii: "0") {
            return PhoneNumber(digits: characters.reduce(0) { $0 * 10 + UInt64($1 &- UInt8(ascii: "0")) })
        }
        let text = String(decoding: characters, as: UTF8.self)
        return text.hasPrefix("+") || text.hasPrefix("00") ? PhoneNumber(parsing: text) : nil
    }
}
