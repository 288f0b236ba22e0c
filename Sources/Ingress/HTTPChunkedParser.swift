/// Takes the frames off a chunked body, byte runs at a time, as strictly as the head is read. Pure.
///
/// Chunk extensions are refused: nobody who posts webhooks needs them, and implementations differ over where they end.
struct HTTPChunkedParser: Sendable {
    private enum State: Sendable {
        /// → sizeFeed, by CR
        case size(value: Int, digits: Int)
        /// → data, trailers (size 0)
        case sizeFeed(value: Int)
        /// → dataEnd
        case data(remaining: Int)
        /// → dataFeed
        case dataEnd
        /// → size
        case dataFeed
        /// Header lines after the last chunk. → finished, by an empty line
        case trailers(line: [UInt8])
        case finished
    }

    enum Step: Equatable {
        /// This run of the input belongs to the body.
        case body(Range<Int>)
        case needMore
        /// The message ends here; what follows is another one.
        case finished
    }

    private var state = State.size(value: 0, digits: 0)
    private var bodyBytes = 0
    private var trailerBytes = 0
    private let bodyBytesMax: Int
    private let trailerBytesMax: Int

    init(bodyBytesMax: Int, trailerBytesMax: Int) {
        self.bodyBytesMax = bodyBytesMax
        self.trailerBytesMax = trailerBytesMax
    }

    /// One step through `bytes` from `position` on, which it moves past what it used.
    mutating func next(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) throws(FramingError) -> Step {
        while position < bytes.count {
            let byte = bytes[position]
            switch state {
            case .size(let value, let digits):
                position += 1
                try takeSize(byte, value: value, digits: digits)
            case .sizeFeed(let value):
                guard byte == 0x0A else { throw .badRequest("a chunk size does not end in CR LF") }
                position += 1
                bodyBytes += value
                guard bodyBytes <= bodyBytesMax else { throw .bodyTooLarge }
                state = value == 0 ? .trailers(line: []) : .data(remaining: value)
            case .data(let remaining):
                let count = min(remaining, bytes.count - position)
                let run = position..<(position + count)
                position += count
                state = count == remaining ? .dataEnd : .data(remaining: remaining - count)
                return .body(run)
            case .dataEnd:
                guard byte == CR else { throw .badRequest("a chunk is longer than its size") }
                position += 1
                state = .dataFeed
            case .dataFeed:
                guard byte == 0x0A else { throw .badRequest("a chunk does not end in CR LF") }
                position += 1
                state = .size(value: 0, digits: 0)
            case .trailers(let line):
                position += 1
                state = .finished  // empties the case, so that the line is not copied
                try takeTrailer(byte, line)
                if case .finished = state { return .finished }
            case .finished: return .finished
            }
        }
        if case .finished = state { return .finished }
        return .needMore
    }

    private mutating func takeSize(_ byte: UInt8, value: Int, digits: Int) throws(FramingError) {
        let nibble: Int
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = Int(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = Int(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): nibble = Int(byte - UInt8(ascii: "A")) + 10
        case CR where digits > 0:
            state = .sizeFeed(value: value)
            return
        default: throw .badRequest("a chunk size is not hexadecimal digits followed by CR LF")
        }
        guard digits < 16 else { throw .badRequest("a chunk size has more than 16 digits") }
        guard value <= bodyBytesMax else { throw .bodyTooLarge }
        state = .size(value: value << 4 | nibble, digits: digits + 1)
    }

    private mutating func takeTrailer(_ byte: UInt8, _ before: consuming [UInt8]) throws(FramingError) {
        trailerBytes += 1
        guard trailerBytes <= trailerBytesMax else { throw .headersTooLarge }
        var line = before
        guard byte == 0x0A else {
            line.append(byte)
            state = .trailers(line: line)
            return
        }
        guard line.last == CR else { throw .badRequest("a trailer line does not end in CR LF") }
        if line.count == 1 {
            state = .finished
            return
        }
        let result = line.withUnsafeBytes { bytes -> Result<Void, FramingError> in
            do throws(FramingError) {
                let name = try HTTPHeadParser.field(0..<(bytes.count - 1), bytes).name
                for forbidden in ["content-length", "transfer-encoding", "host"] as [StaticString]
                where HTTPHeadParser.equalFolded(name, bytes, forbidden) {
                    throw .badRequest("a trailer changes the framing")
                }
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
        state = .trailers(line: [])
    }
}
