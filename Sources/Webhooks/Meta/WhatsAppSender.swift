import Messaging

/// A person of a change's `contacts`, read once for all of its messages.
private struct WhatsAppContact {
    private(set) var waID: JSONValue?
    private(set) var userID: JSONValue?
    private(set) var parentUserID: JSONValue?
    private(set) var displayName: String?
    private(set) var username: String?

    /// The longest name kept, in bytes. People choose it themselves.
    private static let nameLengthMax = 512

    init(_ contact: JSONValue) {
        var profile: JSONValue?
        for member in contact.members {
            switch member.key.textLength {
            case 5 where member.key.isText("wa_id"): waID = member.value
            case 7 where member.key.isText("user_id"): userID = member.value
            case 7 where member.key.isText("profile"): profile = member.value
            case 14 where member.key.isText("parent_user_id"): parentUserID = member.value
            default: continue
            }
        }
        guard let profile else { return }
        displayName = profile["name"]?.nonemptyText?.cut(Self.nameLengthMax)
        username = profile["username"]?.nonemptyText.flatMap(Self.bare)
    }

    /// A username comes with an `@` in front or without.
    private static func bare(_ username: String) -> String? {
        let bare = username.utf8.first == UInt8(ascii: "@") ? String(username.dropFirst()) : username
        return bare.isEmpty ? nil : bare.cut(nameLengthMax)
    }
}

/// The `contacts` of a change, to be paired with its messages by id: the lists need not be of one length or order.
struct WhatsAppContacts {
    private let contacts: [WhatsAppContact]
    /// For more contacts than a look through all of them is worth.
    private let byID: [String: Int]
    /// The one contact of a change with one message: it wrote it, also where the message shows no id.
    private let only: WhatsAppContact?

    private static let linearMax = 8

    /// - Parameter isOfOne: whether there is nothing but one message or status that a contact can be of.
    init(_ contacts: JSONValue?, isOfOne: @autoclosure () -> Bool = false) {
        let contacts = contacts?.elements.map(WhatsAppContact.init) ?? []
        self.contacts = contacts
        byID = contacts.count > Self.linearMax ? Self.index(contacts) : [:]
        only = contacts.count == 1 && isOfOne() ? contacts[0] : nil
    }

    private static func index(_ contacts: [WhatsAppContact]) -> [String: Int] {
        var byID: [String: Int] = [:]
        for (place, contact) in contacts.enumerated() {
            for id in [contact.waID, contact.userID, contact.parentUserID] {
                if let id = id?.scalarText, !id.isEmpty, byID[id] == nil { byID[id] = place }
            }
        }
        return byID
    }

    private func contact(of id: JSONValue) -> WhatsAppContact? {
        guard !id.isEmptyValue else { return nil }
        if !byID.isEmpty { return id.scalarText.flatMap { byID[$0] }.map { contacts[$0] } }
        return contacts.first { contact in
            contact.waID?.hasSameText(as: id) == true || contact.userID?.hasSameText(as: id) == true
                || contact.parentUserID?.hasSameText(as: id) == true
        }
    }

    /// The contact of a message that shows neither number nor id of a person: by the id of their parent, else the only
    /// one there is, unless it has another. An id that cannot be read still names somebody, maybe somebody else.
    private func contact(ofParent id: JSONValue?) -> WhatsAppContact? {
        guard let id, !id.isEmptyValue else { return only }
        return contact(of: id) ?? only.flatMap { $0.parentUserID?.isEmptyValue ?? true ? $0 : nil }
    }

    /// Everything a message and its contact say about the person it is from or to.
    /// - Parameters:
    ///   - from: a phone number, a business-scoped id, empty, `null` or absent.
    ///   - userID: the business-scoped id.
    func sender(from: JSONValue?, userID: JSONValue?, parentUserID: JSONValue?) -> Sender {
        var sender = Sender()
        sender.accountID = userID?.accountID
        sender.parentAccountID = parentUserID?.accountID
        sender.take(waID: from)
        var paired = from.flatMap(contact(of:)) ?? userID.flatMap(contact(of:))
        if paired == nil, from?.isEmptyValue ?? true, userID?.isEmptyValue ?? true {
            paired = contact(ofParent: parentUserID)
        }
        guard let contact = paired else { return sender }
        sender.accountID = sender.accountID ?? contact.userID?.accountID
        sender.parentAccountID = sender.parentAccountID ?? contact.parentUserID?.accountID
        sender.take(waID: contact.waID)
        sender.displayName = contact.displayName
        sender.username = contact.username
        return sender
    }
}

extension Sender {
    /// Takes what a `from` or `wa_id` says, unless it is known already.
    fileprivate mutating func take(waID value: JSONValue?) {
        guard let value else { return }
        if let phone = value.phone {
            self.phone = self.phone ?? phone
        } else if accountID == nil {
            accountID = value.scopedAccountID
        }
    }
}

extension JSONValue {
    /// Longer ones are no ids of Meta's: 135 characters are the most it speaks of, 256 in an early draft.
    private static let accountIDLengthMax = 256

    /// A business-, page- or Instagram-scoped id.
    var accountID: String? {
        content.count <= Self.accountIDLengthMax ? identifier : nil
    }

    /// A business-scoped id where a phone number is expected.
    var scopedAccountID: String? {
        isString && content.count <= Self.accountIDLengthMax && withCharacters(Self.isScopedID) ? accountID : nil
    }

    static func isScopedID(_ text: String) -> Bool {
        var text = text
        return text.utf8.count <= accountIDLengthMax && text.withUTF8(isScopedID)
    }

    /// `CC.` and what follows.
    private static func isScopedID(_ characters: UnsafeBufferPointer<UInt8>) -> Bool {
        characters.count > 3 && characters[2] == UInt8(ascii: ".")
            && characters[..<2].allSatisfy { $0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z") }
    }

    /// A `wa_id`: international digits without a plus sign. Anything else that is surely international is understood.
    var phone: PhoneNumber? {
        guard isString || isNumber, content.count <= Self.phoneLengthMax * JSONText.escapeLengthMax else { return nil }
        return withCharacters(Self.phone)
    }

    /// The longest form of a phone number that is understood, in bytes.
    private static let phoneLengthMax = 32

    private static func phone(_ characters: UnsafeBufferPointer<UInt8>) -> PhoneNumber? {
        guard (8...phoneLengthMax).contains(characters.count) else { return nil }
        let isBare = characters.count <= 15 && characters.allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
        if isBare, characters[0] != UInt8(ascii: "0") {
            return PhoneNumber(digits: characters.reduce(0) { $0 * 10 + UInt64($1 &- UInt8(ascii: "0")) })
        }
        let text = String(decoding: characters, as: UTF8.self)
        return text.hasPrefix("+") || text.hasPrefix("00") ? PhoneNumber(parsing: text) : nil
    }

    /// A number of ours as it is shown: international, in whatever form, the plus sign often left out.
    var displayedPhone: PhoneNumber? {
        guard content.count <= Self.phoneLengthMax * JSONText.escapeLengthMax, let text = scalarText,
            text.utf8.count <= Self.phoneLengthMax
        else { return nil }
        return PhoneNumber(parsing: text.hasPrefix("+") ? text : "+" + text)
    }
}
