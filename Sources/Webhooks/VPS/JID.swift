import Messaging

/// Whom or what an address of WhatsApp's names: `<user>@<server>`, with what devices and agents add to it taken off.
enum JID: Hashable {
    /// `447911123456@c.us`, as WAHA writes it, or `…@s.whatsapp.net`.
    case phone(PhoneNumber)
    /// `38203818037365@lid`: the digits of a hidden id. They look like a number to dial, and are none.
    case lid(String)
    /// No person: what the chat is instead, a short label.
    case other(String)

    /// - Returns: `nil` for what is no address, or one of a person whose digits are none.
    init?(_ text: UnsafeBufferPointer<UInt8>) {
        guard let at = text.lastIndex(of: UInt8(ascii: "@")), at <= Self.userLengthMax else { return nil }
        let user = UnsafeBufferPointer(rebasing: text[..<at])
        let server = UnsafeBufferPointer(rebasing: text[(at + 1)...])
        func isServer(_ name: StaticString) -> Bool { Self.isFolded(server, name) }
        if isServer("c.us") || isServer("s.whatsapp.net") || isServer("hosted") {
            self.init(phoneUser: Self.withoutDevice(user))
        } else if isServer("lid") || isServer("hosted.lid") {
            let digits = Self.withoutDevice(user)
            guard (1...Self.digitsMax).contains(digits.count), digits.allSatisfy(Self.isDigit) else { return nil }
            self = .lid(String(decoding: digits, as: UTF8.self))
        } else if isServer("g.us") {
            self = .other("group")
        } else if isServer("broadcast") {
            self = .other(Self.isFolded(user, "status") ? "status" : "broadcast")
        } else if isServer("newsletter") {
            self = .other("newsletter")
        } else if isServer("bot") || isServer("call") {
            self = .other("service")
        } else {
            return nil
        }
    }

    init?(_ text: String) {
        var text = text
        guard let jid = text.withUTF8({ JID($0) }) else { return nil }
        self = jid
    }

    init?(_ value: JSONValue?) {
        // One address may belong to each of many messages.
        guard let value, value.isString, value.content.count <= Self.lengthMax * JSONText.escapeLengthMax,
            let jid = value.withCharacters({ JID($0) })
        else { return nil }
        self = jid
    }

    /// The one form in which it stands in ids, however the server spelled it: WAHA's. `nil` for what is no person.
    var address: String? {
        switch self {
        case .phone(let phone): "\(phone.digits)@c.us"
        case .lid(let digits): digits + "@lid"
        case .other: nil
        }
    }

    private init?(phoneUser digits: Slice<UnsafeBufferPointer<UInt8>>) {
        guard digits.count <= 15, digits.allSatisfy(Self.isDigit) else { return nil }
        // WhatsApp itself writes as `0`.
        if digits.elementsEqual("0".utf8) {
            self = .other("whatsapp")
            return
        }
        guard digits.first != UInt8(ascii: "0"),
            let phone = PhoneNumber(digits: digits.reduce(0) { $0 * 10 + UInt64($1 &- UInt8(ascii: "0")) })
        else { return nil }
        self = .phone(phone)
    }

    private static let userLengthMax = 256
    /// The longest name of a server is `s.whatsapp.net`.
    private static let lengthMax = userLengthMax + 32
    private static let digitsMax = 20

    /// `447911123456:12` and `447911123456_0:12` are devices and agents of `447911123456`.
    private static func withoutDevice(_ user: UnsafeBufferPointer<UInt8>) -> Slice<UnsafeBufferPointer<UInt8>> {
        user.prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "_") }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    /// `name` must be lower case.
    private static func isFolded(_ text: UnsafeBufferPointer<UInt8>, _ name: StaticString) -> Bool {
        guard text.count == name.utf8CodeUnitCount else { return false }
        for (offset, byte) in text.enumerated() {
            let folded = byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
            guard folded == name.utf8Start[offset] else { return false }
        }
        return true
    }
}

/// A message's id as a session server writes it: `false_447911123456@c.us_3EB0…`, who sent it, in which chat, its id
/// there, and in groups its author. Spellings of one chat are one: devices are taken off, servers have WAHA's name.
struct SerializedMessageID: Hashable {
    /// Sent from the session itself.
    let isOwn: Bool
    /// The chat's address.
    let chat: String
    /// Unique in the chat alone, and there for each side.
    let key: String
    /// What stands behind the key: `_` and the author.
    private let rest: String

    /// - Returns: `nil` for an id of another form: engines also show the bare key.
    init?(_ text: String) {
        let bytes = text.utf8
        let prefix: (length: Int, isOwn: Bool)
        if bytes.starts(with: "false_".utf8) {
            prefix = (6, false)
        } else if bytes.starts(with: "true_".utf8) {
            prefix = (5, true)
        } else {
            return nil
        }
        let start = bytes.index(bytes.startIndex, offsetBy: prefix.length)
        guard let at = bytes[start...].firstIndex(of: UInt8(ascii: "@")),
            let end = bytes[at...].firstIndex(of: UInt8(ascii: "_"))
        else { return nil }
        let tail = bytes[bytes.index(after: end)...]
        let keyEnd = tail.firstIndex(of: UInt8(ascii: "_")) ?? tail.endIndex
        let address = String(text[start..<end])
        isOwn = prefix.isOwn
        chat = JID(address)?.address ?? address
        key = String(text[tail.startIndex..<keyEnd])
        rest = String(text[keyEnd...])
    }

    init(isOwn: Bool, chat: String, key: String) {
        self.isOwn = isOwn
        self.chat = chat
        self.key = key
        rest = ""
    }

    var text: String { "\(isOwn)_\(chat)_\(key)\(rest)" }
}
