import Gateway
import GatewayTesting
import Sandbox

/// An update about somebody whose number or id changes, as Meta sends it: each in a change of its own, dated now.
enum MoverUpdate: Sendable {
    /// A text that shows the number, the business-scoped id, or both.
    case text(String, number: String?, account: String? = nil)
    /// `user_changed_number`: the old number tells it.
    case newNumber(String, from: String, to: String)
    /// `user_changed_user_id`, which may tell of a new number, too.
    case newAccount(String, from: String, to: String, numbers: (old: String, new: String)? = nil)

    var id: String {
        switch self {
        case .text(let id, _, _), .newNumber(let id, _, _), .newAccount(let id, _, _, _): id
        }
    }

    /// The webhook of these. Their bodies end with what stands behind the last `-` of their ids.
    static func webhook(_ updates: [MoverUpdate]) -> [UInt8] {
        let payloads = MetaPayloads(phone: Script.phone)
        return MetaPayloads.webhook(entries: [payloads.entry(changes: updates.map(\.change))])
    }

    private var change: MetaJSON {
        .object([
            "value": .object([
                "messaging_product": "whatsapp",
                "metadata": .object([
                    "display_phone_number": .string(Script.phone.displayNumber),
                    "phone_number_id": .string(Script.phone.phoneNumberID),
                ]),
                "contacts": contact.map { .array([$0]) }, "messages": .array([message]),
            ]),
            "field": "messages",
        ])
    }

    private var contact: MetaJSON? {
        guard case .text(_, let number, let account) = self else { return nil }
        return .object([
            "profile": .object(["name": "Mover"]), "wa_id": number.map(MetaJSON.string),
            "user_id": account.map(MetaJSON.string),
        ])
    }

    private var message: MetaJSON {
        let body = MetaJSON.string("\(Discretion.bodyMark) \(id.split(separator: "-").last ?? "")")
        let time = MetaJSON.string(String(Stage.now.microseconds / 1_000_000))
        switch self {
        case .text(let id, let number, let account):
            return .object([
                "from": number.map(MetaJSON.string), "from_user_id": account.map(MetaJSON.string), "id": .string(id),
                "timestamp": time, "type": "text", "text": .object(["body": body]),
            ])
        case .newNumber(let id, let old, let new):
            return .object([
                "from": .string(old), "id": .string(id), "timestamp": time, "type": "system",
                "system": .object(["body": body, "wa_id": .string(new), "type": "user_changed_number"]),
            ])
        case .newAccount(let id, let old, let new, let numbers):
            return .object([
                "from": (numbers?.old).map(MetaJSON.string), "from_user_id": .string(new), "id": .string(id),
                "timestamp": time, "type": "system",
                "system": .object([
                    "body": body, "user_id": .string(new), "previous_user_id": .string(old),
                    "wa_id": (numbers?.new).map(MetaJSON.string), "type": "user_changed_user_id",
                ]),
            ])
        }
    }
}

/// People of the crowd who take another number, or are given another id, in nearly every webhook: in the middle of it, or
/// after their first message under the new one.
struct MovingScript: WebhookScript {
    /// One of them, as they are known now.
    struct Mover: Sendable {
        let index: Int
        var number: String
        var account: String?
        /// A number that a message has shown, and no notice yet.
        var early: String?
        fileprivate var changes = 0

        fileprivate mutating func newNumber() -> String {
            changes += 1
            return "44770092\(String(10_000 + index * 200 + changes).suffix(4))"
        }

        fileprivate mutating func newAccount() -> String {
            changes += 1
            return "GB.\(index)x\(changes)"
        }

        /// The number is theirs from the notice on; an id does not outlive a number.
        mutating func notice(_ id: String, of new: String) -> MoverUpdate {
            let numbers = (old: number, new: new)
            number = new
            early = nil
            guard let account else { return .newNumber(id, from: numbers.old, to: new) }
            let next = newAccount()
            self.account = next
            return .newAccount(id, from: account, to: next, numbers: numbers)
        }
    }

    /// By their index, for whoever looks on.
    let movers: Watched<[Int: Mover]>
    private let own: [Int]
    private let name: String
    private var generator: SeededGenerator
    private var sequence: Int
    private var earlier: [Script.Webhook] = []

    init(worker: Int, workers: Int, seed: UInt64, movers: Watched<[Int: Mover]>) {
        self.movers = movers
        own = (0..<Crowd.count).filter { $0 % workers == worker }
        name = String(seed, radix: 36)
        generator = SeededGenerator(seed: seed &+ UInt64(worker))
        sequence = 0
    }

    mutating func next() -> Script.Webhook {
        if Int.random(in: 0..<10, using: &generator) == 0, let again = earlier.randomElement(using: &generator) {
            return again
        }
        let index = own[Int.random(in: own.indices, using: &generator)]
        var mover = movers.value[index] ?? Mover(index: index, number: Crowd.phone(index))
        let updates = updates(of: &mover)
        movers.change { [mover] in $0[index] = mover }
        let webhook = Script.Webhook(body: MoverUpdate.webhook(updates), wamids: updates.map(\.id))
        earlier.append(webhook)
        if earlier.count > 30 { earlier.removeFirst(15) }
        return webhook
    }

    private mutating func updates(of mover: inout Mover) -> [MoverUpdate] {
        if let early = mover.early { return [mover.notice(id(mover), of: early), text(mover)] }
        let before = text(mover)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
            let new = mover.newNumber()
            mover.early = new
            return [before, .text(id(mover), number: new)]
        case 1:
            let new = mover.newNumber()
            return [before, .text(id(mover), number: new), mover.notice(id(mover), of: new), text(mover)]
        case 2:
            let new = mover.newAccount()
            let told = mover.account.map { MoverUpdate.newAccount(id(mover), from: $0, to: new) }
            mover.account = new
            return [before, told ?? text(mover), .text(id(mover), number: nil, account: new)]
        default: return [before, mover.notice(id(mover), of: mover.newNumber()), text(mover)]
        }
    }

    private mutating func text(_ mover: Mover) -> MoverUpdate {
        .text(id(mover), number: mover.number, account: mover.account)
    }

    /// The tenant's index, and a number that grows with each of their messages.
    private mutating func id(_ mover: Mover) -> String {
        sequence += 1
        return "wamid.\(name)-t\(mover.index)-\(sequence)"
    }
}
