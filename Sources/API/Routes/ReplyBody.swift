import Conversations
import Hummingbird

/// Reads the body of a reply: `{"text": "…", "quote": "…"}`.
enum ReplyBody {
    /// A text of 4,096 code units is at most 24 KiB of JSON, every unit written as an escape.
    static func read(_ request: Request, bytesMax: Int) async throws -> ReplyDraft {
        let json = try await RequestBody.json(request, bytesMax: bytesMax, example: #"{"text": "Hello"}"#)
        let (text, quote) = try fields(of: json)
        do throws(ReplyRefusal) { return try ReplyDraft(text: text, quotedMessageID: quote) } catch {
            throw Problem(error)
        }
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
