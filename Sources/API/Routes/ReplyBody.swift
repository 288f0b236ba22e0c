import Conversations
import Hummingbird
import NIOCore

/// Reads the body of a reply: `{"text": "…", "quote": "…"}`.
enum ReplyBody {
    /// A text of 4,096 code units is at most 24 KiB of JSON, every unit written as an escape.
    static func read(_ request: Request, bytesMax: Int) async throws -> ReplyDraft {
        try checkType(request.headers)
        let body = try await collect(request, bytesMax: bytesMax)
        let json: JSON
        do throws(JSONError) { json = try JSON(parsing: body) } catch {
            throw Problem(
                .malformedJSON, "The body cannot be read as JSON: \(error.reason), at byte \(error.offset).",
                next: #"Send an object such as {"text": "Hello"}."#)
        }
        let (text, quote) = try fields(of: json)
        do throws(ReplyRefusal) { return try ReplyDraft(text: text, quotedMessageID: quote) } catch {
            throw Problem(error)
        }
    }

    private static func checkType(_ headers: HTTPFields) throws {
        let types = headers[values: .contentType]
        let type = types.first.map { $0.prefix { $0 != ";" && $0 != " " && $0 != "\t" }.lowercased() }
        guard types.count == 1, type == "application/json" else {
            throw Problem(
                .unsupportedMediaType, "The Content-Type is not application/json.",
                next: "Send JSON, with Content-Type: application/json.")
        }
        guard headers[values: .contentEncoding].allSatisfy({ $0.lowercased() == "identity" }) else {
            throw Problem(
                .unsupportedMediaType, "The body has a Content-Encoding.", next: "Send the body without compression.")
        }
    }

    private static func collect(_ request: Request, bytesMax: Int) async throws -> [UInt8] {
        let tooLarge = Problem(
            .bodyTooLarge, "The body has more than \(bytesMax) bytes.", next: "Send a shorter message.")
        let announced = request.headers[.contentLength].flatMap { Int($0) }
        if let announced, announced > bytesMax { throw tooLarge }
        var bytes: [UInt8] = []
        do {
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= bytesMax else { throw tooLarge }
                bytes += part.readableBytesView
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.malformedRequest, "The body did not arrive whole.", next: "Send the request again.")
        }
        guard announced == nil || announced == bytes.count else {
            throw Problem(
                .malformedRequest, "The body is shorter than its Content-Length.", next: "Send the request again.")
        }
        return bytes
    }

    private static func fields(of json: JSON) throws -> (text: String, quote: String?) {
        let next = #"Send an object with the fields text and, for a quote, quote: {"text": "Hello"}."#
        guard case .object(let members) = json else {
            throw Problem(.invalidMessage, "The body is not a JSON object.", next: next)
        }
        guard members.allSatisfy({ $0.name == "text" || $0.name == "quote" }) else {
            throw Problem(.invalidMessage, "The body has a field that is neither text nor quote.", next: next)
        }
        guard let text = json["text"]?.string else {
            throw Problem(.invalidMessage, "The field text is missing, or not a string.", next: next)
        }
        switch json["quote"] {
        case nil, .null: return (text, nil)
        case .string(let quote): return (text, quote)
        default: throw Problem(.invalidMessage, "The field quote is not a string.", next: next)
        }
    }
}
