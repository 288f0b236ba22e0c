import Hummingbird
import Messaging
import NIOCore

// What a developer asks of the session server's twin: to be a tenant who writes to a session.
extension MetaTwin {
    func addSessionSide(to router: Router<TwinContext>) {
        let group = router.group("twin")
        post("vps", in: group) { try await self.sendToSession(self.decode(SessionOrder.self, from: $0)) }
        post("vps/session", in: group) { request in
            let order = try await self.decode(SessionStatusOrder.self, from: request)
            let (session, poster) = try self.sessionPlayed()
            let body = VPSPayloads(session: session).webhook(status: order.status, at: self.configuration.now())
            return await self.deliver(body, by: poster, ids: [])
        }
        post("vps/raw", in: group) { request in
            let (_, poster) = try self.sessionPlayed()
            return await self.deliver(try await self.body(of: request), by: poster, ids: [])
        }
    }

    private func sessionPlayed() throws(TwinRequestError) -> (session: TwinSession, poster: WebhookPoster) {
        guard let session = configuration.session, let poster = sessionPoster else {
            throw TwinRequestError(text: "this twin plays no session server; start it with VPS_WEBHOOK_SECRET set")
        }
        return (session, poster)
    }

    private func sendToSession(_ order: SessionOrder) async throws -> Response {
        let (session, poster) = try sessionPlayed()
        let message = try sessionMessage(order)
        return await deliver(VPSPayloads(session: session).webhook(message), by: poster, ids: [message.id])
    }

    private func sessionMessage(_ order: SessionOrder) throws(TwinRequestError) -> SessionMessage {
        var digits: String?
        if let from = order.from, !from.isEmpty {
            guard let number = PhoneNumber(parsing: from) else {
                throw TwinRequestError(text: "\"from\" is not a phone number; write it like 447911123456")
            }
            digits = String(number.digits)
        }
        guard order.lid?.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) ?? true, order.lid != "" else {
            throw TwinRequestError(text: "\"lid\" is not the digits of a hidden id")
        }
        guard digits != nil || order.lid != nil else {
            throw TwinRequestError(text: "\"from\" (a phone number) or \"lid\" is needed")
        }
        let type = order.type ?? "text"
        guard let content = SessionMessage.Content(type: type, text: order.text) else {
            let types = SessionMessage.Content.types.joined(separator: ", ")
            throw TwinRequestError(text: "\"type\" is \"\(type)\"; a session's can be \(types)")
        }
        if type == "text", order.text == nil { throw TwinRequestError(text: "\"text\" is missing") }
        var generator = SystemRandomNumberGenerator()
        let random = String(generator.next() as UInt64 | 1 << 63, radix: 16, uppercase: true)
        return SessionMessage(
            from: digits, lid: order.lid, name: order.name ?? "Tenant", key: order.id ?? "3EB0\(random)",
            sentAt: order.timestamp.map { Timestamp(seconds: $0) } ?? configuration.now(), content: content,
            quotedMessageID: order.quote)
    }
}
