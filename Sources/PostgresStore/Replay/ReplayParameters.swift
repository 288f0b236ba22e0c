import Intake
import Journal
import Messaging
import PostgresClient

/// What `gateway.apply_replay` and `gateway.compare_messages` are told of a replay's batch.
struct ReplayParameters {
    private var journal = PostgresArrayBuilder(.int4)
    private var position = PostgresArrayBuilder(.int8)
    private var receivedAt = PostgresArrayBuilder(.timestamptz)
    private var updates = PostgresArrayBuilder(.int4)
    private var statuses = PostgresArrayBuilder(.int4)
    private var webhook = PostgresArrayBuilder(.int4)
    private var id = PostgresArrayBuilder(.uuid)
    private var sentAt = PostgresArrayBuilder(.timestamptz)
    private var endpoint = PostgresArrayBuilder(.uuid)
    private var providerID = PostgresArrayBuilder(.text)
    private var body = PostgresArrayBuilder(.text)
    private var quoted = PostgresArrayBuilder(.text)
    private var file = PostgresArrayBuilder(.text)
    private var mimeType = PostgresArrayBuilder(.text)
    private var sha256 = PostgresArrayBuilder(.text)
    private var fileName = PostgresArrayBuilder(.text)

    init(_ batch: RecordBatch, _ replay: ReplayedWebhooks) {
        var messages = batch.messages[...]
        for (index, stored) in replay.webhooks.enumerated() {
            journal.append(int32: stored.place.journal)
            position.append(int64: stored.place.position.value)
            receivedAt.append(time: stored.place.receivedAt)
            updates.append(int32: Int32(clamping: stored.updates))
            statuses.append(int32: Int32(clamping: stored.statuses))
            for message in messages.prefix(stored.messages) { append(message, webhook: index + 1) }
            messages = messages.dropFirst(stored.messages)
        }
    }

    private mutating func append(_ recorded: RecordedMessage, webhook number: Int) {
        let message = recorded.message
        webhook.append(int32: Int32(clamping: number))
        id.append(id: recorded.id)
        sentAt.append(time: recorded.sentAt)
        endpoint.append(id: recorded.endpoint.id)
        providerID.append(text: message.id)
        body.append(text: message.body)
        quoted.append(text: message.quotedMessageID)
        file.append(text: message.media?.id)
        mimeType.append(text: message.media?.mimeType)
        sha256.append(text: message.media?.sha256)
        fileName.append(text: message.media?.fileName)
    }

    var values: [PostgresValue] {
        [
            journal.value, position.value, receivedAt.value, updates.value, statuses.value, webhook.value, id.value,
            sentAt.value, endpoint.value, providerID.value, body.value, quoted.value, file.value, mimeType.value,
            sha256.value, fileName.value,
        ]
    }

    /// For a comparison alone.
    var messages: [PostgresValue] { [endpoint.value, providerID.value, body.value, quoted.value, file.value] }

    /// The request, and where it must stand.
    static func place(_ replay: ReplayedWebhooks) -> [PostgresValue] { [.int64(replay.request)] + place(replay.after) }

    private static func place(_ place: ReplaySlice.Place?) -> [PostgresValue] {
        [
            PostgresValue(place) { .time($0.receivedAt) }, PostgresValue(place) { .int32($0.journal) },
            PostgresValue(place) { .int64($0.position.value) },
        ]
    }

    /// The request, where it stands now, and what is added to its counts.
    static func note(_ replay: ReplayedWebhooks, _ outcome: ReplayOutcome) -> [PostgresValue] {
        let counts = [
            outcome.webhooks + outcome.refused, outcome.recorded, outcome.refreshed, outcome.files, outcome.statuses,
            outcome.refused,
        ]
        return [.int64(replay.request)] + place(replay.end) + [.bool(replay.isLast)]
            + counts.map { .int32(Int32(clamping: $0)) }
    }
}
