import FoundationEssentials
import HTTPTypes
import Hummingbird
import Messaging
import NIOCore

/// A request of the developer that cannot be carried out: what is wrong, and what to write instead.
struct TwinRequestError: Error {
    let text: String
}

// What a developer asks of the twin: to be a tenant, to be slow, to fail.
extension MetaTwin {
    private static let bodyBytesMax = 8 * 1024 * 1024
    private static let batchMax = 10_000

    func addTenantSide(to router: Router<TwinContext>) {
        let group = router.group("twin")
        group.get("phones") { _, _ in self.phones().response() }
        group.get("messages") { request, _ in
            self.messages(limit: request.uri.queryParameters.get("limit", as: Int.self) ?? 100).response()
        }
        group.get("stats") { _, _ in self.stats().response() }
        post("send", in: group) { try await self.send(self.decode(SendOrder.self, from: $0)) }
        post("tap", in: group) { try await self.tap(self.decode(TapOrder.self, from: $0)) }
        post("batch", in: group) { try await self.sendBatch(self.decode(BatchOrder.self, from: $0)) }
        post("status", in: group) { try await self.sendStatus(self.decode(StatusOrder.self, from: $0)) }
        post("raw", in: group) { await self.deliver(try await self.body(of: $0), by: self.poster, ids: []) }
        post("handshake", in: group) { try await self.shakeHands(self.decode(HandshakeOrder.self, from: $0)) }
        post("faults", in: group) { try self.planFaults(await self.decode(FaultOrder.self, from: $0)) }
        group.delete("faults") { _, _ in
            self.memory.forgetFaults()
            return MetaJSON.object(["faults": 0]).response()
        }
    }

    func post(
        _ path: String, in group: RouterGroup<TwinContext>,
        _ action: @escaping @Sendable (Request) async throws -> Response
    ) {
        group.post("\(path)") { request, _ in
            do {
                return try await action(request)
            } catch let error as TwinRequestError {
                return MetaJSON.object(["error": .string(error.text)]).response(status: 400)
            }
        }
    }

    func body(of request: Request) async throws -> [UInt8] {
        do {
            return try await Array(request.body.collect(upTo: Self.bodyBytesMax).readableBytesView)
        } catch {
            throw TwinRequestError(text: "the body could not be read; it may have at most \(Self.bodyBytesMax) bytes")
        }
    }

    func decode<Order: Decodable>(_ type: Order.Type, from request: Request) async throws -> Order {
        let bytes = try await body(of: request)
        do {
            return try JSONDecoder().decode(type, from: Data(bytes.isEmpty ? Array("{}".utf8) : bytes))
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            let field = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw TwinRequestError(text: "\(field.isEmpty ? "the body" : "\"\(field)\"") has the wrong type")
        } catch DecodingError.keyNotFound(let key, _) {
            throw TwinRequestError(text: "\"\(key.stringValue)\" is missing")
        } catch {
            throw TwinRequestError(text: "the body is not a JSON object")
        }
    }

    /// Posts once; what is not answered with 200 is repeated in the background, as Meta does.
    func deliver(_ body: [UInt8], by poster: WebhookPoster, ids: [String]) async -> Response {
        let result = await poster.post(body)
        if !result.isAccepted, poster.url != nil {
            inBackground { await poster.repeatUntilAccepted(body) }
        }
        return MetaJSON.object([
            "wamid": ids.first.map(MetaJSON.string),
            "wamids": ids.count > 1 ? .array(ids.map(MetaJSON.string)) : nil,
            "gateway_status": .integer(Int64(result.status ?? 0)),
            "error": result.error.map { cause in
                guard let url = poster.url else { return .string(cause) }
                return .string("the gateway at \(url) did not answer: \(cause); it will be tried again")
            },
        ]).response(status: result.status == nil ? 502 : 200)
    }
}

// Tenants' messages and statuses.
extension MetaTwin {
    private func phone(_ id: String?) throws(TwinRequestError) -> MetaPhone {
        guard let id else { return configuration.phones[0] }
        guard let phone = configuration.phones.first(where: { $0.phoneNumberID == id }) else {
            let known = configuration.phones.map(\.phoneNumberID).joined(separator: ", ")
            throw TwinRequestError(text: "\"phone\" is \"\(id)\", which this twin does not play; it plays \(known)")
        }
        return phone
    }

