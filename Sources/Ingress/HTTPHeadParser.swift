import Glibc

/// Reads the head of an HTTP/1.1 request, line by line as the bytes arrive, and refuses whatever RFC 9112 leaves to doubt.
///
/// Pure: it is given all bytes of the request so far and remembers how far it has come. A line is judged when its line
/// feed is there, so that a malformed request is refused at once and not when its time is over. Nothing is tolerated that
/// two implementations could read in two ways: bare CR or LF, folded lines, space before a colon, two lengths, a length
/// beside a transfer coding, absolute targets.
struct HTTPHeadParser: Sendable {
    private let targetBytesMax: Int
    private let headerBytesMax: Int

    private var head = HTTPRequestHead()
    /// Bytes that were searched for a line feed.
    private var searched = 0
    private var lineStart = 0
    private var headersStart = 0
    private var hasRequestLine = false
    private var emptyLines = 0
    private var hostCount = 0
    private var contentLength: Int?
    private var transferEncoding: TransferEncoding = .absent
    private var expectation: Expectation = .absent
    private var connectionCloses = false
    private var connectionKeepsAlive = false

    private enum TransferEncoding { case absent, chunked, unknown }
    private enum Expectation { case absent, continues, unknown }

    init(targetBytesMax: Int, headerBytesMax: Int) {
        self.targetBytesMax = targetBytesMax
        self.headerBytesMax = headerBytesMax
    }

    /// - Parameter bytes: everything received of this request, from its first byte on.
    /// - Returns: the head and its size, or `nil` when more bytes are needed.
    mutating func parse(_ bytes: UnsafeRawBufferPointer) throws(FramingError) -> (head: HTTPRequestHead, size: Int)? {
        while let feed = Self.lineFeed(in: bytes, from: searched) {
            searched = feed + 1
            guard feed > lineStart, bytes[feed - 1] == CR else { throw .badRequest("a line does not end in CR LF") }
            let line = lineStart..<(feed - 1)
            lineStart = feed + 1
            if !hasRequestLine {
                try takeFirstLine(line, bytes)
            } else if line.isEmpty {
                return (try finish(), feed + 1)
            } else {
                guard feed + 1 - headersStart <= headerBytesMax else { throw .headersTooLarge }
                try takeHeader(line, bytes)
            }
        }
        searched = bytes.count
        try checkUnfinishedLine(bytes)
        return nil
    }

    private func checkUnfinishedLine(_ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        let length = bytes.count - lineStart
        if hasRequestLine {
            guard bytes.count - headersStart <= headerBytesMax else { throw .headersTooLarge }
        } else if length > targetBytesMax + 64 {
            // Method and version need less than 64 bytes. Where the method alone is longer, it is none.
            let start = bytes[lineStart..<(lineStart + 64)]
            guard start.contains(SP) else { throw .badRequest("the method is too long") }
            throw .targetTooLong
        }
    }

    // MARK: Request line

    private mutating func takeFirstLine(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        if line.isEmpty {
            // RFC 9112, 2.2: an empty line before the request line is to be passed over. One is enough.
            emptyLines += 1
            guard emptyLines == 1 else { throw .badRequest("empty lines before the request line") }
            return
        }
        try takeRequestLine(line, bytes)
        hasRequestLine = true
        headersStart = lineStart
    }

    private mutating func takeRequestLine(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        var end = line.lowerBound
        while end < line.upperBound, CharacterClass.isToken(bytes[end]) { end += 1 }
        let method = line.lowerBound..<end
        guard !method.isEmpty, method.count <= 32, end < line.upperBound, bytes[end] == SP else {
            throw .badRequest("the method is not a token followed by one space")
        }
        let targetStart = end + 1
        end = targetStart
        while end < line.upperBound, bytes[end] != SP { end += 1 }
        let target = targetStart..<end
        guard !target.isEmpty, end < line.upperBound else { throw .badRequest("the request line has no version") }
        head.minorVersion = try Self.minorVersion((end + 1)..<line.upperBound, bytes)
        guard target.count <= targetBytesMax else { throw .targetTooLong }
        guard bytes[targetStart] == UInt8(ascii: "/") else { throw .badRequest("the request target is not a path") }
        for index in target where !CharacterClass.isTarget(bytes[index]) {
            throw .badRequest("the request target has a byte that no URI has")
        }
        head.target = target
        head.method = Self.method(method, bytes)
    }

