import NIOCore
import Testing

@testable import Sandbox

@Suite struct AnswerParserTests {
    private static let acknowledged =
        "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"

    @Test(
        "an answer is read whole, however it comes in pieces",
        arguments: [
            (acknowledged, 200, false),
            ("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 503, true),
            ("HTTP/1.1 401 Unauthorized\r\nCONTENT-LENGTH:  3 \r\nconnection: Close\r\n\r\nabc", 401, true),
            ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, false),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, false),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!", 200, false),
        ])
    func pieces(text: String, status: Int, closes: Bool) throws {
        for split in 0...text.utf8.count {
            var (parser, buffer) = (AnswerParser(), ByteBuffer())
            var answers: [AnswerParser.Answer] = []
            for piece in [text.utf8.prefix(split), text.utf8.dropFirst(split)] {
                buffer.writeBytes(piece)
                while let answer = try parser.next(&buffer) { answers.append(answer) }
            }
            #expect(answers == [AnswerParser.Answer(status: status, closes: closes)], "split at \(split)")
            #expect(buffer.readableBytes == 0)
        }
    }

    @Test("several answers in one read are told apart")
    func several() throws {
        var (parser, buffer) = (AnswerParser(), ByteBuffer(string: Self.acknowledged + Self.acknowledged))
        #expect(try parser.next(&buffer)?.status == 200)
        #expect(try parser.next(&buffer)?.status == 200)
        #expect(try parser.next(&buffer) == nil)
    }

    @Test(
        "what cannot be followed is said so",
        arguments: [
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n",
            "\r\n\r\n", String(repeating: "a", count: 17 << 10),
        ])
    func unreadable(text: String) {
        var (parser, buffer) = (AnswerParser(), ByteBuffer(string: text))
        #expect(throws: AnswerParser.Failure.self) { try parser.next(&buffer) }
    }
}
