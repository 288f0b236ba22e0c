import Messaging

@testable import Webhooks

let receivedAt = Timestamp(seconds: 1_800_000_000)
let sampleEndpoint = EndpointReference(kind: .cloud, providerID: "1")

func decode(_ json: String) -> DecodedWebhook {
    MetaWebhookDecoder().decode(Array(json.utf8), receivedAt: receivedAt)
}

/// A webhook of one entry with these changes, a text of JSON.
func webhook(changes: String) -> String {
    #"{"object":"whatsapp_business_account","entry":[{"id":"9","changes":[\#(changes)]}]}"#
}

/// A change of the field `messages`; `members` are those of its value beside the metadata.
func change(_ members: String, field: String = "messages") -> String {
    let metadata = #""messaging_product":"whatsapp","metadata":{"display_phone_number":"+1 555","phone_number_id":"1"}"#
    return #"{"value":{\#(metadata),\#(members)},"field":"\#(field)"}"#
}

/// What becomes of one message of these members and the contacts beside it.
func decode(message: String, contacts: String = "[]") -> InboundEvent? {
    let decoded = decode(webhook(changes: change(#""contacts":\#(contacts),"messages":[{\#(message)}]"#)))
    return decoded.updates.count == 1 ? decoded.updates[0] : nil
}

/// What becomes of one status of these members.
func decode(status: String) -> InboundEvent? {
    let decoded = decode(webhook(changes: change(#""statuses":[{\#(status)}]"#)))
    return decoded.updates.count == 1 ? decoded.updates[0] : nil
}
