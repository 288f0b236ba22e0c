import Messaging
import Testing

@testable import Webhooks

/// Changes that are about an account, and wishes about marketing.
@Suite struct WhatsAppAccountFieldTests {
    private func account(_ field: String, _ value: String, entry: String = #""id":"9","time":77"#) -> InboundEvent? {
        let change = #"{"field":"\#(field)","value":{\#(value)}}"#
        let body = #"{"object":"whatsapp_business_account","entry":[{\#(entry),"changes":[\#(change)]}]}"#
        let updates = decode(body).updates
        return updates.count == 1 ? updates[0] : nil
    }

    /// Field and value → account, event, subject, detail.
    @Test(
        arguments: [
            ("account_update", #""event":"PARTNER_REMOVED","phone_number":"155""#, "9", "PARTNER_REMOVED", "155", nil),
            ("account_update", #""event":"PARTNER_ADDED","waba_info":{"waba_id":"5"}"#, "5", "PARTNER_ADDED", nil, nil),
            (
                "account_update", #""event":"PARTNER_APP_UNINSTALLED","waba_info":{"waba_id":5,"partner_app_id":"8"}"#,
                "5", "PARTNER_APP_UNINSTALLED", nil, "8"
            ),
            (
                "account_update", #""event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"REINSTATE"}"#, "9",
                "DISABLED_UPDATE", nil, "REINSTATE"
            ),
            (
                "account_update",
                #""event":"ACCOUNT_RESTRICTION","restriction_info":[{"restriction_type":"R"},{}],"violation_info":{}"#,
                "9", "ACCOUNT_RESTRICTION", nil, "R"
            ),
            ("account_update", #""event":5"#, "9", "5", nil, nil), ("account_update", #""x":1"#, "9", nil, nil, nil),
            ("account_review_update", #""decision":"APPROVED""#, "9", "APPROVED", nil, nil),
            (
                "account_alerts",
                #""entity_id":1,"alert_info":{"alert_type":"T","alert_severity":"S","alert_status":"A"}"#, "9", "T",
                "1", "A"
            ),
            ("account_alerts", #""entity_id":1,"alert_type":"T","alert_severity":"S""#, "9", "T", "1", "S"),
            ("account_alerts", #""alert_info":null,"alert_type":"T","alert_status":"A""#, "9", "T", nil, "A"),
            (
                "phone_number_username_update", #""display_phone_number":"155","username":"u","status":"reserved""#,
                "9", "reserved", "155", "u"
            ),
            (
                "message_template_components_update",
                #""message_template_id":7,"message_template_name":"n","message_template_element":"x""#, "9", nil, "7",
                "n"
            ),
            (
                "partner_solutions", #""event":"SOLUTION_CREATED","solution_id":"8","solution_status":"ACTIVE""#, "9",
                "SOLUTION_CREATED", "8", "ACTIVE"
            ),
            (
                "payment_configuration_update",
                #""configuration_name":"c","provider_name":"p","status":"Needs Testing""#, "9", "Needs Testing", "c",
                "p"
            ),
            (
                "message_template_status_update",
                #""event":"DISABLED","message_template_id":7,"reason":"NONE","disable_info":{"disable_date":"1765500000"}"#,
                "9", "DISABLED", "7", "1765500000"
            ),
            (
                "message_template_status_update",
                #""event":"PAUSED","message_template_id":7,"reason":null,"other_info":{"title":"FIRST_PAUSE","description":"d"}"#,
                "9", "PAUSED", "7", "FIRST_PAUSE"
            ),
            ("business_capability_update", #""max_daily_conversations_per_business":2000"#, "9", nil, nil, "2000"),
            (
                "business_username_update", #""display_phone_number":"155","username":"u","status":"approved""#, "9",
                "approved", "155", "u"
            ),
            ("phone_number_name_update", #""decision":"D","rejection_reason":null"#, "9", "D", nil, nil),
            (
                "phone_number_quality_update", #""display_phone_number":"155","event":"E","current_limit":"TIER_1K""#,
                "9", "E", "155", "TIER_1K"
            ),
            (
                "phone_number_quality_update", #""event":"E","max_daily_conversations_per_business":"TIER_2K""#, "9",
                "E", nil, "TIER_2K"
            ),
            (
                "message_template_status_update",
                #""event":"APPROVED","message_template_id":1689556908129832,"reason":"NONE""#, "9", "APPROVED",
                "1689556908129832", nil
            ),
            (
                "message_template_status_update", #""event":"REJECTED","message_template_id":"7","reason":"SCAM""#, "9",
                "REJECTED", "7", "SCAM"
            ),
            (
                "message_template_status_update",
                #""event":"REJECTED","message_template_id":7,"reason":null,"rejection_info":{"reason":"R"}"#, "9",
                "REJECTED", "7", "R"
            ),
            (
                "message_template_quality_update",
                #""message_template_id":7,"previous_quality_score":"GREEN","new_quality_score":"RED""#, "9", "RED", "7",
                "GREEN"
            ),
            (
                "template_category_update",
                #""message_template_id":7,"previous_category":"UTILITY","new_category":"MARKETING""#, "9", "MARKETING",
                "7", "UTILITY"
            ),
            ("security", #""display_phone_number":"155","event":"PIN_CHANGED""#, "9", "PIN_CHANGED", "155", nil),
            ("flows", #""event":"E","flow_id":"3","new_status":"DRAFT""#, "9", "E", "3", "DRAFT"),
        ] as [(String, String, String, String?, String?, String?)])
    func `news about an account are told by its id`(
        field: String, value: String, id: String, event: String?, subject: String?, detail: String?
    ) throws {
        let expected = AccountUpdate(
            accountID: id, field: field, event: event, subject: subject, detail: detail, at: Timestamp(seconds: 77))
        #expect(account(field, value) == .account(expected))
    }

    @Test func `texts are cut, times may be missing`() throws {
        let long = String(repeating: "é", count: 400)
        let update = try #require(account("account_update", #""event":"\#(long)""#, entry: #""id":"9""#)?.account)
        #expect(update.event == String(repeating: "é", count: 128))
        #expect(update.at == receivedAt)
    }

    @Test func `news about nobody are kept as they are`() {
        #expect(account("account_update", #""event":"E""#, entry: #""x":1"#)?.summary == "undecodable missing_field")
        #expect(
            account("account_update", #""event":"E""#, entry: #""id":"\u0000""#)?.summary == "undecodable missing_field"
        )
    }

    @Test(arguments: ["calls", "smb_app_state_sync", "automatic_events", "group_lifecycle_update", "brand_new"])
    func `other fields are let be`(field: String) {
        #expect(account(field, #""event":"E""#) == .ignored(what: "field:" + field))
    }

    private func preferences(_ list: String, contacts: String = "[]") -> InboundEvent? {
        let members = #""contacts":\#(contacts),"user_preferences":\#(list)"#
        let updates = decode(webhook(changes: change(members, field: "user_preferences"))).updates
        return updates.count == 1 ? updates[0] : nil
    }

    @Test func `all wishes of a change come together`() {
        let list = """
            [{"wa_id":"447911123456","category":"marketing_messages","value":"stop","timestamp":7},
            {"user_id":"GB.2","value":"resume","timestamp":"8","detail":"x"}]
            """
        let wishes = [
            MarketingPreference.Wish(
                sender: Sender(phone: PhoneNumber(digits: 447_911_123_456), accountID: "GB.1"),
                category: "marketing_messages", value: "stop", at: Timestamp(seconds: 7)),
            MarketingPreference.Wish(
                sender: Sender(accountID: "GB.2"), category: "unknown", value: "resume", at: Timestamp(seconds: 8)),
        ]
        let contacts = #"[{"wa_id":"447911123456","user_id":"GB.1"}]"#
        #expect(
            preferences(list, contacts: contacts)
                == .preference(MarketingPreference(endpoint: sampleEndpoint, wishes: wishes)))
    }

    @Test(
        arguments: [
            (#"[{"value":"stop"}]"#, "undecodable missing_field"),
            (#"[{"wa_id":"447911123456"}]"#, "undecodable missing_field"),
            (#"[{"wa_id":"447911123456","value":"stop"},7]"#, "undecodable bad_field"),
            (#"[{"wa_id":"447911123456","value":7}]"#, "undecodable bad_field"),
            ("{}", "undecodable bad_field"), (#""stop""#, "undecodable bad_field"),
            ("[]", "ignored field:user_preferences"), ("null", "ignored field:user_preferences"),
        ])
    func `a wish that cannot be read keeps all of them`(list: String, summary: String) {
        #expect(preferences(list)?.summary == summary)
    }
}