    private static func method(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> HTTPRequestHead.Method {
        if equal(range, bytes, "POST") { return .post }
        if equal(range, bytes, "GET") { return .get }
        return .other
    }

    private static func minorVersion(
        _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer
    ) throws(FramingError) -> Int {
        let isVersion =
            range.count == 8 && equal(range.lowerBound..<(range.lowerBound + 5), bytes, "HTTP/")
            && isDigit(bytes[range.lowerBound + 5]) && bytes[range.lowerBound + 6] == UInt8(ascii: ".")
            && isDigit(bytes[range.lowerBound + 7])
        guard isVersion else { throw .badRequest("the request line does not end in an HTTP version") }
        let major = bytes[range.lowerBound + 5], minor = bytes[range.lowerBound + 7]
        guard major == UInt8(ascii: "1"), minor <= UInt8(ascii: "1") else { throw .unknownVersion }
        return Int(minor - UInt8(ascii: "0"))
    }

    // MARK: Header lines

    private mutating func takeHeader(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        let (name, value) = try Self.field(line, bytes)
        switch (name.count, bytes[name.lowerBound] | 0x20) {
        case (4, UInt8(ascii: "h")) where Self.equalFolded(name, bytes, "host"): try takeHost(value, bytes)
        case (14, UInt8(ascii: "c")) where Self.equalFolded(name, bytes, "content-length"):
            try takeContentLength(value, bytes)
        case (17, UInt8(ascii: "t")) where Self.equalFolded(name, bytes, "transfer-encoding"):
            try takeTransferEncoding(value, bytes)
        case (10, UInt8(ascii: "c")) where Self.equalFolded(name, bytes, "connection"): takeConnection(value, bytes)
        case (6, UInt8(ascii: "e")) where Self.equalFolded(name, bytes, "expect"):
            let isKnown = expectation == .absent && Self.equalFolded(value, bytes, "100-continue")
            expectation = isKnown ? .continues : .unknown
        case (12, UInt8(ascii: "c")) where Self.equalFolded(name, bytes, "content-type"): head.contentType = value
        case (16, UInt8(ascii: "c")) where Self.equalFolded(name, bytes, "content-encoding"):
            if !Self.equalFolded(value, bytes, "identity") { head.hasContentEncoding = true }
        case (19, UInt8(ascii: "x")) where Self.equalFolded(name, bytes, "x-hub-signature-256"):
            head.hubSignature256.add(value)
        case (15, UInt8(ascii: "x")) where Self.equalFolded(name, bytes, "x-hub-signature"):
            head.hubSignature.add(value)
        case (14, UInt8(ascii: "x")) where Self.equalFolded(name, bytes, "x-webhook-hmac"): head.webhookHMAC.add(value)
        default: break
        }
    }

    /// Splits and checks one field line; also used for trailers.
    static func field(
        _ line: Range<Int>, _ bytes: UnsafeRawBufferPointer
    ) throws(FramingError) -> (name: Range<Int>, value: Range<Int>) {
        var colon = line.lowerBound
        while colon < line.upperBound, CharacterClass.isToken(bytes[colon]) { colon += 1 }
        guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == UInt8(ascii: ":") else {
            throw .badRequest("a header line is folded, or its name is not a token followed by a colon")
        }
        var start = colon + 1
        var end = line.upperBound
        while start < end, bytes[start] == SP || bytes[start] == HT { start += 1 }
        while end > start, bytes[end - 1] == SP || bytes[end - 1] == HT { end -= 1 }
        for index in start..<end where !CharacterClass.isFieldValue(bytes[index]) {
            throw .badRequest("a header value has a control byte")
        }
        return (line.lowerBound..<colon, start..<end)
    }

    private mutating func takeHost(_ value: Range<Int>, _ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        hostCount += 1
        guard hostCount == 1 else { throw .badRequest("two Host headers") }
        guard !value.isEmpty, value.allSatisfy({ CharacterClass.isHost(bytes[$0]) }) else {
            throw .badRequest("the Host header is not a host and port")
        }
    }

    private mutating func takeContentLength(_ value: Range<Int>, _ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        guard contentLength == nil else { throw .badRequest("two Content-Length headers") }
        guard !value.isEmpty, value.allSatisfy({ Self.isDigit(bytes[$0]) }) else {
            throw .badRequest("Content-Length is not a number")
        }
        var length = 0
        for index in value {
            // Anything this long is over every limit; saturating keeps it so.
            length = length > 1 << 50 ? length : length * 10 + Int(bytes[index] - UInt8(ascii: "0"))
        }
        contentLength = length
    }

    private mutating func takeTransferEncoding(_ value: Range<Int>, _ bytes: UnsafeRawBufferPointer)
        throws(FramingError)
    {
        guard transferEncoding == .absent else { throw .badRequest("two Transfer-Encoding headers") }
        if Self.equalFolded(value, bytes, "chunked") {
            transferEncoding = .chunked
            return
        }
        var codings: [Range<Int>] = []
        for part in Self.listElements(value, bytes) {
            guard !part.isEmpty, part.allSatisfy({ CharacterClass.isToken(bytes[$0]) }) else {
                throw .badRequest("Transfer-Encoding is not a list of codings")
            }
            codings.append(part)
        }
        let chunkedBefore = codings.dropLast().contains { Self.equalFolded($0, bytes, "chunked") }
        guard !chunkedBefore else { throw .badRequest("chunked is not the last transfer coding") }
        transferEncoding = .unknown
    }

    private mutating func takeConnection(_ value: Range<Int>, _ bytes: UnsafeRawBufferPointer) {
        for part in Self.listElements(value, bytes) {
            if Self.equalFolded(part, bytes, "close") { connectionCloses = true }
            if Self.equalFolded(part, bytes, "keep-alive") { connectionKeepsAlive = true }
        }
    }

    // MARK: The end of the head

    private func finish() throws(FramingError) -> HTTPRequestHead {
        var head = head
        if head.minorVersion == 1, hostCount == 0 { throw .badRequest("no Host header") }
        switch (transferEncoding, contentLength) {
        case (.absent, let length): head.framing = .length(length ?? 0)
        case (_, .some): throw .badRequest("Content-Length beside Transfer-Encoding")
        case (_, nil) where head.minorVersion == 0: throw .badRequest("Transfer-Encoding in HTTP/1.0")
        case (.unknown, nil): throw .unknownTransferCoding
        case (.chunked, nil): head.framing = .chunked
        }
        if head.minorVersion == 1 {
            guard expectation != .unknown else { throw .unknownExpectation }
            head.expectsContinue = expectation == .continues && head.framing != .length(0)
        }
        head.keepsAlive = !connectionCloses && (head.minorVersion == 1 || connectionKeepsAlive)
        return head
    }
}

// MARK: - Bytes

var CR: UInt8 { UInt8(ascii: "\r") }
var SP: UInt8 { UInt8(ascii: " ") }
var HT: UInt8 { UInt8(ascii: "\t") }

extension HTTPHeadParser {
    static func lineFeed(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + start, 0x0A, bytes.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    static func equal(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount, let base = bytes.baseAddress else { return false }
        return memcmp(base + range.lowerBound, text.utf8Start, range.count) == 0
    }

    /// `text` must be lower case. Letters are compared without their case.
    static func equalFolded(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count {
            var byte = bytes[range.lowerBound + offset]
            if byte &- UInt8(ascii: "A") < 26 { byte |= 0x20 }
            guard byte == text.utf8Start[offset] else { return false }
        }
        return true
    }

    /// The elements of a comma-separated list, without the white space around them.
    static func listElements(_ value: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> [Range<Int>] {
        var elements: [Range<Int>] = []
        var start = value.lowerBound
        for index in value.lowerBound...value.upperBound
        where index == value.upperBound || bytes[index] == UInt8(ascii: ",") {
            var lower = start
            var upper = index
            while lower < upper, bytes[lower] == SP || bytes[lower] == HT { lower += 1 }
            while upper > lower, bytes[upper - 1] == SP || bytes[upper - 1] == HT { upper -= 1 }
            elements.append(lower..<upper)
            start = index + 1
        }
        return elements
    }
}

/// The character classes of RFC 9110 and RFC 3986: a bit for each ASCII character, in two words that are compiled in. A
/// table in a static would be asked for its initialisation at every byte.
enum CharacterClass {
    /// Letters, digits and ``!#$%&'*+-.^_`|~``.
    static func isToken(_ byte: UInt8) -> Bool { has(byte, 0x03FF_6CFA_0000_0000, 0x57FF_FFFF_C7FF_FFFE) }
    /// Letters, digits and `-._~!$&'()*+,;=:@/?%`.
    static func isTarget(_ byte: UInt8) -> Bool { has(byte, 0xAFFF_FFF2_0000_0000, 0x47FF_FFFE_87FF_FFFF) }
    /// Letters, digits and `-._~!$&'()*+,;=:[]%`.
    static func isHost(_ byte: UInt8) -> Bool { has(byte, 0x2FFF_7FF2_0000_0000, 0x47FF_FFFE_AFFF_FFFE) }
    /// Everything but control bytes; a tab is allowed.
    static func isFieldValue(_ byte: UInt8) -> Bool { (byte >= 0x20 && byte != 0x7F) || byte == 0x09 }

    @inline(__always)
    private static func has(_ byte: UInt8, _ low: UInt64, _ high: UInt64) -> Bool {
        byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 == 1
    }
}
