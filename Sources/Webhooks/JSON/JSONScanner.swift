/// Reads a JSON text once, from the first byte to the last, checks it against RFC 8259 and writes down where each value
/// stands. It allocates one index and nothing else, and does not recurse: an open list or object keeps its parent's
/// place in its own entry of the index until it is closed.
///
/// Strict about everything but one thing: bytes inside a string are not checked to be UTF-8. A single bad byte in one
/// message would make the whole webhook unreadable; it is repaired where text is taken out instead, see
/// `JSONValue.text`.
struct JSONScanner: ~Copyable {
    /// As deep as Foundation reads; real webhooks stay under 20.
    static let depthMax = 512

    let bytes: UnsafePointer<UInt8>
    private let count: Int
    private var position = 0

    private(set) var tokens: UnsafeMutablePointer<JSONToken>
    private var tokenCount = 0
    private var tokenCapacity: Int

    /// The innermost list or object that is not closed yet.
    private var open = noParent
    private var depth = 0

    private static let noParent = UInt32.max

    init(_ bytes: UnsafePointer<UInt8>, count: Int) {
        self.bytes = bytes
        self.count = count
        tokenCapacity = count / 8 + 16
        tokens = .allocate(capacity: tokenCapacity)
    }

    deinit { tokens.deallocate() }

    /// Reads everything. Afterwards `tokens[0]` is the root.
    mutating func scanDocument() throws(JSONFault) {
        skipSpace()
        repeat {
            while try scanValue() {}
        } while try climb()
        skipSpace()
        guard position == count else { throw malformed }
    }

    private var malformed: JSONFault { .malformed(offset: position) }

    /// - Returns: `true` when it opened a list or object that holds something: the next value is its first.
    @inline(__always)
    private mutating func scanValue() throws(JSONFault) -> Bool {
        guard position < count else { throw malformed }
        switch bytes[position] {
        case UInt8(ascii: "\""):
            try scanString()
            return false
        case UInt8(ascii: "{"):
            try openContainer()
            if position < count, bytes[position] == UInt8(ascii: "}") {
                closeContainer()
                return false
            }
            try scanKey()
            return true
        case UInt8(ascii: "["):
            try openContainer()
            if position < count, bytes[position] == UInt8(ascii: "]") {
                closeContainer()
                return false
            }
            return true
        case UInt8(ascii: "t"): try scanWord("true")
        case UInt8(ascii: "f"): try scanWord("false")
        case UInt8(ascii: "n"): try scanWord("null")
        default: try scanNumber()
        }
        return false
    }

    /// After a value: closes what ends here.
    /// - Returns: `true` when another value follows, `false` when the root is complete.
    @inline(__always)
    private mutating func climb() throws(JSONFault) -> Bool {
        while open != Self.noParent {
            skipSpace()
            guard position < count else { throw malformed }
            let isObject = bytes[Int(tokens[Int(open)].start)] == UInt8(ascii: "{")
            switch bytes[position] {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
                if isObject { try scanKey() }
                return true
            case UInt8(ascii: "}") where isObject: closeContainer()
            case UInt8(ascii: "]") where !isObject: closeContainer()
            default: throw malformed
            }
        }
        return false
    }

    private mutating func openContainer() throws(JSONFault) {
        guard depth < Self.depthMax else { throw JSONFault.tooDeep(offset: position) }
        depth += 1
        let parent = open
        open = UInt32(truncatingIfNeeded: tokenCount)
        append(JSONToken(start: UInt32(truncatingIfNeeded: position), endAndEscapes: 0, next: parent))
        position += 1
        skipSpace()
    }

    private mutating func closeContainer() {
        position += 1
        depth -= 1
        let closed = Int(open)
        open = tokens[closed].next
        tokens[closed].endAndEscapes = UInt32(truncatingIfNeeded: position)
        tokens[closed].next = UInt32(truncatingIfNeeded: tokenCount)
    }

