import Conversations
import Messaging

// Every member is always there, `null` where there is nothing: a client need not tell absent from empty.

extension JSON {
    init(_ moment: Timestamp?) { self.init(moment?.rfc3339) }
    init(_ id: UniqueID?) { self.init(id?.description) }

    init(_ conversation: ConversationSummary) {
        self = [
            "id": JSON(conversation.id),
            "tenant_id": JSON(conversation.tenantID),
            "tenant_name": JSON(conversation.tenantName),
            "tenant_phone": JSON(conversation.tenantPhone.map { "+\($0.digits)" }),
            "property_id": JSON(conversation.propertyID),
            "property_address": JSON(conversation.propertyAddress),
            "channel": .string(conversation.channel),
            "status": .string(conversation.status),
            "unread_count": JSON(conversation.unreadCount),
            "last_message_at": JSON(conversation.lastMessageAt),
            "window_open_until": JSON(conversation.windowOpenUntil),
            "tags": .array(conversation.tags.map { .string($0) }),
            "priority": .string(conversation.priority),
        ]
    }

    init(_ message: ThreadMessage) {
        let hasError = message.errorCode != nil || message.errorDetail != nil
        self = [
            "id": JSON(message.id),
            "conversation_id": JSON(message.conversationID),
            "direction": .string(message.direction),
            "type": .string(message.type),
            "body": JSON(message.body),
            "signature": JSON(message.signature),
            "quoted_id": JSON(message.quotedMessageID),
            "provider_id": JSON(message.providerID),
            "status": .string(message.status),
            "routing_status": .string(message.routingStatus),
            "outcome": JSON(message.outcome),
            "error": hasError ? ["code": JSON(message.errorCode), "detail": JSON(message.errorDetail)] : .null,
            "sent_at": JSON(message.sentAt),
            "delivered_at": JSON(message.deliveredAt),
            "read_at": JSON(message.readAt),
            "failed_at": JSON(message.failedAt),
        ]
    }

    init<Element>(_ page: Page<Element>, _ item: (Element) -> JSON) {
        self = ["items": .array(page.items.map(item)), "next": JSON(page.next?.opaque)]
    }
}
