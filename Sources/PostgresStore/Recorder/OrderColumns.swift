import Intake
import Messaging
import PostgresClient

/// `$65` to `$71`: what is to be done about messages, one row an order.
struct OrderColumns {
    private var message = PostgresArrayBuilder(.uuid)
    private var kind = PostgresArrayBuilder(.text)
    private var rule = PostgresArrayBuilder(.text)
    private var value = PostgresArrayBuilder(.text)
    private var detail = PostgresArrayBuilder(.text)
    private var id = PostgresArrayBuilder(.uuid)
    private var number = PostgresArrayBuilder(.int4)
    private var isEmpty = true
    private let noticesTo: String?

    /// All `NULL` without an order: nothing is looked for then.
    var values: [PostgresValue] {
        if isEmpty { return [PostgresValue](repeating: .null, count: 7) }
        return [message, kind, rule, value, detail, id, number].map(\.value)
    }

    /// - Parameter noticesTo: the endpoint that is told what rules notify of; `nil` = it is listed alone.
    init(_ messages: [RecordedMessage], noticesTo: String?) {
        self.noticesTo = noticesTo
        for recorded in messages {
            for order in recorded.orders {
                isEmpty = false
                message.append(id: recorded.id)
                rule.append(text: order.rule)
                append(order.action)
            }
        }
    }

    private mutating func append(_ action: RecordedOrder.Action) {
        switch action {
        case .answer(let token): append("answer", id: token.question, number: token.choice)
        case .ask(let question, let wording, let seconds):
            append(
                "ask", value: wording.text, detail: "\(wording.button)\n\(wording.numberHint)", id: question,
                number: seconds)
        case .reply(let made, let text, let again): append("reply", value: text, id: made, number: again)
        case .replyTemplate(let made, let name, let language, let again):
            append("template", value: name, detail: language, id: made, number: again)
        case .tag(let tag): append("tag", value: tag)
        case .raisePriority: append("priority")
        case .notify(let subject): append("notify", value: subject, detail: noticesTo)
        case .forward(let endpoint): append("forward", value: endpoint)
        case .optOut: append("opt_out")
        case .optIn: append("opt_in")
        }
    }

    private mutating func append(
        _ word: String, value text: String? = nil, detail more: String? = nil, id made: UniqueID? = nil,
        number count: Int? = nil
    ) {
        kind.append(text: word)
        value.append(text: text)
        detail.append(text: more)
        id.append(id: made)
        number.append(int32: count.map { Int32(clamping: $0) })
    }
}