    /// A name, the colon after it, and the space up to the value.
    @inline(__always)
    private mutating func scanKey() throws(JSONFault) {
        guard position < count, bytes[position] == UInt8(ascii: "\"") else { throw malformed }
        try scanString()
        skipSpace()
        guard position < count, bytes[position] == UInt8(ascii: ":") else { throw malformed }
        position += 1
        skipSpace()
    }

    @inline(__always)
    private mutating func skipSpace() {
        while position < count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    @inline(__always)
    private mutating func appendScalar(from start: Int, flag: UInt32 = 0) {
        append(
            JSONToken(
                start: UInt32(truncatingIfNeeded: start), endAndEscapes: UInt32(truncatingIfNeeded: position) | flag,
                next: UInt32(truncatingIfNeeded: tokenCount + 1)))
    }

    @inline(__always)
    private mutating func append(_ token: JSONToken) {
        if tokenCount == tokenCapacity { growIndex() }
        (tokens + tokenCount).initialize(to: token)
        tokenCount += 1
    }

    private mutating func growIndex() {
        // No text has more values than bytes.
        let larger = min(tokenCapacity * 2, count + 1)
        let moved = UnsafeMutablePointer<JSONToken>.allocate(capacity: larger)
        moved.moveInitialize(from: tokens, count: tokenCount)
        tokens.deallocate()
        tokens = moved
        tokenCapacity = larger
    }
}

// MARK: - Scalars

extension JSONScanner {
    @inline(__always)
    private mutating func scanString() throws(JSONFault) {
        let start = position
        var flag: UInt32 = 0
        position += 1
        while true {
            skipPlainText()
            guard position < count else { throw malformed }
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                appendScalar(from: start, flag: flag)
                return
            case UInt8(ascii: "\\"):
                flag = JSONToken.escapesFlag
                try scanEscape()
            case 0..<0x20: throw malformed
            default: position += 1
            }
        }
    }

    /// Eight bytes at a time, up to the first that means something (a quote, a backslash, a control byte) or to the
    /// last seven bytes of the text. The byte it stops at may still be plain.
    @inline(__always)
    private mutating func skipPlainText() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        while position + 8 <= count {
            let word = UInt64(
                littleEndian: UnsafeRawPointer(bytes + position).loadUnaligned(as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            // A byte below n leaves its high bit in (x - n) & ~x; the lowest such bit is always a true one.
            let hits =
                ((word &- ones &* 0x20) & ~word | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash) & highs
            if hits != 0 {
                position += hits.trailingZeroBitCount >> 3
                return
            }
            position += 8
        }
    }

    private mutating func scanEscape() throws(JSONFault) {
        guard position + 1 < count else { throw malformed }
        switch bytes[position + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 2
        case UInt8(ascii: "u"):
            guard position + 6 <= count else { throw malformed }
            for offset in 2..<6 where JSONText.hexValue(bytes[position + offset]) == nil { throw malformed }
            position += 6
        default: throw malformed
        }
    }

    private mutating func scanWord(_ word: StaticString) throws(JSONFault) {
        let length = word.utf8CodeUnitCount
        let start = position
        guard start + length <= count else { throw malformed }
        for offset in 0..<length where bytes[start + offset] != word.utf8Start[offset] { throw malformed }
        position += length
        appendScalar(from: start)
    }

    /// `-`? integer fraction? exponent?; what follows is for `climb` to judge.
    private mutating func scanNumber() throws(JSONFault) {
        let start = position
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        if position < count, bytes[position] == UInt8(ascii: "0") {
            position += 1
        } else {
            try scanDigits()
        }
        if position < count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            try scanDigits()
        }
        if position < count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            try scanDigits()
        }
        appendScalar(from: start)
    }

    /// At least one digit.
    private mutating func scanDigits() throws(JSONFault) {
        let start = position
        while position < count, bytes[position] &- UInt8(ascii: "0") < 10 { position += 1 }
        guard position > start else { throw malformed }
    }
}
