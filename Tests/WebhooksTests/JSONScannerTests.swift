import Foundation
import Testing

@testable import Webhooks

@Suite struct JSONScannerTests {
    @Test func `the test suite is there`() {
        #expect(Fixtures.jsonTestSuite.count == 318)
        #expect(Fixtures.metaSamples.count == 78)
        #expect(Fixtures.wahaSamples.count == 44)
    }

    @Test(arguments: Fixtures.jsonTestSuite)
    func `takes what is JSON, refuses what is not, and survives the rest`(path: String) throws {
        let bytes = try Fixtures.bytes(path)
        let name = path.split(separator: "/").last ?? ""
        let isAccepted = accepts(bytes)
        if name.hasPrefix("y_") { #expect(isAccepted) }
        if name.hasPrefix("n_") { #expect(!isAccepted) }
    }

    @Test(arguments: Fixtures.jsonTestSuite.filter { $0.contains("/y_") } + Fixtures.metaSamples + Fixtures.wahaSamples)
    func `reads the same values as Foundation`(path: String) throws {
        let bytes = try Fixtures.bytes(path)
        // The one file whose text we repair on purpose: U+0000.
        guard !path.contains("null_escape"), !path.contains("escaped_null") else { return }
        let expected = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        try bytes.withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { #expect($0.means(expected)) }
        }
    }

    /// Files of which RFC 8259 leaves open whether they are read.
    @Test(arguments: Fixtures.jsonTestSuite.filter { $0.contains("/i_") })
    func `reads the same values as Foundation where both take what may be refused`(path: String) throws {
        let bytes = try Fixtures.bytes(path)
        guard accepts(bytes), String(validating: bytes, as: UTF8.self) != nil,
            let expected = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        else { return }
        try bytes.withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { #expect($0.means(expected)) }
        }
    }

    @Test(arguments: Fixtures.metaSamples.prefix(12))
    func `every prefix of a webhook is refused`(path: String) throws {
        let bytes = try Fixtures.bytes(path)
        for length in 0..<bytes.count { #expect(!accepts(Array(bytes[..<length])), "prefix of \(length) bytes") }
    }

    @Test func `depth is bounded, and exactly`() {
        let deepest =
            [UInt8](repeating: UInt8(ascii: "["), count: 512) + [UInt8](repeating: UInt8(ascii: "]"), count: 512)
        #expect(accepts(deepest))
        let deeper = Array("[".utf8) + deepest + Array("]".utf8)
        #expect(throws: JSONFault.tooDeep(offset: 512)) { try scan(deeper) }
    }

    @Test(
        arguments: [
            ("", 0), (" ", 1), ("{", 1), ("[1,]", 3), ("{\"a\":1,}", 7), ("{\"a\" 1}", 5), ("01", 1), ("-", 1),
            ("1.", 2),
            ("1e", 2), ("tru", 0), ("nul1", 0), ("\"a", 2), ("\"\\x\"", 1), ("\"\\u12g4\"", 1), ("\"\u{1}\"", 1),
            ("[1]]", 3),
            ("[1}", 2), ("{1:2}", 1), ("\u{FEFF}{}", 0), ("[1] x", 4), ("\"abcdefgh\u{1F}ijklmnop\"", 9),
        ] as [(String, Int)])
    func `names the byte where it stops being JSON`(text: String, offset: Int) {
        #expect(throws: JSONFault.malformed(offset: offset)) { try scan(Array(text.utf8)) }
    }

    @Test(
        arguments: [
            (#""plain""#, "plain"), (#""""#, ""), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
            (#""\u00e9""#, "é"),
            (#""\ud83d\ude00""#, "😀"), (#""\uD83D\uDE00!""#, "😀!"), (#""\ud83d""#, "\u{FFFD}"),
            (#""\ude00x""#, "\u{FFFD}x"),
            (#""\ud83d\ud83d\ude00""#, "\u{FFFD}😀"), (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""a\u0000b""#, "a\u{FFFD}b"),
            (#""\ud83dab""#, "\u{FFFD}ab"), (#""http:\/\/x""#, "http://x"), (#""\u2028""#, "\u{2028}"),
            (#""é😀 and more text, longer than eight bytes""#, "é😀 and more text, longer than eight bytes"),
        ])
    func `resolves escapes and repairs what text cannot hold`(json: String, expected: String) throws {
        try Array(json.utf8).withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { value in
                #expect(value.text == expected)
                let isWhole = !expected.contains("\u{FFFD}") && !expected.isEmpty
                #expect(value.exactText == (isWhole ? expected : nil))
            }
        }
    }

    @Test func `repairs bytes that are not UTF-8`() throws {
        try ([0x22, 0x61, 0xFF, 0x62, 0x22] as [UInt8]).withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { value in
                #expect(value.text == "a\u{FFFD}b")
                #expect(value.exactText == nil)
            }
        }
    }

    @Test(
        arguments: [
            ("12", 12), ("\"12\"", 12), ("-3", -3), ("0", 0), ("1710481111.853", 1_710_481_111), ("1e3", nil),
            ("\"\"", nil),
            ("\"12 \"", nil), ("null", nil), ("[1]", nil), ("999999999999999999", 999_999_999_999_999_999),
            ("1000000000000000000", nil), ("\"0x12\"", nil), ("\"-\"", nil), ("\"1.x\"", nil), ("true", nil),
        ] as [(String, Int64?)])
    func `reads whole numbers written either way`(json: String, expected: Int64?) throws {
        try Array(json.utf8).withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { #expect($0.integer == expected) }
        }
    }

    @Test func `of two members of one name the last counts`() throws {
        let json = Array(#"{"a":1,"b":2,"\u0061":3}"#.utf8)
        try json.withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { #expect($0["a"]?.integer == 3) }
        }
        let foundation = try JSONSerialization.jsonObject(with: Data(json)) as? [String: Int]
        #expect(foundation?["a"] == 3)
    }

    @Test(arguments: ["[", "{\"a\":", "[{},", "[[],", "1,", "{},", "\"\\u0000"])
    func `four megabytes of one thing are read or refused`(unit: String) {
        let count = 4 * 1024 * 1024 / unit.utf8.count
        let bytes = Array(String(repeating: unit, count: count).utf8)
        #expect(!accepts(bytes))
    }
}
