import NIOCore

/// As much of HTTP/1.1 as it takes to tell one answer from the next: status, `Content-Length`, `Connection: close`.
struct AnswerParser {
    struct Answer: Hashable {
        var status: Int
        /// The server ends the connection after it.
        var closes: Bool
    }

    /// Bytes that cannot be followed.
    struct Failure: Error, Hashable {
        let reason: String
    }

    private enum State {
        case head
        case body(Answer, missing: Int)
    }

    private static let headBytesMax = 16 << 10
    private var state = State.head

    /// The next whole answer, taken out of the buffer; `nil` while there is none.
    mutating func next(_ buffer: inout ByteBuffer) throws(Failure) -> Answer? {
        while true {
            switch state {
            case .head:
                guard let length = Self.headLength(buffer) else {
                    guard buffer.readableBytes <= Self.headBytesMax else {
                        throw Failure(reason: "its head never ends")
                    }
                    return nil
                }
                let head = buffer.withUnsafeReadableBytes { Self.head(UnsafeRawBufferPointer(rebasing: $0[..<length])) }
                let (answer, bodyLength) = try head.get()
                buffer.moveReaderIndex(forwardBy: length)
                if answer.status >= 200 { state = .body(answer, missing: bodyLength) }
            case .body(let answer, let missing):
                let count = min(missing, buffer.readableBytes)
                buffer.moveReaderIndex(forwardBy: count)
                state = count == missing ? .head : .body(answer, missing: missing - count)
                return count == missing ? answer : nil
            }
        }
    }

    /// Bytes up to and including the empty line.
    private static func headLength(_ buffer: ByteBuffer) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            var position = 3
            while position < bytes.count {
                if bytes[position] == LF, bytes[position - 1] == CR, bytes[position - 2] == LF { return position + 1 }
                position += 1
            }
            return nil
        }
    }

    private static func head(_ bytes: UnsafeRawBufferPointer) -> Result<(Answer, length: Int), Failure> {
        guard bytes.starts(with: "HTTP/1.1 ".utf8), let status = number(bytes.dropFirst(9).prefix(3)),
            (100...599).contains(status)
        else { return .failure(Failure(reason: "it does not begin with HTTP/1.1 and a status")) }
        var answer = Answer(status: status, closes: false)
        var length = status < 200 || status == 204 || status == 304 ? 0 : nil
        for line in bytes.split(separator: LF).dropFirst() {
            if let value = value(of: "content-length:", in: line) {
                length = number(value)
            } else if let value = value(of: "connection:", in: line), equal(value, "close") {
                answer.closes = true
            }
        }
        guard let length else { return .failure(Failure(reason: "it has no Content-Length")) }
        return .success((answer, length))
    }

    /// What stands behind a name (in lower case, with its colon), without the white space around it.
    private static func value(of name: String, in line: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer>?
    {
        guard equal(line.prefix(name.utf8.count), name) else { return nil }
        var value = line.dropFirst(name.utf8.count).drop { $0 <= 0x20 }
        while let last = value.last, last <= 0x20 { value.removeLast() }
        return value
    }

    /// - Parameter text: in lower case.
    private static func equal(_ bytes: Slice<UnsafeRawBufferPointer>, _ text: String) -> Bool {
        bytes.count == text.utf8.count
            && zip(bytes, text.utf8).allSatisfy { byte, wanted in
                byte == wanted || (0x41...0x5A).contains(byte) && byte | 0x20 == wanted
            }
    }

    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard (1...12).contains(digits.count) else { return nil }
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }
}

private let CR = UInt8(ascii: "\r")
private let LF = UInt8(ascii: "\n")
