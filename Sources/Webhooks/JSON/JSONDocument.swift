/// Why bytes are no JSON text.
enum JSONFault: Error, Equatable {
    /// Breaks the grammar of RFC 8259 at this byte (counted from 0), or ends too early.
    case malformed(offset: Int)
    /// Opens more than `JSONScanner.depthMax` lists and objects inside each other.
    case tooDeep(offset: Int)
}

/// Reads bytes as one JSON text in one pass and lends the root to `body`.
///
/// Values are views into the bytes and into an index beside them (12 bytes a value): both are gone when `body` returns,
/// so a value must not leave it. Nothing is copied out of the bytes until somebody asks for text.
func withJSONDocument<Result>(
    _ bytes: UnsafeRawBufferPointer, _ body: (JSONValue) -> Result
) throws(JSONFault) -> Result {
    // An empty or enormous body is no JSON; offsets of the index have 31 bits.
    guard let start = bytes.baseAddress, bytes.count > 0, bytes.count < 1 << 31 else {
        throw JSONFault.malformed(offset: 0)
    }
    var scanner = JSONScanner(start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
    try scanner.scanDocument()
    return body(JSONValue(bytes: scanner.bytes, tokens: scanner.tokens, index: 0))
}

/// One value of a document, found by its place in the index. Valid only inside `withJSONDocument`.
struct JSONValue {
    let bytes: UnsafePointer<UInt8>
    let tokens: UnsafeMutablePointer<JSONToken>
    /// Its place in the index: also the order in which values stand in the text.
    let index: Int

    @inline(__always)
    init(bytes: UnsafePointer<UInt8>, tokens: UnsafeMutablePointer<JSONToken>, index: Int) {
        self.bytes = bytes
        self.tokens = tokens
        self.index = index
    }

    @inline(__always)
    var token: JSONToken { tokens[index] }

    private var firstByte: UInt8 { bytes[Int(token.start)] }

    @inline(__always)
    var isObject: Bool { firstByte == UInt8(ascii: "{") }
    @inline(__always)
    var isArray: Bool { firstByte == UInt8(ascii: "[") }
    @inline(__always)
    var isString: Bool { firstByte == UInt8(ascii: "\"") }
    var isNull: Bool { firstByte == UInt8(ascii: "n") }
    var isTrue: Bool { firstByte == UInt8(ascii: "t") }
    var isNumber: Bool { firstByte == UInt8(ascii: "-") || firstByte &- UInt8(ascii: "0") < 10 }

    /// The bytes of the value itself, as they stand in the text: quotes and brackets included.
    var slice: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: bytes + Int(token.start), count: token.end - Int(token.start))
    }

    /// A copy of `slice`.
    var raw: [UInt8] { [UInt8](slice) }

    /// What an object holds, in the order of the text; empty for any other value.
    @inline(__always)
    var members: JSONMembers { JSONMembers(of: self) }

    /// What a list holds, in the order of the text; empty for any other value.
    @inline(__always)
    var elements: JSONElements { JSONElements(of: self) }

    /// The member of that name; the last one where a name stands twice, as in most readers of JSON.
    subscript(name: StaticString) -> JSONValue? {
        var found: JSONValue?
        for member in members where member.key.isText(name) { found = member.value }
        return found
    }

    /// The member named by another value's text: `message[message.type]`.
    subscript(name: JSONValue) -> JSONValue? {
        var found: JSONValue?
        for member in members where member.key.hasSameText(as: name) { found = member.value }
        return found
    }
}

/// A value's place in the text.
struct JSONToken {
    /// Its first byte.
    var start: UInt32
    /// The byte after its last; the highest bit says that a string holds escapes.
    var endAndEscapes: UInt32
    /// The index of the value after it and all it holds. While a list or object is being read: its parent's index.
    var next: UInt32

    static let escapesFlag: UInt32 = 1 << 31

    @inline(__always)
    var end: Int { Int(endAndEscapes & ~Self.escapesFlag) }
    @inline(__always)
    var hasEscapes: Bool { endAndEscapes & Self.escapesFlag != 0 }
}

/// The members of an object.
struct JSONMembers: Sequence, IteratorProtocol {
    private let owner: JSONValue
    private var position: Int
    private let end: Int

    @inline(__always)
    init(of owner: JSONValue) {
        self.owner = owner
        position = owner.index + 1
        end = owner.isObject ? Int(owner.token.next) : position
    }

    @inline(__always)
    mutating func next() -> (key: JSONValue, value: JSONValue)? {
        guard position < end else { return nil }
        let key = JSONValue(bytes: owner.bytes, tokens: owner.tokens, index: position)
        let value = JSONValue(bytes: owner.bytes, tokens: owner.tokens, index: position + 1)
        position = Int(value.token.next)
        return (key, value)
    }
}

/// The elements of a list.
struct JSONElements: Sequence, IteratorProtocol {
    private let owner: JSONValue
    private var position: Int
    private let end: Int

    @inline(__always)
    init(of owner: JSONValue) {
        self.owner = owner
        position = owner.index + 1
        end = owner.isArray ? Int(owner.token.next) : position
    }

    var isEmpty: Bool { position >= end }

    @inline(__always)
    mutating func next() -> JSONValue? {
        guard position < end else { return nil }
        let element = JSONValue(bytes: owner.bytes, tokens: owner.tokens, index: position)
        position = Int(element.token.next)
        return element
    }
}
