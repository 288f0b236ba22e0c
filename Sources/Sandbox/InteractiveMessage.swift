/// What a message of the gateway's lets its reader tap: up to three buttons, or a list of up to ten rows.
struct InteractiveMessage: Decodable {
    struct Option: Decodable, Hashable, Sendable {
        let id: String?
        let title: String?
        let description: String?
    }

    private struct Body: Decodable {
        let text: String?
    }

    private struct Button: Decodable {
        let type: String?
        let reply: Option?
    }

    private struct Section: Decodable {
        let title: String?
        let rows: [Option]?
    }

    private struct Action: Decodable {
        let button: String?
        let buttons: [Button]?
        let sections: [Section]?
    }

    private let type: String?
    private let body: Body?
    private let action: Action?

    var text: String? { body?.text }
    var isList: Bool { type == "list" }

    /// In the order they are shown.
    var options: [Option] {
        isList ? (action?.sections ?? []).flatMap { $0.rows ?? [] } : (action?.buttons ?? []).compactMap(\.reply)
    }

    /// Meta's checks, in its order; other kinds than these two are taken as they are.
    func check() throws(GraphError) {
        guard let type, type == "button" || type == "list" else { return }
        guard let text, !text.isEmpty else { throw .missing("interactive['body']['text']") }
        try Self.check(text, "interactive['body']['text']", 1...(isList ? 4096 : 1024))
        guard (1...(isList ? 10 : 3)).contains(options.count) else {
            throw GraphError(
                code: 131009,
                details: isList ? "Total row count must be between 1 and 10." : "Buttons count must be between 1 and 3."
            )
        }
        if isList {
            guard let button = action?.button else { throw .missing("interactive['action']['button']") }
            try Self.check(button, "interactive['action']['button']", 1...20)
            let sections = action?.sections ?? []
            guard sections.count == 1 || sections.allSatisfy({ $0.title != nil }) else {
                throw .missing("interactive['action']['sections']['title']")
            }
        }
        for option in options {
            try Self.check(option.id ?? "", "id", 1...(isList ? 200 : 256))
            try Self.check(option.title ?? "", "title", 1...(isList ? 24 : 20))
            if let description = option.description { try Self.check(description, "description", 1...72) }
        }
        guard Set(options.map(\.id)).count == options.count,
            isList || Set(options.map(\.title)).count == options.count
        else { throw GraphError(code: 131009, details: "Ids and titles of buttons and rows must be unique.") }
    }

    private static func check(
        _ text: String, _ name: String, _ lengths: ClosedRange<Int>
    ) throws(GraphError) {
        guard lengths.contains(text.utf16.count) else {
            throw GraphError(
                code: 131009,
                details: "Parameter \(name) must have \(lengths.lowerBound) to \(lengths.upperBound) characters.")
        }
    }
}

extension GraphError {
    fileprivate static func missing(_ name: String) -> GraphError {
        GraphError(code: 131008, details: "The parameter \(name) is required.")
    }
}
