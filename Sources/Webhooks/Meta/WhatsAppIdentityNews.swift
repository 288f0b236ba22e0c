import Messaging

/// The person at the other end of a message, and what the message says about their identities.
struct WhatsAppAuthor {
    private(set) var sender: Sender
    private(set) var identityChanges: [IdentityChange] = []

    init(sender: Sender) { self.sender = sender }

    /// Takes the identities that count from now on. The message is filed once its changes are applied: under the old
    /// ones it would be taken for one of whoever gets the number next.
    mutating func hear(_ news: WhatsAppIdentityNews?) {
        guard let news else { return }
        identityChanges = news.changes
        if let accountID = news.newAccountID {
            sender.phone = news.newPhone ?? sender.phone
            sender.accountID = accountID
            sender.parentAccountID = news.newParentAccountID
        } else if let phone = news.newPhone {
            // The id is made anew with the number: one that is not called new may be the old one, and must not be
            // learnt with the new number. Where the old number is hidden, it is all that says who wrote.
            if news.oldPhone == nil, sender.accountID != nil {
                sender.phone = nil
            } else {
                sender.phone = phone
                sender.accountID = nil
                sender.parentAccountID = nil
            }
        }
    }
}

/// A system message that a person took another number or was given another id.
///
/// `from` is the old number. The old id stands in one of four places, by edition: `previous_user_id`, `from_user_id`,
/// `from`, or in the body alone.
struct WhatsAppIdentityNews {
    /// `nil` where it is hidden.
    let oldPhone: PhoneNumber?
    let newPhone: PhoneNumber?
    let newAccountID: String?
    let newParentAccountID: String?
    private(set) var changes: [IdentityChange] = []

    /// - Returns: `nil` for other news, such as that a person's security code changed.
    init?(_ system: JSONValue, of fields: WhatsAppMessageFields) {
        guard let type = system["type"],
            type.isText("user_changed_number") || type.isText("customer_changed_number")
                || type.isText("user_changed_user_id")
        else { return nil }
        let place = [system["wa_id"], system["new_wa_id"]].lazy.compactMap { $0 }.first { !$0.isEmptyValue }
        newPhone = place?.phone
        newAccountID = system["user_id"]?.accountID ?? place?.scopedAccountID
        newParentAccountID = system["parent_user_id"]?.accountID
        oldPhone = fields.from?.phone ?? system["customer"]?.phone
        if let old = oldPhone, let new = newPhone, old.key != new.key {
            changes.append(.phone(from: old, to: new))
        }
        guard let new = newAccountID else { return }
        let told = [
            system["previous_user_id"]?.accountID, fields.fromUserID?.accountID, fields.from?.scopedAccountID,
        ]
        let old =
            told.lazy.compactMap { $0 }.first { $0 != new }
            ?? system["body"]?.text.flatMap { Self.old(in: $0, new: new) }
        if let old { changes.append(.account(from: old, to: new)) }
    }

    /// The old id in `User Ann changed from US.1 to US.2`. The name in front is the person's own choice and may hold
    /// anything, so only the last four words count, and the last of them must be the id that is told beside it.
    private static func old(in body: String, new: String) -> String? {
        let words = body.utf8.split(separator: UInt8(ascii: " ")).suffix(4).map { String(Substring($0)) }
        guard words.count == 4, words[0] == "from", words[2] == "to", words[3] == new || words[3] == new + "." else {
            return nil
        }
        let old = words[1]
        return old != new && JSONValue.isScopedID(old) ? old : nil
    }
}
