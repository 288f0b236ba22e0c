import Intake
import Journal
import Messaging
import PostgresClient
import Routing

/// A batch as the parameters of `record_batch.sql`, `$1` to `$71`.
struct RecordBatchParameters {
    let values: [PostgresValue]

    /// - Parameters:
    ///   - passesOn: whether webhooks are queued for another handler, too.
    ///   - noticesTo: the endpoint that is told what rules notify of.
    init(_ batch: RecordBatch, passesOn: Bool, noticesTo: String? = nil) {
        let parked = ParkedColumns(batch.parked)
        let webhooks = WebhookColumns(batch.writtenWebhooks)
        var redriven = PostgresArrayBuilder(.int8)
        for id in batch.redriven { redriven.append(int64: id) }
        var values = MessageColumns(batch).values + webhooks.values + StatusColumns(batch.statuses).values
        values += parked.values
        values += [
            redriven.value, .int32(batch.journal), .id(batch.owner), .int64(batch.after.value),
            .int64(batch.endOfStep.value), Self.earlierVerdicts(batch),
        ]
        values += SessionColumns(batch.sessions).values + FileColumns(batch.messages).values
        values += [webhooks.signatures, .bool(passesOn), Self.withheld(batch)]
        values += OrderColumns(batch.messages, noticesTo: noticesTo).values
        self.values = values
    }

    /// `$64`, `NULL` where no rule withholds anything.
    private static func withheld(_ batch: RecordBatch) -> PostgresValue {
        guard batch.messages.contains(where: \.isWithheld) else { return .null }
        var array = PostgresArrayBuilder(.bool)
        for message in batch.messages { array.append(bool: message.isWithheld) }
        return array.value
    }

    /// `$52`, `NULL` but for the last step of a webhook.
    private static func earlierVerdicts(_ batch: RecordBatch) -> PostgresValue {
        guard batch.phase == .closes, let earlier = batch.webhooks.first?.earlier else { return .null }
        var array = PostgresArrayBuilder(.int4)
        for verdict in [Verdict.routed, .withheld, .held, .unclaimed, .duplicate] {
            array.append(int32: Int32(clamping: earlier[verdict]))
        }
        return array.value
    }
}

extension RecordBatch {
    /// A step before the last one leaves the webhook to it.
    fileprivate var writtenWebhooks: [RecordedWebhook] { phase == .whole || phase == .closes ? webhooks : [] }

    /// Where the checkpoint stands after this step: it moves with the last one.
    fileprivate var endOfStep: JournalPosition {
        switch phase {
        case .whole, .closes: upTo
        case .opens, .continues: after
        }
    }
}

/// `$1` to `$18`.
private struct MessageColumns {
    private var id = PostgresArrayBuilder(.uuid)
    private var endpoint = PostgresArrayBuilder(.uuid)
    private var providerID = PostgresArrayBuilder(.text)
    private var phone = PostgresArrayBuilder(.int8)
    private var phoneKey = PostgresArrayBuilder(.int8)
    private var account = PostgresArrayBuilder(.text)
    private var parent = PostgresArrayBuilder(.text)
    private var landlord = PostgresArrayBuilder(.uuid)
    private var routeKey = PostgresArrayBuilder(.int8)
    private var conversation = PostgresArrayBuilder(.uuid)
    private var held = PostgresArrayBuilder(.bool)
    private var sentAt = PostgresArrayBuilder(.timestamptz)
    private var type = PostgresArrayBuilder(.text)
    private var body = PostgresArrayBuilder(.text)
    private var quoted = PostgresArrayBuilder(.text)
    private var raw = PostgresArrayBuilder(.bytea)
    private var metadata = PostgresArrayBuilder(.text)
    private var position = PostgresArrayBuilder(.int8)

    var values: [PostgresValue] {
        [
            id.value, endpoint.value, providerID.value, phone.value, phoneKey.value, account.value, parent.value,
            landlord.value, routeKey.value, conversation.value, held.value, sentAt.value, type.value, body.value,
            quoted.value, raw.value, metadata.value, position.value,
        ]
    }

    init(_ batch: RecordBatch) {
        for recorded in batch.messages { append(recorded, of: batch) }
    }

