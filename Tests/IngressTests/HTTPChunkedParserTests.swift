import Testing

@testable import Ingress

@Suite("HTTPChunkedParser")
struct HTTPChunkedParserTests {
    private enum Outcome: Equatable {
        case body(String, rest: String)
        case unfinished
        case status(Int)
    }

    /// Feeds the text in pieces of `size` bytes.
    private static func read(_ text: String, size: Int) -> Outcome {
        var parser = HTTPChunkedParser(bodyBytesMax: 100, trailerBytesMax: 64)
        let bytes = Array(text.utf8)
        var body: [UInt8] = []
        var start = 0
        while start < bytes.count {
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            var position = 0
            do throws(FramingError) {
                var isOver = false
                while !isOver {
                    let step = try nextStep(&parser, piece, &position)
                    switch step {
                    case .body(let run): body += piece[run]
                    case .needMore: isOver = true
                    case .finished:
                        let rest = String(decoding: bytes[(start + position)...], as: UTF8.self)
                        return .body(String(decoding: body, as: UTF8.self), rest: rest)
                    }
                }
            } catch {
                return .status(WebhookResponse(error).status)
            }
            start += size
        }
        return .unfinished
    }

    private static func nextStep(
        _ parser: inout HTTPChunkedParser, _ piece: [UInt8], _ position: inout Int
    ) throws(FramingError) -> HTTPChunkedParser.Step {
        let result = piece.withUnsafeBytes { bytes -> Result<HTTPChunkedParser.Step, FramingError> in
            do throws(FramingError) { return .success(try parser.next(bytes, &position)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    @Test("Chunks become the body, however the bytes are cut", arguments: [1, 2, 3, 7, 1000])
    func joins(size: Int) {
        #expect(
            Self.read("5\r\nhello\r\n1\r\n \r\n00A\r\n0123456789\r\n0\r\n\r\nNEXT", size: size)
                == .body("hello 0123456789", rest: "NEXT"))
        #expect(Self.read("0\r\nX-Trailer: y\r\n\r\n", size: size) == .body("", rest: ""))
    }

    @Test(
        "Odd framing is refused, however the bytes are cut",
        arguments: [
            ("5;ext=1\r\nhello\r\n0\r\n\r\n", 400), ("5 \r\nhello\r\n0\r\n\r\n", 400), ("\r\n", 400), ("g\r\n", 400),
            ("-1\r\n", 400),
            ("0x5\r\nhello\r\n", 400), ("5\nhello\r\n", 400), ("5\r\nhello0\r\n\r\n", 400),
            ("5\r\nhello\n0\r\n\r\n", 400),
            ("5\r\nhell\r\n0\r\n\r\n", 400), ("5\rhello", 400), ("0\r\nbad trailer\r\n\r\n", 400),
            ("0\r\n folded: x\r\n\r\n", 400),
            ("0\r\nContent-Length: 5\r\n\r\n", 400), ("0\r\nTransfer-Encoding: chunked\r\n\r\n", 400), ("0\r\n\n", 400),
            ("00000000000000000\r\n\r\n", 400), ("ffffffffffffffff\r\n", 413), ("65\r\n", 413),
            ("64\r\n\(String(repeating: "a", count: 100))\r\n1\r\n", 413),
            ("0\r\nA: \(String(repeating: "a", count: 64))", 431),
        ])
    func refuses(text: String, status: Int) {
        for size in [1, 3, 1000] { #expect(Self.read(text, size: size) == .status(status)) }
    }

    @Test(
        "A body that stops early is unfinished, not complete",
        arguments: ["", "5", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\nA: b\r\n"])
    func waits(text: String) {
        #expect(Self.read(text, size: 1) == .unfinished)
    }
}
