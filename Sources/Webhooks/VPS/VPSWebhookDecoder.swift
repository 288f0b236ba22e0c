public import Messaging

/// Makes events of the body of a webhook from a WhatsApp session server.
///
/// Of WAHA's shape (`event`, `session`, `payload`) one body is one update. Servers that pass on what Baileys emits, such
/// as Evolution API (`event`, `instance`, `data`), may send several messages at once, each an update. Messages of
/// people, what becomes of ours and the state of sessions are understood; our own messages, groups, channels and
/// everything else are told apart and ignored. Unknown fields and events are never an error.
public struct VPSWebhookDecoder: Sendable {
    public init() {}

    /// - Parameters:
    ///   - body: the request body as received.
    ///   - receivedAt: stands in for a time the body does not tell, or tells unreadably.
    public func decode(_ body: [UInt8], receivedAt: Timestamp) -> DecodedWebhook {
        body.withUnsafeBytes { decode($0, receivedAt: receivedAt) }
    }

    /// The same for bytes that lie elsewhere.
    public func decode(_ body: UnsafeRawBufferPointer, receivedAt: Timestamp) -> DecodedWebhook {
        do {
            return try withJSONDocument(body) { root in
                guard root.isObject else { return .undecodable(.unknownShape, "the body is not an object") }
                return VPSEvent(root, receivedAt: receivedAt).decoded()
            }
        } catch {
            switch error {
            case .malformed(let offset):
                return .undecodable(.notJSON, "not JSON: stops making sense at byte \(offset) of \(body.count)")
            case .tooDeep(let offset):
                return .undecodable(
                    .tooDeep, "nested deeper than \(JSONScanner.depthMax) at byte \(offset) of \(body.count)")
            }
        }
    }
}

/// One body, its parts found.
struct VPSEvent {
    let receivedAt: Timestamp
    private(set) var id: JSONValue?
    private(set) var name: JSONValue?
    private(set) var session: JSONValue?
    private(set) var timestamp: JSONValue?
    private(set) var me: JSONValue?
    private(set) var payload: JSONValue?
    /// What Baileys emitted.
    private(set) var data: JSONValue?
    /// The addresses of the session's own account, as far as told.
    private(set) var ours: [JID] = []

    init(_ root: JSONValue, receivedAt: Timestamp) {
        self.receivedAt = receivedAt
        var instance: JSONValue?
        var account: JSONValue?
        for member in root.members {
            let key = member.key
            switch key.textLength {
            case 2 where key.isText("id"): id = member.value
            case 2 where key.isText("me"): me = member.value
            case 4 where key.isText("data"): data = member.value
            case 5 where key.isText("event"): name = member.value
            case 6 where key.isText("sender"): account = member.value
            case 7 where key.isText("session"): session = member.value
            case 7 where key.isText("payload"): payload = member.value
            case 8 where key.isText("instance"): instance = member.value
            case 9 where key.isText("timestamp"): timestamp = member.value
            default: continue
            }
        }
        session = session ?? instance
        // `sender` is not who wrote, but the account that received it.
        ours = [me?["id"], me?["lid"], account].compactMap { JID($0) }
    }

    func decoded() -> DecodedWebhook {
        if let updates = baileysUpdates() {
            let isLost = updates.allSatisfy { if case .undecodable = $0 { true } else { false } }
            return DecodedWebhook(event: isLost ? "undecodable" : Label.text("", name), updates: updates)
        }
        let update: InboundEvent
        do throws(Refusal) {
            update = try read()
        } catch {
            return .undecodable(error.reason, error.detail)
        }
        return DecodedWebhook(event: Label.text("", name), updates: [update])
    }

    /// Why an event is not understood.
    struct Refusal: Error {
        let reason: UndecodableReason
        let detail: String

        init(_ reason: UndecodableReason, _ detail: String) {
            self.reason = reason
            self.detail = detail
        }
    }

    private func read() throws(Refusal) -> InboundEvent {
        guard let name, !name.isEmptyValue else { throw Refusal(.missingField, "no event") }
        guard name.isString else { throw Refusal(.badField, "event is not a text") }
        if name.isText("message") || name.isText("message.any") { return try message() }
        if name.isText("message.ack") { return try acknowledgement() }
        if name.isText("message.reaction") { return try reaction() }
        if name.isText("message.edited") { return try edit() }
        if name.isText("message.revoked") { return try revocation() }
        if name.isText("session.status") { return try sessionStatus() }
        return Self.ignored(name)
    }

    static func ignored(_ what: JSONValue?) -> InboundEvent { .ignored(what: Label.text("vps:", what)) }

    static func ignored(_ what: String) -> InboundEvent { .ignored(what: "vps:" + what) }

    /// The payload's members.
    func content() throws(Refusal) -> VPSMessageFields {
        guard let payload, !payload.isNull else { throw Refusal(.missingField, "no payload") }
        guard payload.isObject else { throw Refusal(.badField, "payload is not an object") }
        return VPSMessageFields(payload)
    }

    /// Longer names are none of a session server's.
    private static let sessionLengthMax = 128

    func endpoint() throws(Refusal) -> EndpointReference {
        guard let session, !session.isEmptyValue else { throw Refusal(.missingField, "no session") }
        guard session.content.count <= Self.sessionLengthMax, let name = session.identifier else {
            throw Refusal(.badField, "session is not a name that can be kept")
        }
        return EndpointReference(kind: .vpsSession, providerID: name)
    }
}

// MARK: - Moments

extension VPSEvent {
    /// When the server told it; the time of receipt if it does not say.
    var at: Timestamp { Self.moment(timestamp) ?? receivedAt }

    /// Seconds or milliseconds since 1970: as a number, as a string, or as the halves of a number of 64 bits, which is
    /// what protobuf's integers become in JSON.
    static func moment(_ value: JSONValue?) -> Timestamp? {
        guard let value else { return nil }
        var number = value.integer
        if value.isObject, let low = value["low"]?.integer, let high = value["high"]?.integer {
            number = Int64(Int32(truncatingIfNeeded: high)) << 32 | Int64(UInt32(truncatingIfNeeded: low))
        }
        guard let number else { return nil }
        switch number {
        case millisecondsMin..<millisecondsMax: return Timestamp(microseconds: number * 1000)
        case ..<millisecondsMin: return Timestamp(seconds: number)
        default: return nil
        }
    }

    /// As seconds this would be the year 5138; as milliseconds it is 1973.
    private static let millisecondsMin: Int64 = 100_000_000_000
    private static let millisecondsMax: Int64 = 1_000_000_000_000_000
}
