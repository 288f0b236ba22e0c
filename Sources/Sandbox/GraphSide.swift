import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Messaging
import NIOCore
import ServiceLifecycle

// The Graph API as Meta serves it.
extension MetaTwin {
    private static let bodyBytesMax = 256 * 1024
    /// What Meta's page of limits says about texts.
    private static let textLengthMax = 4096

    func addGraphSide(to router: Router<TwinContext>) {
        router.post("/:version/:object/messages") { request, context in
            do throws(GraphError) {
                return try await self.answer(request, context)
            } catch {
                self.memory.count(\.refused)
                return error.envelope(trace: Self.trace()).response(status: error.status)
            }
        }
    }

    private func answer(_ request: Request, _ context: TwinContext) async throws(GraphError) -> Response {
        try authorize(request)
        let version = context.parameters.get("version") ?? ""
        let object = context.parameters.get("object") ?? ""
        guard configuration.phones.contains(where: { $0.phoneNumberID == object }) else {
            throw .unknownObject(object)
        }
        let call: GraphCall
        do {
            let body = try await request.body.collect(upTo: Self.bodyBytesMax)
            call = try JSONDecoder().decode(GraphCall.self, from: Data(body.readableBytesView))
        } catch {
            throw GraphError(code: 100, details: "The body is not a JSON object of the expected fields.")
        }
        guard call.product == "whatsapp" else {
            throw GraphError(code: 100, details: "The parameter messaging_product is required.")
        }
        if call.status == "read" { return try markRead(call) }
        let message = try accepted(call, phoneNumberID: object, version: version)
        return try await play(memory.nextFault(), message, call: call, context)
    }

    private func authorize(_ request: Request) throws(GraphError) {
        let header = request.headers[.authorization] ?? ""
        let query = request.uri.queryParameters
        let token = header.hasPrefix("Bearer ") ? String(header.dropFirst(7)) : query["access_token"].map(String.init)
        guard token == configuration.accessToken.reveal() else { throw .badToken }
        guard let proof = query["appsecret_proof"] else {
            if configuration.requiresProof { throw .proofMissing }
            return
        }
        let code = HMAC<SHA256>.authenticationCode(
            for: configuration.accessToken.utf8, using: SymmetricKey(data: configuration.appSecret.utf8))
        guard proof == hexadecimal(code) else { throw .proofWrong }
    }

    /// Meta's checks of one message, in its order.
    private func accepted(
        _ call: GraphCall, phoneNumberID: String, version: String
    ) throws(GraphError) -> SentMessage {
        let recipient = try call.recipientName()
        try checkContent(call)
        let now = configuration.now()
        if configuration.phones.contains(where: { recipient == .phone($0.displayNumber) }) {
            throw GraphError(code: 131021)
        }
        if let allowed = configuration.allowedRecipients, !allowed.contains(recipient.text) {
            throw GraphError(
                code: 131030,
                details: "Recipient phone number not in allowed list: Add recipient phone number to "
                    + "recipient list and try again.")
        }
        if call.type != "template",
            !memory.isInWindow(recipient, of: phoneNumberID, at: now, window: configuration.window)
        {
            throw GraphError(
                code: 131047,
                details: "Message failed to send because more than 24 hours have passed since the "
                    + "customer last replied to this number.")
        }
        if configuration.hasPairRate, !memory.takesPairRate(recipient, of: phoneNumberID, at: now) {
            throw GraphError(
                code: 131056,
                details: "Message failed to send because there were too many messages sent from this "
                    + "phone number to the same phone number in a short period of time.")
        }
        var generator = SystemRandomNumberGenerator()
        let number = recipient.phone ?? String(recipient.text.filter(\.isNumber).prefix(15))
        return SentMessage(
            wamid: MetaPayloads.messageID(number: number, isInbound: false, using: &generator),
            phoneNumberID: phoneNumberID, recipient: recipient, type: call.type ?? "text",
            text: call.text?.body ?? call.interactive?.text, interactive: call.interactive,
            quotedMessageID: call.context?.messageID, callbackData: call.callbackData, acceptedAt: now,
            hasConversation: (Int(version.dropFirst().prefix { $0.isNumber }) ?? 24) < 24)
    }

