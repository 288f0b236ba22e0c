import Journal
import Messaging
import NIOCore
import Webhooks

/// The life of the requests on one connection, one after the other. Pure: bytes and news go in, one action comes out.
///
/// ```
///          head complete                      body complete, signature good
///  ┌──────┐ ──────────▶ ┌──────────────┐ ───────────────────────────────────▶ ┌─────────┐
///  │ head │             │ body         │                                      │ journal │──▶ respond ─▶ head
///  └──────┘ ──┐         └──────────────┘ ──▶ respond (401, 413…) ─▶ head      └─────────┘
///     │       └────────▶ ┌──────────────┐
///     │   404 405 415    │ discard body │ ─────────▶ respond ─▶ head
///     │                  └──────────────┘
///     └── framing error ─────────────────▶ respond, then linger: nothing more is parsed
/// ```
/// While a webhook waits for the disk nothing else of its connection is parsed, so pipelined answers keep their order.
struct WebhookRequestStateMachine {
    enum Action {
        /// Nothing to do until more bytes or news come.
        case wait
        /// Write `100 Continue`, then ask again.
        case invite
        /// Give the envelope to the journal, then tell `journaled` or `refused`.
        case append(Envelope)
        /// Write an answer, then ask again; `.wait` follows a closing one.
        case respond(WebhookResponse, closing: Bool, label: String)
    }

    /// What the connection is doing, as far as clocks care.
    enum Phase: Equatable {
        case idle
        case head
        case body
        case journal
        case lingering
    }

    private enum State {
        case head(HTTPHeadParser)
        case body(WebhookRequest, BodyReader)
        case discard(WebhookResponse, BodyReader, keepsAlive: Bool, label: String)
        case journal(keepsAlive: Bool)
        case lingering
    }

    private let limits: IngressLimits
    private let verification: WebhookVerification
    private let budget: BodyBudget
    private var state: State
    private var hasInput = false
    /// Requests answered so far: tells two heads in a row apart.
    private(set) var answered = 0

    init(limits: IngressLimits, verification: WebhookVerification, budget: BodyBudget) {
        self.limits = limits
        self.verification = verification
        self.budget = budget
        state = .head(HTTPHeadParser(targetBytesMax: limits.targetBytesMax, headerBytesMax: limits.headerBytesMax))
    }

    var phase: Phase {
        switch state {
        case .head: hasInput ? .head : .idle
        case .body, .discard: .body
        case .journal: .journal
        case .lingering: .lingering
        }
    }

    /// What to do with the bytes received so far; those that are used up are taken from the buffer.
    /// - Parameter now: asked for once a webhook is complete.
    mutating func next(_ buffer: inout ByteBuffer, now: () -> Timestamp) -> Action {
        switch state {
        case .head(var parser):
            hasInput = buffer.readableBytes > 0
            guard hasInput else { return .wait }
            do throws(FramingError) {
                guard let (head, size) = try Self.parse(&parser, buffer) else {
                    state = .head(parser)
                    return .wait
                }
                let action = begin(head, buffer)
                buffer.moveReaderIndex(forwardBy: size)
                return action ?? next(&buffer, now: now)
            } catch {
                return fail(error)
            }
        case .body(let request, var body):
            state = .lingering  // empties the case, so that the body is not copied
            return gather(request, &body, &buffer, now: now)
        case .discard(let response, var body, let keepsAlive, let label):
            state = .lingering
            do throws(FramingError) {
                guard try body.discard(&buffer) else {
                    state = .discard(response, body, keepsAlive: keepsAlive, label: label)
                    return .wait
                }
            } catch {
                return fail(error)
            }
            return answer(response, keepsAlive: keepsAlive, label: label)
        case .journal: return .wait
        case .lingering:
            buffer.clear()
            return .wait
        }
    }

    /// The envelope is durable.
    mutating func journaled(_ receipt: DurabilityReceipt) -> Action {
        guard case .journal(let keepsAlive) = state else { preconditionFailure("a receipt nobody waits for") }
        return answer(.acknowledged(receipt), keepsAlive: keepsAlive, label: "acknowledged")
    }

    /// The journal did not take the envelope, or could not write it.
    mutating func refused(_ error: JournalError) -> Action {
        guard case .journal(let keepsAlive) = state else { preconditionFailure("a refusal nobody waits for") }
        return answer(.unavailable(retryAfterSeconds: 5), keepsAlive: keepsAlive, label: Self.label(error.code))
    }

    /// The time of the present phase is over.
    mutating func timedOut() -> Action {
        switch phase {
        case .head, .body:
            releaseBody()
            state = .lingering
            return .respond(.timeout, closing: true, label: "timeout")
        case .idle, .journal, .lingering: return .wait
        }
    }

    /// The connection is gone; what it had reserved is given back.
    mutating func closed() {
        releaseBody()
        state = .lingering
    }

