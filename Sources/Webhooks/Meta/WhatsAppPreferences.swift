import Messaging

extension MetaReading {
    /// What people said to WhatsApp's own switch for marketing; `nil` where a change holds none of it.
    ///
    /// Wishes must not be lost, and a change of them is one update: where one cannot be read, all are kept as they are.
    func whatsAppPreferences(_ change: WhatsAppChange) throws(Refusal) -> InboundEvent? {
        guard let list = change.preferences, !list.isNull else { return nil }
        guard list.isArray else { throw Refusal(.badField, "user_preferences is not a list") }
        if list.elements.isEmpty { return nil }
        let endpoint = try change.requireEndpoint()
        let contacts = WhatsAppContacts(change.contacts, isOfOne: change.holdsOne)
        var wishes: [MarketingPreference.Wish] = []
        for element in list.elements { wishes.append(try wish(element, contacts)) }
        return .preference(MarketingPreference(endpoint: endpoint, wishes: wishes))
    }

    private func wish(
        _ element: JSONValue, _ contacts: WhatsAppContacts
    ) throws(Refusal) -> MarketingPreference.Wish {
        guard element.isObject else { throw Refusal(.badField, "a preference is not an object") }
        let person = contacts.sender(
            from: element["wa_id"], userID: element["user_id"], parentUserID: element["parent_user_id"])
        guard !person.isKnownByNothing else {
            throw Refusal(
                of: element["wa_id"] ?? element["user_id"], "a preference is nobody's",
                "whose a preference is, neither a phone nor an id says")
        }
        let lengthMax = WhatsAppContent.typeLengthMax
        guard let value = element["value"], value.isString, let word = value.shortText(lengthMax) else {
            throw Refusal(of: element["value"], "a preference has no value", "a preference's value is not a text")
        }
        return MarketingPreference.Wish(
            sender: person, category: element["category"]?.shortText(lengthMax) ?? "unknown", value: word,
            at: time(element["timestamp"]))
    }
}
