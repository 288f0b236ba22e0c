import Messaging

extension VPSEvent {
    /// How far a message has come. Only what was sent from the session's own account is ours to follow, and only to a
    /// person: in a group each of its members has read it at another time.
    func acknowledgement() throws(Refusal) -> InboundEvent {
        let fields = try content()
        let head = try VPSMessageHead(fields)
        if let other = head.otherChat { return Self.ignored(other) }
        guard head.isOwn else { return Self.ignored("ack_of_theirs") }
        let (number, word) = (fields.whole["ack"], fields.whole["ackName"])
        guard [number, word].contains(where: { !($0?.isEmptyValue ?? true) }) else {
            throw Refusal(.missingField, "an ack has no ack")
        }
        let status: DeliveryStatus
        switch number?.integer ?? [number, word].lazy.compactMap({ $0.flatMap(Self.acknowledgement) }).first {
        case -1: status = .failed
        case 1: status = .sent
        case 2: status = .delivered
        case 3: status = .read
        case 4: status = .played
        // Waits on the server, or is a word of later versions.
        default: return Self.ignored("ack_pending")
        }
        return .status(StatusUpdate(endpoint: try endpoint(), messageID: head.id, status: status, at: at))
    }

    private static func acknowledgement(_ word: JSONValue) -> Int64? {
        let words: [(StaticString, Int64)] = [
            ("ERROR", -1), ("PENDING", 0), ("SERVER", 1), ("DEVICE", 2), ("READ", 3), ("PLAYED", 4),
        ]
        return words.first { word.isText($0.0) }?.1
    }

    /// What has become of a session.
    func sessionStatus() throws(Refusal) -> InboundEvent {
        guard let payload, !payload.isNull else { throw Refusal(.missingField, "no payload") }
        guard let word = payload["status"], !word.isEmptyValue else {
            throw Refusal(.missingField, "a session has no status")
        }
        guard word.isString else { throw Refusal(.badField, "a session's status is not a text") }
        guard let state = Self.state(word) else { return .ignored(what: Label.text("vps:session:", word)) }
        var phone: PhoneNumber?
        if case .phone(let number) = JID(me?["id"]) { phone = number }
        return .session(
            SessionUpdate(endpoint: try endpoint(), state: state, phone: phone, at: changed(to: word, payload)))
    }

    private static func state(_ word: JSONValue) -> SessionState? {
        let words: [(StaticString, SessionState)] = [
            ("WORKING", .connected), ("SCAN_QR_CODE", .qr), ("STARTING", .connecting),
            ("PASSKEY_REQUIRED", .connecting), ("PASSKEY_CONFIRMATION_REQUIRED", .connecting),
            ("STOPPED", .disconnected), ("FAILED", .disconnected), ("LOGGED_OUT", .loggedOut),
        ]
        return words.first { word.isText($0.0) }?.1
    }

    /// The moment in the list of the states so far, where the newest of them is this one; else when it was told.
    private func changed(to word: JSONValue, _ payload: JSONValue) -> Timestamp {
        guard let newest = payload["statuses"]?.elements.reduce(nil as JSONValue?, { $1 }),
            newest["status"]?.hasSameText(as: word) == true, let moment = Self.moment(newest["timestamp"])
        else { return at }
        return moment
    }
}