    private func send(_ order: SendOrder) async throws -> Response {
        let phone = try phone(order.phone)
        let message = try tenantMessage(order, to: phone)
        return await deliver(MetaPayloads(phone: phone).webhook(message), by: poster, ids: [message.id])
    }

    private func sendBatch(_ order: BatchOrder) async throws -> Response {
        let phone = try phone(order.phone)
        let copies = max(order.count ?? 1, 1)
        let sends = order.messages ?? []
        guard sends.count * copies + (order.statuses?.count ?? 0) <= Self.batchMax else {
            throw TwinRequestError(text: "at most \(Self.batchMax) updates in a batch; Meta sends at most 1000")
        }
        let messages = try (0..<copies).flatMap { _ in try sends.map { try tenantMessage($0, to: phone) } }
        let statuses = try (order.statuses ?? []).map { try report($0) }
        guard !messages.isEmpty || !statuses.isEmpty else {
            throw TwinRequestError(text: "a batch needs \"messages\" or \"statuses\"")
        }
        let body = MetaPayloads(phone: phone).batch(
            messages: messages, statuses: statuses, updatesPerChange: order.updatesPerChange ?? 10,
            changesPerEntry: order.changesPerEntry ?? 10)
        return await deliver(body, by: poster, ids: messages.map(\.id))
    }

    private func sendStatus(_ order: StatusOrder) async throws -> Response {
        let report = try report(order)
        let phone = try phone(order.phone ?? memory.message(order.id)?.phoneNumberID)
        memory.noteStatus(report.status, of: report.messageID)
        return await deliver(MetaPayloads(phone: phone).webhook(report), by: poster, ids: [report.messageID])
    }

    private func tenantMessage(_ order: SendOrder, to phone: MetaPhone) throws(TwinRequestError) -> TenantMessage {
        let digits = try digits(from: order.from, or: order.bsuid)
        let type = order.type ?? "text"
        guard let content = TenantMessage.Content(type: type, text: order.text, about: order.about) else {
            throw TwinRequestError(
                text: "\"type\" is \"\(type)\"; it can be \(TenantMessage.Content.types.joined(separator: ", "))")
        }
        if type == "text", order.text == nil { throw TwinRequestError(text: "\"text\" is missing") }
        return written(order, content, by: digits, to: phone)
    }

    private func written(
        _ order: SendOrder, _ content: TenantMessage.Content, by digits: String?, to phone: MetaPhone
    ) -> TenantMessage {
        let now = configuration.now()
        var generator = SystemRandomNumberGenerator()
        memory.noteInbound(from: Self.names(digits, order.bsuid), to: phone.phoneNumberID, at: now)
        return TenantMessage(
            from: digits,
            id: order.id ?? MetaPayloads.messageID(number: digits ?? "", isInbound: true, using: &generator),
            sentAt: order.timestamp.map { Timestamp(seconds: $0) } ?? now, content: content, accountID: order.bsuid,
            name: order.name ?? "Tenant", username: order.username, quotedMessageID: order.quote)
    }

    private static func names(_ digits: String?, _ bsuid: String?) -> [RecipientName] {
        [digits.map(RecipientName.phone), bsuid.map(RecipientName.accountID)].compactMap { $0 }
    }

    private func digits(from: String?, or bsuid: String?) throws(TwinRequestError) -> String? {
        guard let from, !from.isEmpty else {
            if bsuid != nil { return nil }
            throw TwinRequestError(text: "\"from\" (a phone number) or \"bsuid\" is needed")
        }
        guard let number = PhoneNumber(parsing: from) else {
            throw TwinRequestError(text: "\"from\" is not a phone number; write it like 447911123456")
        }
        return String(number.digits)
    }

