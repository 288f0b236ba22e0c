import Messaging

/// A member of a change's value, or a member of that; a list on the way stands for its first element.
private struct Place: ExpressibleByStringLiteral {
    private let name: StaticString
    private let inner: StaticString?

    init(stringLiteral name: StaticString) {
        self.name = name
        inner = nil
    }

    init(_ name: StaticString, _ inner: StaticString) {
        self.name = name
        self.inner = inner
    }

    func value(in value: JSONValue) -> JSONValue? {
        guard let found = value[name] else { return nil }
        guard let inner else { return found }
        return found.isArray ? found.elements.first { _ in true }?[inner] : found[inner]
    }
}

/// A field that brings news about an account, and where in a change's value they stand: of several places the first
/// that holds something.
private struct WhatsAppAccountField {
    let name: StaticString
    var event: [Place] = ["event"]
    var subject: [Place] = []
    var detail: [Place] = []

    static let all = [
        WhatsAppAccountField(
            name: "account_update", subject: ["phone_number"],
            detail: [
                Place("ban_info", "waba_ban_state"), Place("restriction_info", "restriction_type"),
                Place("violation_info", "violation_type"),
                Place("volume_tier_info", "tier"), Place("partner_client_certification_info", "status"),
                Place("waba_info", "partner_app_id"),
                "country",
            ]),
        WhatsAppAccountField(name: "account_review_update", event: ["decision"], detail: ["rejection_reason"]),
        WhatsAppAccountField(
            name: "account_alerts", event: [Place("alert_info", "alert_type"), "alert_type"], subject: ["entity_id"],
            detail: [
                Place("alert_info", "alert_status"), Place("alert_info", "alert_severity"), "alert_status",
                "alert_severity",
            ]),
        WhatsAppAccountField(
            name: "business_capability_update",
            detail: [
                "max_daily_conversations_per_business", "max_daily_conversation_per_phone",
                "max_phone_numbers_per_waba",
            ]),
        WhatsAppAccountField(
            name: "business_username_update", event: ["status"], subject: ["display_phone_number"],
            detail: ["username"]),
        // The same by the name it had in drafts.
        WhatsAppAccountField(
            name: "phone_number_username_update", event: ["status"], subject: ["display_phone_number"],
            detail: ["username"]),
        WhatsAppAccountField(
            name: "phone_number_name_update", event: ["decision"], subject: ["display_phone_number"],
            detail: ["rejection_reason"]),
        WhatsAppAccountField(
            name: "phone_number_quality_update", subject: ["display_phone_number"],
            detail: ["current_limit", "max_daily_conversations_per_business"]),
        WhatsAppAccountField(name: "security", subject: ["display_phone_number"], detail: ["requester"]),
        WhatsAppAccountField(
            name: "message_template_status_update", event: ["event", "new_quality_score"],
            subject: ["message_template_id"],
            detail: [
                "reason", Place("rejection_info", "reason"), Place("disable_info", "disable_date"),
                Place("other_info", "title"),
            ]),
        WhatsAppAccountField(
            name: "message_template_quality_update", event: ["new_quality_score"], subject: ["message_template_id"],
            detail: ["previous_quality_score"]),
        WhatsAppAccountField(
            name: "message_template_components_update", subject: ["message_template_id"],
            detail: ["message_template_name"]),
        WhatsAppAccountField(
            name: "template_category_update", event: ["correct_category", "new_category"],
            subject: ["message_template_id"], detail: ["previous_category", "new_category"]),
        WhatsAppAccountField(name: "flows", subject: ["flow_id"], detail: ["new_status", "alert_state"]),
        WhatsAppAccountField(
            name: "payment_configuration_update", event: ["status"], subject: ["configuration_name"],
            detail: ["provider_name"]),
        WhatsAppAccountField(name: "partner_solutions", subject: ["solution_id"], detail: ["solution_status"]),
    ]

    static func named(_ field: JSONValue?) -> WhatsAppAccountField? {
        guard let field, field.isString else { return nil }
        return all.first { field.isText($0.name) }
    }
}

extension MetaReading {
    /// Whether a change of that field must be an object to be understood.
    static func isUnderstood(_ field: JSONValue?) -> Bool {
        if WhatsAppAccountField.named(field) != nil { return true }
        let others: [StaticString] = ["messages", "history", "smb_message_echoes", "user_preferences"]
        return field.map { field in field.isString && others.contains { field.isText($0) } } ?? false
    }

    /// News about an account, named by the id of the WhatsApp business account; `nil` for any other field.
    func whatsAppAccountUpdate(_ change: WhatsAppChange) throws(Refusal) -> InboundEvent? {
        guard let field = WhatsAppAccountField.named(change.field) else { return nil }
        // Where a partner is told about a customer, the entry is the partner's own business.
        let ids = [change.value["waba_info"]?["waba_id"], change.entry.id]
        guard let accountID = ids.lazy.compactMap({ $0?.identifier }).first else {
            throw Refusal(.missingField, "no id of an account: neither waba_info.waba_id nor the entry's id")
        }
        func first(_ places: [Place]) -> String? {
            for place in places {
                if let value = place.value(in: change.value), !value.isText("NONE"),
                    let text = value.shortText(Self.accountTextLengthMax)
                {
                    return text
                }
            }
            return nil
        }
        return .account(
            AccountUpdate(
                accountID: accountID, field: field.name.description, event: first(field.event),
                subject: first(field.subject), detail: first(field.detail), at: time(change.entry.time)))
    }

    private static let accountTextLengthMax = 256
}