    private mutating func append(_ recorded: RecordedMessage, of batch: RecordBatch) {
        let message = recorded.message
        id.append(id: recorded.id)
        endpoint.append(id: recorded.endpoint.id)
        providerID.append(text: message.id)
        phone.append(int64: message.sender.phone.map { Int64(clamping: $0.digits) })
        phoneKey.append(int64: message.sender.phone.map { Int64(clamping: $0.key.value) })
        account.append(text: message.sender.accountID)
        parent.append(text: message.sender.parentAccountID)
        sentAt.append(time: recorded.sentAt)
        type.append(text: message.type)
        body.append(text: message.body)
        quoted.append(text: message.quotedMessageID)
        raw.append(bytea: message.raw)
        position.append(int64: recorded.position.value)
        append(recorded.destination)
        metadata.append(
            text: recorded.metadata(tableGeneration: batch.tableGeneration, rulesGeneration: batch.rulesGeneration))
    }

    private mutating func append(_ destination: RecordedMessage.Destination) {
        var home: UniqueID?
        var candidate: Candidate?
        var thread: ThreadReference?
        var isHeld = false
        switch destination {
        case .lease(let by, _):
            candidate = by
            home = by.landlordID
        case .thread(let into, _):
            thread = into
            home = into.landlordID
        case .landlord(let id, _): home = id
        case .held: isHeld = true
        case .unclaimed: break
        }
        landlord.append(id: home)
        routeKey.append(int64: candidate.map { Int64(clamping: $0.routeKey.value) })
        conversation.append(id: thread?.conversationID)
        held.append(bool: isHeld)
    }
}

/// `$19` to `$27`, and `$52`.
private struct WebhookColumns {
    let values: [PostgresValue]
    let signatures: PostgresValue

    init(_ webhooks: [RecordedWebhook]) {
        var position = PostgresArrayBuilder(.int8)
        var receivedAt = PostgresArrayBuilder(.timestamptz)
        var source = PostgresArrayBuilder(.text)
        var event = PostgresArrayBuilder(.text)
        var payload = PostgresArrayBuilder(.bytea)
        var signature = PostgresArrayBuilder(.bytea)
        var counts = [PostgresArrayBuilder](repeating: PostgresArrayBuilder(.int4), count: 4)
        for webhook in webhooks {
            position.append(int64: webhook.position.value)
            receivedAt.append(time: webhook.envelope.receivedAt)
            source.append(text: webhook.envelope.source.name)
            event.append(text: webhook.event)
            payload.append(bytea: webhook.envelope.body)
            signature.append(bytea: webhook.envelope.signature)
            for (index, count) in [webhook.updates, webhook.statuses, webhook.ignored, webhook.parked].enumerated() {
                counts[index].append(int32: Int32(clamping: count))
            }
        }
        values = [position, receivedAt, source, event, payload].map(\.value) + counts.map(\.value)
        signatures = signature.value
    }
}

/// `$28` to `$36`.
private struct StatusColumns {
    let values: [PostgresValue]

    init(_ statuses: [RecordedStatus]) {
        var endpoint = PostgresArrayBuilder(.uuid)
        var providerID = PostgresArrayBuilder(.text)
        var status = PostgresArrayBuilder(.text)
        var at = PostgresArrayBuilder(.timestamptz)
        var code = PostgresArrayBuilder(.int4)
        var detail = PostgresArrayBuilder(.text)
        var pricing = PostgresArrayBuilder(.text)
        var ours = PostgresArrayBuilder(.uuid)
        var oursAt = PostgresArrayBuilder(.timestamptz)
        for recorded in statuses {
            let update = recorded.status
            endpoint.append(id: recorded.endpointID)
            providerID.append(text: update.messageID)
            status.append(text: update.status.rawValue)
            at.append(time: update.at)
            code.append(int32: update.errorCode)
            detail.append(text: update.errorDetail)
            pricing.append(text: update.pricing)
            ours.append(id: update.correlation?.id)
            oursAt.append(time: update.correlation?.sentAt)
        }
        values = [endpoint, providerID, status, at, code, detail, pricing, ours, oursAt].map(\.value)
    }
}

/// `$37` to `$46`. A body that parks several updates travels once.
private struct ParkedColumns {
    let values: [PostgresValue]

