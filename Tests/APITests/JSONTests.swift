import Testing

@testable import API

@Suite struct JSONTests {
    @Test(
        "Well-formed text is read",
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("[false]", [.bool(false)]), ("-0.5e+2", .number(-50)),
            ("0", .number(0)), (#""a\n\u0041\/\ud83d\ude00é""#, .string("a\nA/😀é")), (#""\u0000""#, .string("\0")),
            (#"{"a":1,"b":{"a":[]}}"#, ["a": 1, "b": ["a": []]]), ("{}", .object([])), ("\t[\r\n]", .array([])),
        ] as [(String, JSON)])
    func reads(text: String, value: JSON) throws {
        #expect(try JSON(parsing: Array(text.utf8)) == value)
    }

    @Test(
        "Anything else is refused, with the place",
        arguments: [
            ("", 0), (" ", 1), ("{", 1), ("[1,]", 3), (#"{"a":1,}"#, 7), (#"{"a" 1}"#, 5), (#"{"a":1 "b":2}"#, 7),
            (#"{a:1}"#, 1), ("01", 1), ("1.", 2), ("1e", 2), ("+1", 0), ("-", 1), (".5", 0), ("nul", 0), ("NaN", 0),
            ("1 2", 2), (#""a"#, 2), ("\"a\nb\"", 2), (#""\x""#, 3), (#""\ud800""#, 7), (#""\udc00""#, 7),
            (#""\ud800\u0041""#, 13), (#""\u12g4""#, 5), ("1e999", 0), (#"{"a":1,"\u0061":2}"#, 7),
            ("{\"a\":1}\u{0}", 7), ("\u{FEFF}{}", 0), ("'a'", 0), ("[1}", 2), ("// c", 0),
        ])
    func refuses(text: String, offset: Int) throws {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: Array(text.utf8)) }
        #expect(error?.offset == offset)
    }

    @Test("Bytes that are not UTF-8 are refused", arguments: [[0x22, 0xFF, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]])
    func notUTF8(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
    }

    @Test("Nesting ends at 32 levels")
    func nesting() {
        let nested = { (depth: Int) in
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        #expect(throws: Never.self) { try JSON(parsing: nested(32)) }
        #expect(throws: JSONError.self) { try JSON(parsing: nested(33)) }
        #expect(throws: JSONError.self) { try JSON(parsing: Array(repeating: UInt8(ascii: "["), count: 100_000)) }
    }

    @Test("What is written can be read back")
    func roundTrip() throws {
        let value: JSON = [
            "text": "line\nbreak\t\"quoted\" \\ \u{1}\u{7F} é 😀 \0", "whole": .number(9_007_199_254_740_991),
            "part": .number(0.1), "nothing": .null, "list": [1, [], [:], .bool(true)],
        ]
        #expect(try JSON(parsing: value.bytes) == value)
        #expect(String(decoding: (["n": 12, "s": "a/b"] as JSON).bytes, as: UTF8.self) == #"{"n":12,"s":"a/b"}"#)
    }

    @Test(
        "A NUL is found wherever it hides",
        arguments: [(#"{"a":["\u0000"]}"#, true), (#"{"\u0000":1}"#, true), (#"{"a":["\u0001"]}"#, false)])
    func nul(text: String, holds: Bool) throws {
        #expect(try JSON(parsing: Array(text.utf8)).holdsNUL == holds)
    }
}

@Suite struct Base64URLTests {
    @Test(
        "Bytes and text of RFC 4648, without padding",
        arguments: [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")])
    func vectors(plain: String, encoded: String) {
        #expect(Base64URL.encode(plain.utf8) == encoded)
        #expect(Base64URL.decode(encoded.utf8) == Array(plain.utf8))
    }

    @Test("The alphabet is the one for URLs")
    func alphabet() {
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
        #expect(Base64URL.decode("-_8".utf8) == [0xFB, 0xFF])
    }

    @Test(
        "Every other spelling is refused",
        arguments: ["Zg==", "Zh", "Zm9", "Z", "Zm9vZ", "+/8", "Zm 9v", "Zm9v\n", "Zé"])
    func refused(text: String) {
        #expect(Base64URL.decode(text.utf8) == nil)
    }
}