    private func checkContent(_ call: GraphCall) throws(GraphError) {
        guard let type = call.type ?? (call.text == nil ? nil : "text") else {
            throw GraphError(code: 100, details: "The parameter type is required.")
        }
        guard GraphCall.types.contains(type) else {
            throw GraphError(code: 131051, details: "Unsupported message type '\(type.prefix(32))'.")
        }
        guard call.names.contains(type) else {
            throw GraphError(code: 131008, details: "The parameter \(type) is required.")
        }
        if type == "interactive" { try call.interactive?.check() }
        guard type == "text" else { return }
        guard let body = call.text?.body, !body.isEmpty else {
            throw GraphError(code: 131008, details: "The parameter text['body'] is required.")
        }
        guard body.utf16.count <= Self.textLengthMax else {
            throw GraphError(
                code: 100, details: "Param text['body'] must be at most \(Self.textLengthMax) characters long.")
        }
        if let data = call.callbackData, data.utf16.count > 512 {
            throw GraphError(code: 100, details: "Param biz_opaque_callback_data must be at most 512 characters long.")
        }
    }

    private func markRead(_ call: GraphCall) throws(GraphError) -> Response {
        guard let id = call.messageID, id.hasPrefix("wamid.") else {
            throw GraphError(code: 131009, details: "The parameter message_id is not a message.")
        }
        return MetaJSON.object(["success": true]).response()
    }

    static func trace() -> String {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        return "A" + String((0..<22).map { _ in letters.randomElement() ?? "A" })
    }
}

// Answers, and what goes wrong on purpose.
extension MetaTwin {
    private func play(
        _ fault: Fault?, _ message: SentMessage, call: GraphCall, _ context: TwinContext
    ) async throws(GraphError) -> Response {
        func take(_ isAccepted: Bool) { if isAccepted { accept(message, failingWith: nil) } }
        switch fault {
        case nil:
            accept(message, failingWith: nil)
        case .failed(let error):
            accept(message, failingWith: error)
        case .error(let error):
            throw error
        case .slow(let delay):
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: delay) }
            accept(message, failingWith: nil)
        case .timeout(let isAccepted):
            take(isAccepted)
            while context.channel.isActive, !Task.isCancelled, !Task.isShuttingDownGracefully {
                try? await Task.sleep(for: .milliseconds(20))
            }
            return Response(status: .gatewayTimeout)
        case .drop(let isAccepted):
            take(isAccepted)
            try? await context.channel.close()
            return Response(status: .internalServerError)
        case .plain(let status, let isAccepted):
            take(isAccepted)
            return Response(
                status: .init(code: status), headers: [.contentType: "text/html"],
                body: .init(byteBuffer: ByteBuffer(string: "<html><body>Sorry, something went wrong.</body></html>")))
        case .noID(let isAccepted):
            take(isAccepted)
            return MetaJSON.object(["messaging_product": "whatsapp", "messages": []]).response()
        case .oversize(let isAccepted):
            take(isAccepted)
            return MetaJSON.object(["padding": .string(String(repeating: "x", count: 1 << 20))]).response()
        }
        return Self.success(message, call)
    }

    private static func success(_ message: SentMessage, _ call: GraphCall) -> Response {
        MetaJSON.object([
            "messaging_product": "whatsapp",
            "contacts": [
                .object([
                    "input": .string(call.to ?? call.recipient ?? ""),
                    "wa_id": message.recipient.phone.map(MetaJSON.string),
                    "user_id": message.recipient.accountID.map(MetaJSON.string),
                ])
            ],
            "messages": [.object(["id": .string(message.wamid)])],
        ]).response()
    }

    /// Remembers a message and sends its statuses in the background, one after the other.
    private func accept(_ message: SentMessage, failingWith error: GraphError?) {
        memory.remember(message)
        var plan = configuration.statusDelays
        if error != nil { plan = plan.prefix(1) + [("failed", (plan.first?.after ?? .zero) * 2)] }
        if configuration.statusOrder == .shuffled {
            let order = plan.map(\.status).shuffled()
            plan = zip(plan, order).map { ($1, $0.after) }
        }
        let steps = plan
        inBackground { [self] in
            var elapsed = Duration.zero
            for step in steps {
                let pause = max(step.after - elapsed, .zero)
                if pause > .zero { do { try await Task.sleep(for: pause) } catch { return } }
                elapsed += pause
                await report(step.status, of: message, error: step.status == "failed" ? error : nil)
            }
        }
    }

    private func report(_ status: String, of message: SentMessage, error: GraphError?) async {
        guard let phone = configuration.phones.first(where: { $0.phoneNumberID == message.phoneNumberID }) else {
            return
        }
        let report = StatusReport(
            messageID: message.wamid, status: status, at: configuration.now(), recipient: message.recipient.phone,
            recipientAccountID: message.recipient.accountID, callbackData: message.callbackData, error: error,
            hasConversation: message.hasConversation)
        memory.noteStatus(status, of: message.wamid)
        await poster.postUntilAccepted(MetaPayloads(phone: phone).webhook(report))
    }
}

