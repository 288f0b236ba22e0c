import Messaging
import NIOCore
import Webhooks

/// What must be remembered of a request's head until its body is there.
struct WebhookRequest {
    let source: WebhookSource
    let keepsAlive: Bool
    private let authenticator: WebhookAuthenticator
    private let signature: SignatureHeader
    /// Where the first signature stood.
    private let signatureHeader: WebhookSignature.Header

    /// - Parameter bytes: the head; only the signature is copied out of it.
    init(
        _ head: HTTPRequestHead, _ source: WebhookSource, _ authenticator: WebhookAuthenticator,
        _ bytes: UnsafeRawBufferPointer
    ) {
        self.source = source
        self.authenticator = authenticator
        keepsAlive = head.keepsAlive
        var signature = SignatureHeader()
        var name = WebhookSignature.Header.webhookHMAC
        func take(_ field: HTTPRequestHead.HeaderValue, _ header: WebhookSignature.Header) {
            guard field.count > 0 else { return }
            if signature.occurrences == 0 { (signature.value, name) = (Array(bytes[field.first]), header) }
            signature.occurrences += field.count
        }
        if authenticator.scheme != .meta { take(head.webhookHMAC, .webhookHMAC) }
        if authenticator.scheme != .waha { take(head.hubSignature256, .hubSignature256) }
        signature.hasLegacy = authenticator.scheme.legacyHeaderName != nil && head.hubSignature.count > 0
        self.signature = signature
        signatureHeader = name
    }

    enum Outcome {
        case authentic(Envelope)
        case rejected(SignatureFault)
        case outOfMemory
    }

    func finish(_ body: UnsafeRawBufferPointer, now: () -> Timestamp) -> Outcome {
        do throws(SignatureFault) {
            try authenticator.verify(signature, body: body)
        } catch {
            return .rejected(error)
        }
        let stored = WebhookSignature(header: signatureHeader, value: signature.value).stored
        return .authentic(Envelope(source: source, receivedAt: now(), signature: stored, body: Array(body)))
    }

    /// `application/json`, with or without parameters. An absent type is taken for it.
    static func isJSON(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var end = range.lowerBound
        while end < range.upperBound, bytes[end] != UInt8(ascii: ";"), bytes[end] != SP, bytes[end] != HT { end += 1 }
        return HTTPHeadParser.equalFolded(range.lowerBound..<end, bytes, "application/json")
    }
}

/// Gathers or throws away the body of one request.
struct BodyReader {
    /// Bodies up to this size are not counted against the budget: there cannot be enough of them.
    static let smallBodyBytes = 64 << 10

    private enum Framing {
        case length(Int)
        /// The body so far, without its frames.
        case chunked(HTTPChunkedParser, ByteBuffer)
    }

    private var framing: Framing
    private(set) var reserved: Int

    init(_ framing: HTTPRequestHead.Framing, limits: IngressLimits) {
        switch framing {
        case .length(let length):
            self.framing = .length(length)
            reserved = length > Self.smallBodyBytes ? length : 0
        case .chunked:
            let parser = HTTPChunkedParser(bodyBytesMax: limits.bodyBytesMax, trailerBytesMax: limits.headerBytesMax)
            self.framing = .chunked(parser, ByteBuffer())
            reserved = 0
        }
    }

    /// Calls `finish` with the whole body once it is there; `nil` before.
    mutating func gather(
        _ buffer: inout ByteBuffer, budget: BodyBudget, _ finish: (UnsafeRawBufferPointer) -> WebhookRequest.Outcome
    ) throws(FramingError) -> WebhookRequest.Outcome? {
        switch framing {
        case .length(let length):
            guard buffer.readableBytes >= length else { return nil }
            let outcome = buffer.withUnsafeReadableBytes { finish(UnsafeRawBufferPointer(rebasing: $0[..<length])) }
            buffer.moveReaderIndex(forwardBy: length)
            return outcome
        case .chunked(var parser, var body):
            framing = .length(0)  // empties the case, so that the body is not copied
            let isFinished = try Self.unframe(&parser, &buffer) { body.writeBytes($0) }
            if isFinished { return body.withUnsafeReadableBytes(finish) }
            let wanted = body.readableBytes > Self.smallBodyBytes ? body.capacity : 0
            if wanted > reserved {
                guard budget.reserve(wanted - reserved) else { return .outOfMemory }
                reserved = wanted
            }
            framing = .chunked(parser, body)
            return nil
        }
    }

    /// Throws bytes of the body away; `true` once all have gone by.
    mutating func discard(_ buffer: inout ByteBuffer) throws(FramingError) -> Bool {
        switch framing {
        case .length(let length):
            let count = min(length, buffer.readableBytes)
            buffer.moveReaderIndex(forwardBy: count)
            framing = .length(length - count)
            return count == length
        case .chunked(var parser, let body):
            let isFinished = try Self.unframe(&parser, &buffer) { _ in }
            framing = .chunked(parser, body)
            return isFinished
        }
    }

    private static func unframe(
        _ parser: inout HTTPChunkedParser, _ buffer: inout ByteBuffer, _ take: (UnsafeRawBufferPointer) -> Void
    ) throws(FramingError) -> Bool {
        var position = 0
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<Bool, FramingError> in
            do throws(FramingError) {
                while true {
                    switch try parser.next(bytes, &position) {
                    case .body(let run): take(UnsafeRawBufferPointer(rebasing: bytes[run]))
                    case .needMore: return .success(false)
                    case .finished: return .success(true)
                    }
                }
            } catch { return .failure(error) }
        }
        buffer.moveReaderIndex(forwardBy: position)
        return try result.get()
    }
}
