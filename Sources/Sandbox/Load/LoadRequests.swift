import Crypto
import Glibc
import Messaging
import NIOCore

/// Makes the requests of a run: WhatsApp texts as Meta posts them, each with an id of its own, signed.
///
/// Bodies are 0.6 to 1.1 kB, by the length of their text. A few hundred are written in advance; of each only sender, id,
/// time and signature are filled in when it is sent, which costs a microsecond or two, nearly all of it the signature.
struct LoadRequests {
    /// Who writes to whom.
    struct World {
        var phone: MetaPhone
        /// The number of the first sender, in twelve digits; the others follow it.
        var firstSender: Int
        var senders: Int
    }

    private struct Template {
        let bytes: [UInt8]
        let bodyStart: Int
        let senders: [Int]
        let id: Int
        let time: Int
        let signature: Int
    }

    private static let textCount = 256
    private static let senderMark = "@@@@@@@@@@@@"
    private static let idPrefix = "wamid.HBgMNDQ3NzAw"
    private static let idMark = String(repeating: "#", count: 32)
    private static let signatureMark = String(repeating: "%", count: 64)
    private static let timeMark: Int64 = 1_111_111_111

    private let templates: [Template]
    private let keyed: HMAC<SHA256>
    private let firstSender: UInt64
    private let distribution: SenderDistribution
    private let run: UInt64
    private var random: LoadRandom

    /// - Parameters:
    ///   - path: of the request line.
    ///   - authority: for `Host`.
    ///   - run: makes the ids of one run differ from those of any other.
    init(_ world: World, secret: Secret, path: String, authority: String, run: UInt64) {
        precondition(world.senders > 0 && world.firstSender >= 0, "somebody must write")
        // The same texts in every run.
        var random = LoadRandom(seed: 1)
        templates = (0..<Self.textCount).map { _ in
            Self.template(Self.text(using: &random), world.phone, path: path, authority: authority)
        }
        keyed = HMAC<SHA256>(key: SymmetricKey(data: secret.utf8))
        firstSender = UInt64(world.firstSender)
        distribution = SenderDistribution(senders: world.senders)
        self.run = run
        self.random = LoadRandom(seed: run)
    }

    /// The provider's id of a request's message.
    func messageID(_ number: Int64) -> String {
        let bytes = [UInt8](unsafeUninitializedCapacity: 32) { bytes, count in
            Self.write(run, UInt64(number), into: UnsafeMutableRawBufferPointer(bytes))
            count = 32
        }
        return Self.idPrefix + String(decoding: bytes, as: UTF8.self)
    }

    /// A whole request.
    /// - Parameter seconds: since 1970: when the tenant sent it.
    mutating func request(_ number: Int64, seconds: Int64, allocator: ByteBufferAllocator) -> ByteBuffer {
        let template = templates[Int(truncatingIfNeeded: random.next() % UInt64(Self.textCount))]
        let sender = firstSender + UInt64(distribution.draw(using: &random))
        var buffer = allocator.buffer(capacity: template.bytes.count)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: template.bytes.count) { bytes in
            bytes.copyBytes(from: template.bytes)
            for start in template.senders { Self.write(sender, digits: 12, into: bytes, at: start) }
            Self.write(run, UInt64(number), into: UnsafeMutableRawBufferPointer(rebasing: bytes[template.id...]))
            Self.write(UInt64(max(0, seconds)), digits: 10, into: bytes, at: template.time)
            var code = keyed
            code.update(data: UnsafeRawBufferPointer(rebasing: bytes[template.bodyStart..<template.bytes.count]))
            var place = template.signature
            for byte in code.finalize() {
                bytes[place] = hexadecimal(byte >> 4)
                bytes[place + 1] = hexadecimal(byte & 15)
                place += 2
            }
            return template.bytes.count
        }
        return buffer
    }

    private static func write(_ value: UInt64, digits: Int, into bytes: UnsafeMutableRawBufferPointer, at start: Int) {
        var rest = value
        for place in stride(from: start + digits - 1, through: start, by: -1) {
            bytes[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// Two words in 32 digits.
    private static func write(_ high: UInt64, _ low: UInt64, into bytes: UnsafeMutableRawBufferPointer) {
        for place in 0..<32 {
            let word = place < 16 ? high : low
            bytes[place] = hexadecimal(UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (place % 16))) & 15)
        }
    }
}

// MARK: Templates

extension LoadRequests {
    private static func template(
        _ text: String, _ phone: MetaPhone, path: String, authority: String
    ) -> Template {
        let message = TenantMessage(
            from: senderMark, id: idPrefix + idMark, sentAt: Timestamp(microseconds: timeMark * 1_000_000),
            content: .text(text), name: "Tenant \(senderMark)")
        let body = MetaPayloads(phone: phone).webhook(message)
        let head = """
            POST \(path) HTTP/1.1\r
            Host: \(authority)\r
            User-Agent: facebookexternalua\r
            Accept: */*\r
            Accept-Encoding: deflate, gzip\r
            Content-Type: application/json\r
            Content-Length: \(body.count)\r
            X-Hub-Signature-256: sha256=\(signatureMark)\r
            \r\n
            """
        let bytes = Array(head.utf8) + body
        func places(_ mark: String) -> [Int] {
            let mark = Array(mark.utf8)
            return bytes.indices.filter { bytes[$0] == mark[0] && bytes[$0...].starts(with: mark) }
        }
        let beforeTime = "\"timestamp\":\""
        let (ids, times) = (places(idMark), places("\(beforeTime)\(timeMark)"))
        precondition(ids.count == 1 && times.count == 1, "each mark stands once in a body")
        return Template(
            bytes: bytes, bodyStart: head.utf8.count, senders: places(senderMark), id: ids[0],
            time: times[0] + beforeTime.utf8.count,
            signature: places(signatureMark)[0])
    }

    private static let words = """
        the boiler is loud again and water drips under sink could somebody come before friday please thank you rent keys \
        window heating landlord when how much door lock bathroom light
        """.split(separator: " ")

    /// Half of them up to 240 letters, one in twenty more than 600.
    private static func text(using random: inout LoadRandom) -> String {
        let length = min(4000, Int(240 * exp(0.55 * random.bell())))
        var text = ""
        while text.utf8.count < length {
            if !text.isEmpty { text += " " }
            text += words[Int(random.next() % UInt64(words.count))]
        }
        return text.isEmpty ? "hello" : text
    }
}
