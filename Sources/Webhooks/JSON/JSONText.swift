/// Text out of a document: escapes resolved, damage repaired.
extension JSONValue {
    /// A string's text; `nil` for any other value.
    ///
    /// What a text in the database cannot hold becomes U+FFFD: `\u0000`, half a surrogate pair, bytes that are not
    /// UTF-8.
    var text: String? {
        guard isString else { return nil }
        return decoded().text
    }

    /// A string's text if it is not empty and nothing of it had to be repaired: for ids, where two different ones must
    /// never become the same.
    var exactText: String? {
        guard isString, content.count > 0 else { return nil }
        if !token.hasEscapes { return String(validating: content, as: UTF8.self) }
        let (text, isExact) = decoded()
        // Repairs of bad UTF-8 are seen by checking the bytes; escapes are ASCII and do not disturb.
        return isExact && String(validating: content, as: UTF8.self) != nil ? text : nil
    }

    /// The characters of a string between its quotes, or of a number: as they stand in the text, escapes and all.
    @inline(__always)
    var content: UnsafeBufferPointer<UInt8> {
        let quote = isString ? 1 : 0
        let start = Int(token.start) + quote
        return UnsafeBufferPointer(start: bytes + start, count: token.end - quote - start)
    }

    /// The characters of a string or number with escapes resolved, for the time of `body`.
    @inline(__always)
    func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        guard token.hasEscapes else { return body(content) }
        var text = decoded().text
        return text.withUTF8(body)
    }

    /// Bytes of a string's text: tells names of different lengths apart before they are compared.
    @inline(__always)
    var textLength: Int {
        let token = token
        return token.hasEscapes ? escapedTextLength : token.end - Int(token.start) - 2
    }

    @inline(never)
    private var escapedTextLength: Int { decoded().text.utf8.count }

    /// Whether this is a string with that text.
    @inline(__always)
    func isText(_ expected: StaticString) -> Bool {
        let token = token
        if token.hasEscapes { return isEscapedText(expected) }
        let start = Int(token.start) + 1
        let length = token.end - 1 - start
        guard length == expected.utf8CodeUnitCount, isString else { return false }
        let characters = bytes + start
        for offset in 0..<length where characters[offset] != expected.utf8Start[offset] { return false }
        return true
    }

    @inline(never)
    private func isEscapedText(_ expected: StaticString) -> Bool {
        var characters = JSONUnescaping(content)
        for offset in 0..<expected.utf8CodeUnitCount where characters.next() != expected.utf8Start[offset] {
            return false
        }
        return characters.next() == nil
    }

    /// Whether two strings or numbers have the same characters. It costs no more than the shorter of the two is long:
    /// one value is compared with each of a list, and both come from outside.
    func hasSameText(as other: JSONValue) -> Bool {
        if token.hasEscapes || other.token.hasEscapes { return hasSameUnescapedText(as: other) }
        let content = content
        let otherContent = other.content
        return content.count == otherContent.count && content.elementsEqual(otherContent)
            && (isString || isNumber) && (other.isString || other.isNumber)
    }

    @inline(never)
    private func hasSameUnescapedText(as other: JSONValue) -> Bool {
        guard isString || isNumber, other.isString || other.isNumber else { return false }
        var characters = JSONUnescaping(content)
        var otherCharacters = JSONUnescaping(other.content)
        while let byte = characters.next() {
            guard byte == otherCharacters.next() else { return false }
        }
        return otherCharacters.next() == nil
    }

    /// The text of a string, the digits of a number, `nil` for anything else.
    var scalarText: String? {
        if isString { return text }
        return isNumber ? String(decoding: content, as: UTF8.self) : nil
    }

    /// A whole number, written as a number or as a string; `nil` where it does not fit, is longer than
    /// `JSONText.integerLengthMax` or is written with an exponent. A fraction is cut off.
    var integer: Int64? {
        guard isNumber || isString, content.count <= JSONText.integerLengthMax else { return nil }
        return withCharacters(JSONText.integer)
    }

    private func decoded() -> (text: String, isExact: Bool) {
        let content = content
        guard token.hasEscapes else { return (String(decoding: content, as: UTF8.self), true) }
        var isExact = true
        // An escape is never shorter than what it stands for.
        let text = String(unsafeUninitializedCapacity: content.count) { out in
            JSONText.unescape(content, into: out, isExact: &isExact)
        }
        return (text, isExact)
    }
}

