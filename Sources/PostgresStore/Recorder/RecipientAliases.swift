import Intake
import Messaging
import PostgresClient

/// What the statuses of a batch teach of whom messages went to, written in the transaction that records them.
struct RecipientAliases {
    private let values: [PostgresValue]
    private let locked: PostgresValue

    /// `nil` when they teach nothing, as nearly always.
    init?(_ batch: RecordBatch) {
        guard batch.statuses.contains(where: { $0.recipient != nil }) else { return nil }
        var endpoint = PostgresArrayBuilder(.uuid)
        var at = PostgresArrayBuilder(.timestamptz)
        var phone = PostgresArrayBuilder(.int8)
        var phoneKey = PostgresArrayBuilder(.int8)
        var account = PostgresArrayBuilder(.text)
        var parent = PostgresArrayBuilder(.text)
        var locked = PostgresArrayBuilder(.text)
        for recorded in batch.statuses {
            guard let recipient = recorded.recipient else { continue }
            endpoint.append(id: recorded.endpointID)
            at.append(time: recorded.status.at)
            phone.append(int64: Int64(clamping: recipient.phone.digits))
            phoneKey.append(int64: Int64(clamping: recipient.phone.key.value))
            account.append(text: recipient.accountID)
            parent.append(text: recipient.parentAccountID)
            Self.append(recipient.phone, recipient.accountID, recipient.parentAccountID, to: &locked)
        }
        for sender in batch.messages.lazy.map(\.message.sender) {
            Self.append(sender.phone, sender.accountID, sender.parentAccountID, to: &locked)
        }
        values = [endpoint, at, phone, phoneKey, account, parent].map(\.value)
        self.locked = locked.value
    }

    /// Locks all identities of the batch, before anything of it is written: what is learnt in two statements is locked in
    /// one, so that two recorders do not wait for each other.
    func lock(_ connection: isolated PostgresConnection) throws(PostgresError) {
        _ = try connection.query(Self.lockStatement, [locked])
    }

    /// Learns them, and adds to what recording came to.
    func learn(_ connection: isolated PostgresConnection, _ outcome: inout RecordOutcome) throws(PostgresError) {
        let row = try connection.query(Self.learnStatement, values).one()
        outcome.peopleResolved += Int(try row.int32(0))
        outcome.identityConflicts += Int(try row.int32(1))
        outcome.isIdentityNews = try row.bool(2) || outcome.isIdentityNews
    }

    private static func append(
        _ phone: PhoneNumber?, _ account: String?, _ parent: String?, to values: inout PostgresArrayBuilder
    ) {
        if let phone { values.append(text: String(phone.key.value)) }
        if let account { values.append(text: account) }
        if let parent { values.append(text: parent) }
    }

    private static let lockStatement = PostgresStatement(
        name: "lock_identities", sql: "SELECT gateway.lock_identities($1::text[])::text")

    private static let learnStatement = PostgresStatement(
        name: "learn_recipients",
        sql: """
            SELECT people, conflicts, is_news
              FROM gateway.learn_recipients($1::uuid[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::text[],
                                            $6::text[])
            """)
}