    private func tap(_ order: TapOrder) async throws -> Response {
        let digits = try digits(from: order.from, or: order.bsuid)
        let asked = order.message.map { memory.message($0) } ?? memory.question(to: Self.names(digits, order.bsuid))
        guard let asked, let interactive = asked.interactive else {
            throw TwinRequestError(text: "no message with something to tap was sent to this tenant")
        }
        let options = interactive.options
        let index = order.title.map { title in options.firstIndex { $0.title == title } } ?? (order.option ?? 1) - 1
        guard let index, options.indices.contains(index) else {
            let known = options.enumerated().map { "\($0 + 1) \"\($1.title ?? "")\"" }.joined(separator: ", ")
            throw TwinRequestError(text: "there is no such option; there are \(known)")
        }
        let option = options[index]
        let (id, title) = (option.id ?? "", option.title ?? "")
        let content: TenantMessage.Content =
            interactive.isList
            ? .listReply(id: id, title: title, description: option.description) : .buttonReply(id: id, title: title)
        let phone = try phone(asked.phoneNumberID)
        let send = SendOrder(
            from: digits, quote: asked.wamid, bsuid: order.bsuid, name: order.name, id: order.id,
            timestamp: order.timestamp)
        let message = written(send, content, by: digits, to: phone)
        return await deliver(MetaPayloads(phone: phone).webhook(message), by: poster, ids: [message.id])
    }

    private func report(_ order: StatusOrder) throws(TwinRequestError) -> StatusReport {
        let sent = memory.message(order.id)
        return StatusReport(
            messageID: order.id, status: order.status,
            at: order.timestamp.map { Timestamp(seconds: $0) } ?? configuration.now(),
            recipient: order.recipient ?? sent?.recipient.phone, recipientAccountID: sent?.recipient.accountID,
            callbackData: order.callbackData ?? sent?.callbackData,
            error: order.code.map { GraphError(code: $0) }, hasConversation: sent?.hasConversation ?? false)
    }

    private func shakeHands(_ order: HandshakeOrder) async throws -> Response {
        let challenge = String(UInt64.random(in: .min ... .max))
        let (result, isEchoed) = await poster.handshake(
            verifyToken: order.token ?? configuration.verifyToken.reveal(), challenge: challenge)
        return MetaJSON.object([
            "verified": .boolean(isEchoed),
            "gateway_status": .integer(Int64(result.status ?? 0)),
            "error": result.error.map(MetaJSON.string),
        ]).response(status: result.status == nil ? 502 : 200)
    }
}

// What the twin knows, and what it is to do wrong.
extension MetaTwin {
    private func phones() -> MetaJSON {
        .array(
            configuration.phones.map {
                .object([
                    "phone_number_id": .string($0.phoneNumberID), "waba_id": .string($0.accountID),
                    "display_phone_number": .string($0.displayNumber),
                ])
            })
    }

    private func messages(limit: Int) -> MetaJSON {
        .array(
            memory.messages(limit: max(0, min(limit, 1000))).map { message in
                .object([
                    "wamid": .string(message.wamid),
                    "phone_number_id": .string(message.phoneNumberID),
                    "to": message.recipient.phone.map(MetaJSON.string),
                    "recipient": message.recipient.accountID.map(MetaJSON.string),
                    "type": .string(message.type),
                    "text": message.text.map(MetaJSON.string),
                    "options": message.interactive.map { MetaJSON.array($0.options.map(Self.option)) },
                    "quote": message.quotedMessageID.map(MetaJSON.string),
                    "biz_opaque_callback_data": message.callbackData.map(MetaJSON.string),
                    "accepted_at": .string(message.acceptedAt.rfc3339),
                    "statuses": .array(message.statuses.map(MetaJSON.string)),
                ])
            })
    }

    private static func option(_ option: InteractiveMessage.Option) -> MetaJSON {
        .object([
            "id": option.id.map(MetaJSON.string), "title": option.title.map(MetaJSON.string),
            "description": option.description.map(MetaJSON.string),
        ])
    }

    private func stats() -> MetaJSON {
        let counters = memory.counters
        return .object([
            "accepted": .integer(Int64(counters.accepted)),
            "refused": .integer(Int64(counters.refused)),
            "webhooks_posted": .integer(Int64(counters.webhooksPosted)),
            "webhooks_retried": .integer(Int64(counters.webhooksRetried)),
            "webhooks_lost": .integer(Int64(counters.webhooksLost)),
            "faults_played": .integer(Int64(counters.faultsPlayed)),
        ])
    }

    private func planFaults(_ order: FaultOrder) throws -> Response {
        let count = order.next ?? 1
        guard (1...Self.batchMax).contains(count) else {
            throw TwinRequestError(text: "\"next\" is how many calls go wrong: 1 to \(Self.batchMax)")
        }
        memory.plan(Array(repeating: try order.fault(), count: count))
        return MetaJSON.object(["faults": .integer(Int64(count))]).response()
    }
}