    private func releaseBody() {
        if case .body(_, let body) = state { budget.release(body.reserved) }
    }
}

// MARK: - A head is complete

extension WebhookRequestStateMachine {
    private static func parse(
        _ parser: inout HTTPHeadParser, _ buffer: ByteBuffer
    ) throws(FramingError) -> (head: HTTPRequestHead, size: Int)? {
        let result = buffer.withUnsafeReadableBytes {
            bytes -> Result<(head: HTTPRequestHead, size: Int)?, FramingError> in
            do throws(FramingError) { return .success(try parser.parse(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Order of checks: path, method, size, content type and encoding; the signature when the body is there.
    private mutating func begin(_ head: HTTPRequestHead, _ buffer: ByteBuffer) -> Action? {
        buffer.withUnsafeReadableBytes { bytes in
            guard let (source, query) = WebhookPath.find(head.target, bytes),
                let authenticator = verification.authenticator(for: source)
            else { return refuse(head, .notFound, "path") }
            switch head.method {
            case .get where source == .meta:
                let (response, label) = verification.answer(handshake: bytes[query])
                return refuse(head, response, label)
            case .post: return beginPost(head, WebhookRequest(head, source, authenticator, bytes), bytes)
            case .get, .other: return refuse(head, .methodNotAllowed(allow: WebhookPath.allow(source)), "method")
            }
        }
    }

    private mutating func beginPost(
        _ head: HTTPRequestHead, _ request: @autoclosure () -> WebhookRequest, _ bytes: UnsafeRawBufferPointer
    ) -> Action? {
        if case .length(let length) = head.framing, length > limits.bodyBytesMax {
            state = .lingering
            return .respond(.bodyTooLarge, closing: true, label: "size")
        }
        let isJSON = head.contentType.map { WebhookRequest.isJSON($0, bytes) } ?? true
        guard isJSON, !head.hasContentEncoding else { return refuse(head, .unsupportedMediaType, "media_type") }
        let body = BodyReader(head.framing, limits: limits)
        guard budget.reserve(body.reserved) else { return refuse(head, .unavailable(retryAfterSeconds: 5), "memory") }
        state = .body(request(), body)
        return head.expectsContinue ? .invite : nil
    }

    /// The answer is known; the body must go by before the next request can be read.
    private mutating func refuse(_ head: HTTPRequestHead, _ response: WebhookResponse, _ label: String) -> Action? {
        switch head.framing {
        case .length(0): return answer(response, keepsAlive: head.keepsAlive, label: label)
        case .length(let length) where length > limits.bodyBytesMax || head.expectsContinue:
            state = .lingering
            return .respond(response, closing: true, label: label)
        case .chunked where head.expectsContinue:
            state = .lingering
            return .respond(response, closing: true, label: label)
        case .length, .chunked:
            state = .discard(
                response, BodyReader(head.framing, limits: limits), keepsAlive: head.keepsAlive, label: label)
            return nil
        }
    }
}

// MARK: - A body is complete

extension WebhookRequestStateMachine {
    private mutating func gather(
        _ request: WebhookRequest, _ body: inout BodyReader, _ buffer: inout ByteBuffer, now: () -> Timestamp
    ) -> Action {
        do throws(FramingError) {
            guard
                let outcome = try body.gather(
                    &buffer, budget: budget,
                    { bytes in
                        request.finish(bytes, now: now)
                    })
            else {
                state = .body(request, body)
                return .wait
            }
            budget.release(body.reserved)
            switch outcome {
            case .authentic(let envelope):
                state = .journal(keepsAlive: request.keepsAlive)
                return .append(envelope)
            case .rejected(let fault):
                return answer(.badSignature, keepsAlive: request.keepsAlive, label: "signature_\(fault.rawValue)")
            case .outOfMemory:
                state = .lingering
                return .respond(.unavailable(retryAfterSeconds: 5), closing: true, label: "memory")
            }
        } catch {
            budget.release(body.reserved)
            return fail(error)
        }
    }

    private mutating func answer(_ response: WebhookResponse, keepsAlive: Bool, label: String) -> Action {
        answered += 1
        if keepsAlive {
            state = .head(HTTPHeadParser(targetBytesMax: limits.targetBytesMax, headerBytesMax: limits.headerBytesMax))
            hasInput = false
        } else {
            state = .lingering
        }
        return .respond(response, closing: !keepsAlive, label: label)
    }

    private mutating func fail(_ error: FramingError) -> Action {
        state = .lingering
        return .respond(WebhookResponse(error), closing: true, label: "framing")
    }

    private static func label(_ code: JournalError.Code) -> String {
        switch code {
        case .full: "journal_full"
        case .diskFull: "disk_full"
        case .syncFailed: "sync_failed"
        case .locked, .unreadable, .closed: "journal_closed"
        case .notRecorded: "record_timeout"
        case .tooManyUnrecorded: "record_backlog"
        }
    }
}