/// The escapes of a JSON string.
enum JSONText {
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    /// As many bytes as one character may have while it is written as an escape: `\u002b`.
    static let escapeLengthMax = 6

    /// In bytes as they stand in the text. One number may belong to each of many updates.
    static let integerLengthMax = 256

    /// An optional minus sign, at most eighteen digits (they never overflow, and nothing we read needs more), and
    /// perhaps a fraction, which is cut off.
    static func integer(_ characters: UnsafeBufferPointer<UInt8>) -> Int64? {
        let isNegative = characters.first == UInt8(ascii: "-")
        let digits = characters.dropFirst(isNegative ? 1 : 0)
        let whole = digits.prefix { $0 &- UInt8(ascii: "0") < 10 }
        guard (1...18).contains(whole.count) else { return nil }
        let rest = digits.dropFirst(whole.count)
        guard rest.isEmpty || rest.first == UInt8(ascii: "."),
            rest.dropFirst().allSatisfy({ $0 &- UInt8(ascii: "0") < 10 })
        else { return nil }
        let value = whole.reduce(Int64(0)) { $0 * 10 + Int64($1 &- UInt8(ascii: "0")) }
        return isNegative ? -value : value
    }

    /// Writes a string's characters with its escapes resolved.
    /// - Parameters:
    ///   - content: a string that the scanner has checked, without its quotes.
    ///   - out: room for as many bytes as `content` has.
    /// - Returns: the bytes written.
    static func unescape(
        _ content: UnsafeBufferPointer<UInt8>, into out: UnsafeMutableBufferPointer<UInt8>, isExact: inout Bool
    ) -> Int {
        var read = 0
        var written = 0
        while read < content.count {
            let byte = content[read]
            guard byte == UInt8(ascii: "\\") else {
                out[written] = byte
                read += 1
                written += 1
                continue
            }
            let letter = content[read + 1]
            read += 2
            guard letter == UInt8(ascii: "u") else {
                out[written] = single(letter)
                written += 1
                continue
            }
            let scalar = unicodeEscape(content, at: &read)
            if scalar == nil { isExact = false }
            for unit in UTF8.encode(scalar ?? "\u{FFFD}").unsafelyUnwrapped {
                out[written] = unit
                written += 1
            }
        }
        return written
    }

    /// What a backslash and one letter stand for.
    fileprivate static func single(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: letter
        }
    }

    /// Reads four hex digits at `position` and, after the first half of a surrogate pair, the second half's escape.
    /// - Returns: `nil` for U+0000 and for half a pair.
    fileprivate static func unicodeEscape(
        _ content: UnsafeBufferPointer<UInt8>, at position: inout Int
    ) -> Unicode.Scalar? {
        let unit = codeUnit(content, at: position)
        position += 4
        if unit == 0 { return nil }
        guard unit & 0xFC00 == 0xD800 else { return Unicode.Scalar(unit) }
        guard position + 6 <= content.count, content[position] == UInt8(ascii: "\\"),
            content[position + 1] == UInt8(ascii: "u")
        else { return nil }
        let second = codeUnit(content, at: position + 2)
        guard second & 0xFC00 == 0xDC00 else { return nil }
        position += 6
        return Unicode.Scalar(0x10000 + (unit & 0x3FF) << 10 + (second & 0x3FF))
    }

    private static func codeUnit(_ content: UnsafeBufferPointer<UInt8>, at position: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 << 4 | (hexValue(content[position + $1]) ?? 0) }
    }
}

/// The characters of a string one after the other, escapes resolved as `JSONText.unescape` does: for comparing, which
/// ends at the first difference.
private struct JSONUnescaping: IteratorProtocol {
    private let content: UnsafeBufferPointer<UInt8>
    private var position = 0
    /// What is left of the last escape.
    private var rest = Unicode.UTF8.EncodedScalar()

    init(_ content: UnsafeBufferPointer<UInt8>) { self.content = content }

    mutating func next() -> UInt8? {
        if !rest.isEmpty { return rest.removeFirst() }
        guard position < content.count else { return nil }
        let byte = content[position]
        position += 1
        guard byte == UInt8(ascii: "\\") else { return byte }
        let letter = content[position]
        position += 1
        guard letter == UInt8(ascii: "u") else { return JSONText.single(letter) }
        let scalar = JSONText.unicodeEscape(content, at: &position) ?? "\u{FFFD}"
        rest = UTF8.encode(scalar).unsafelyUnwrapped
        return rest.removeFirst()
    }
}