/// The body of a call, as far as the twin looks at it.
private struct GraphCall: Decodable {
    struct Text: Decodable {
        let body: String?
    }

    struct Context: Decodable {
        let messageID: String?

        enum CodingKeys: String, CodingKey {
            case messageID = "message_id"
        }
    }

    static let types: Set<String> = [
        "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "template",
        "interactive",
    ]

    let product: String?
    let to: String?
    let recipient: String?
    let type: String?
    let text: Text?
    let interactive: InteractiveMessage?
    let context: Context?
    let callbackData: String?
    let status: String?
    let messageID: String?
    /// The names of all members.
    let names: Set<String>

    enum CodingKeys: String, CodingKey {
        case product = "messaging_product"
        case to, recipient, type, text, interactive, context, status
        case callbackData = "biz_opaque_callback_data"
        case messageID = "message_id"
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        product = try fields.decodeIfPresent(String.self, forKey: .product)
        to = try fields.decodeIfPresent(String.self, forKey: .to)
        recipient = try fields.decodeIfPresent(String.self, forKey: .recipient)
        type = try fields.decodeIfPresent(String.self, forKey: .type)
        text = try fields.decodeIfPresent(Text.self, forKey: .text)
        interactive = try fields.decodeIfPresent(InteractiveMessage.self, forKey: .interactive)
        context = try fields.decodeIfPresent(Context.self, forKey: .context)
        callbackData = try fields.decodeIfPresent(String.self, forKey: .callbackData)
        status = try fields.decodeIfPresent(String.self, forKey: .status)
        messageID = try fields.decodeIfPresent(String.self, forKey: .messageID)
        names = try Set(decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue))
    }

    /// `to` wins over `recipient`, as at Meta.
    func recipientName() throws(GraphError) -> RecipientName {
        if let to {
            let digits = to.filter { $0.isASCII && $0.isNumber }
            let others = to.filter { !($0.isASCII && $0.isNumber) && !"+ -().".contains($0) }
            guard others.isEmpty, (8...15).contains(digits.count) else {
                throw GraphError(code: 131009, details: "The parameter to is not a valid phone number.")
            }
            return .phone(digits)
        }
        guard let recipient else {
            throw GraphError(code: 100, details: "The parameter to is required.")
        }
        let parts = recipient.split(separator: ".", maxSplits: 1)
        guard parts.count == 2, parts[0].count == 2, (1...135).contains(parts[1].count) else {
            throw GraphError(code: 131009, details: "The parameter recipient is not a business-scoped user id.")
        }
        return .accountID(recipient)
    }
}
