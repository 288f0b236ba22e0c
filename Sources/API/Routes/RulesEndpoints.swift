import Conversations
import Hummingbird
import Messaging
import Routing

/// What administrators do about rules: see what is live, check and compare others, load the directory again.
struct RulesEndpoints: EndpointGroup {
    let rules: any RulesControl
    let bodyBytesMax: Int

    static let path = "/api/admin/rules"

    var endpoints: [Endpoint] {
        [
            Endpoint(method: .get, path: Self.path, handler: .administrator(status)),
            Endpoint(method: .post, path: Self.path + "/check", handler: .administrator(check)),
            Endpoint(method: .post, path: Self.path + "/diff", handler: .administrator(diff)),
            Endpoint(method: .post, path: Self.path + "/reload", handler: .administrator(reload)),
        ]
    }

    private func status(_ request: Request, _ context: APIContext, _ who: Administrator) async throws -> Response {
        try Response(encoding: await rules.status())
    }

    private func check(_ request: Request, _ context: APIContext, _ who: Administrator) async throws -> Response {
        let body = try await RulesBody.read(request, bytesMax: bodyBytesMax)
        return try Response(encoding: await rules.check(body.files))
    }

    private func diff(_ request: Request, _ context: APIContext, _ who: Administrator) async throws -> Response {
        let body = try await RulesBody.read(request, bytesMax: bodyBytesMax)
        switch await rules.diff(body.files, last: body.last) {
        case .compared(let report): return try Response(encoding: report)
        case .wrong(let errors):
            throw Problem(
                .invalidRules, "\(errors)", next: "Mend what is wrong; POST /api/admin/rules/check names all of it.")
        case .unmade(let reason):
            throw Problem(
                .databaseUnavailable, "Nothing could be replayed: \(reason).", next: "Try again in a few seconds.",
                headers: [.retryAfter: "5"])
        }
    }

    private func reload(_ request: Request, _ context: APIContext, _ who: Administrator) async throws -> Response {
        switch await rules.reload(by: who.userID) {
        case .done(let report): return try Response(encoding: report)
        case .rejected(let reason):
            throw Problem(
                .invalidRules, reason, next: "The live rules stay. Mend what is wrong in the gateway's rules directory."
            )
        }
    }
}

/// `{"files": [{"name": "a.yaml", "content": "version: 1\n"}], "last": 1000}`; without `files`, the gateway's directory
/// is meant.
private struct RulesBody {
    var files: [RulesFile]?
    var last = RulesDiff.messagesStandard

    private static let example = #"{"files": [{"name": "rules.yaml", "content": "version: 1\n"}], "last": 1000}"#
    private static let next = "Send an object such as \(example); without files, the gateway's directory is meant."

    static func read(_ request: Request, bytesMax: Int) async throws -> RulesBody {
        let json = try await RequestBody.json(request, bytesMax: bytesMax, example: example)
        guard case .object(let members) = json, members.allSatisfy({ $0.name == "files" || $0.name == "last" }) else {
            throw Problem(.invalidRules, "The body is not an object with files and last alone.", next: next)
        }
        var body = RulesBody()
        if let last = json["last"] {
            guard case .number(let number) = last, let whole = Int(exactly: number),
                (1...RulesDiff.messagesMax).contains(whole)
            else {
                throw Problem(
                    .invalidRules, "The field last is not a whole number from 1 to \(RulesDiff.messagesMax).",
                    next: next)
            }
            body.last = whole
        }
        if let files = json["files"] { body.files = try read(files) }
        return body
    }

    private static func read(_ json: JSON) throws -> [RulesFile] {
        guard case .array(let items) = json else {
            throw Problem(.invalidRules, "The field files is not a list.", next: next)
        }
        return try items.enumerated().map { index, item in
            guard case .object(let members) = item, members.count == 2, let name = item["name"]?.string,
                let content = item["content"]?.string, !name.isEmpty, name.utf8.count <= 255
            else {
                throw Problem(
                    .invalidRules, "Number \(index + 1) of files has not a name and a content, and these alone.",
                    next: next)
            }
            return RulesFile(name: name, text: content)
        }
    }
}