    init(_ updates: [ParkedUpdate]) {
        var position = PostgresArrayBuilder(.int8)
        var index = PostgresArrayBuilder(.int4)
        var receivedAt = PostgresArrayBuilder(.timestamptz)
        var source = PostgresArrayBuilder(.text)
        var reason = PostgresArrayBuilder(.text)
        var detail = PostgresArrayBuilder(.text)
        var endpointKind = PostgresArrayBuilder(.text)
        var endpointProviderID = PostgresArrayBuilder(.text)
        var body = PostgresArrayBuilder(.int4)
        var bodies = PostgresArrayBuilder(.bytea)
        var numbers: [Int64: Int32] = [:]
        for update in updates {
            let number = numbers[update.position.value] ?? Int32(numbers.count + 1)
            if numbers.updateValue(number, forKey: update.position.value) == nil {
                bodies.append(bytea: update.payload)
            }
            position.append(int64: update.position.value)
            index.append(int32: Int32(clamping: update.index))
            receivedAt.append(time: update.receivedAt)
            source.append(text: update.source.name)
            reason.append(text: update.reason)
            detail.append(text: update.detail)
            endpointKind.append(text: update.endpoint?.kind.rawValue)
            endpointProviderID.append(text: update.endpoint?.providerID)
            body.append(int32: number)
        }
        let columns = [
            position, index, receivedAt, source, reason, detail, endpointKind, endpointProviderID, body, bodies,
        ]
        values = columns.map(\.value)
    }
}

/// `$53` to `$56`.
private struct SessionColumns {
    let values: [PostgresValue]

    init(_ sessions: [RecordedSession]) {
        var endpoint = PostgresArrayBuilder(.uuid)
        var state = PostgresArrayBuilder(.text)
        var at = PostgresArrayBuilder(.timestamptz)
        var phone = PostgresArrayBuilder(.int8)
        for session in sessions {
            endpoint.append(id: session.endpointID)
            state.append(text: session.update.state.rawValue)
            at.append(time: session.update.at)
            phone.append(int64: session.update.phone.map { Int64(clamping: $0.digits) })
        }
        values = [endpoint, state, at, phone].map(\.value)
    }
}

/// `$57` to `$61`.
private struct FileColumns {
    let values: [PostgresValue]

    init(_ messages: [RecordedMessage]) {
        var message = PostgresArrayBuilder(.uuid)
        var file = PostgresArrayBuilder(.text)
        var type = PostgresArrayBuilder(.text)
        var hash = PostgresArrayBuilder(.bytea)
        var name = PostgresArrayBuilder(.text)
        for recorded in messages {
            guard let media = recorded.message.media else { continue }
            message.append(id: recorded.id)
            file.append(text: media.id)
            type.append(text: media.mimeType)
            hash.append(bytea: media.sha256.flatMap(SHA256Text.bytes))
            name.append(text: media.fileName)
        }
        values = [message, file, type, hash, name].map(\.value)
    }
}

/// The parameters of `gateway.change_identities`.
struct IdentityChangeColumns {
    let values: [PostgresValue]

    init(_ changes: [RecordedIdentityChange]) {
        var endpoint = PostgresArrayBuilder(.uuid)
        var message = PostgresArrayBuilder(.text)
        var kind = PostgresArrayBuilder(.text)
        var scope = PostgresArrayBuilder(.text)
        var old = PostgresArrayBuilder(.text)
        var new = PostgresArrayBuilder(.text)
        var dial = PostgresArrayBuilder(.int8)
        var at = PostgresArrayBuilder(.timestamptz)
        for recorded in changes {
            endpoint.append(id: recorded.endpoint.id)
            message.append(text: recorded.messageID)
            at.append(time: recorded.at)
            switch recorded.change {
            case .phone(let from, let to):
                kind.append(text: IdentityKind.phone.rawValue)
                scope.append(text: recorded.endpoint.phoneScope)
                old.append(text: String(from.key.value))
                new.append(text: String(to.key.value))
                dial.append(int64: Int64(clamping: to.digits))
            case .account(let from, let to):
                kind.append(text: recorded.endpoint.reference.kind.accountIDKind.rawValue)
                scope.append(text: recorded.endpoint.accountIDScope)
                old.append(text: from)
                new.append(text: to)
                dial.append(int64: nil)
            }
        }
        values = [endpoint, message, kind, scope, old, new, dial, at].map(\.value)
    }
}
