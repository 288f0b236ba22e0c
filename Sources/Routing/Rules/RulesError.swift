/// One thing that is wrong with the rules, said so that its author can mend it.
package struct RulesError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file's name, or the directory's when no file is to blame.
    package var file: String
    /// From 1; `nil` when the file as a whole is meant.
    package var line: Int?
    /// From 1, counted in Unicode scalars.
    package var column: Int?
    /// The text that was found there, shortened.
    package var offendingText: String?
    /// What is wrong.
    package var problem: String
    /// What to do about it.
    package var hint: String

    package init(
        file: String, line: Int? = nil, column: Int? = nil, offendingText: String? = nil, problem: String, hint: String
    ) {
        self.file = file
        self.line = line
        self.column = column
        self.offendingText = offendingText.map(Self.shown)
        self.problem = problem
        self.hint = hint
    }

    /// One line: `rules.yaml:3:12: problem: "text". Hint.`
    package var description: String {
        let place = [file, line.map(String.init), column.map(String.init)].compactMap { $0 }.joined(separator: ":")
        return "\(place): \(problem)\(offendingText.map { ": \"\($0)\"" } ?? ""). \(hint)"
    }

    /// Characters of an offending text that are shown.
    static let shownMax = 60

    /// At most `shownMax` characters on one line, and nothing that a terminal or a log would act upon.
    static func shown(_ text: String) -> String {
        let safe = text.unicodeScalars.prefix(shownMax).map { scalar -> String in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: scalar.escaped(asASCII: true)
            default: String(scalar)
            }
        }
        return safe.joined() + (text.unicodeScalars.count > shownMax ? "…" : "")
    }
}

/// All that is wrong with the rules, in the order of files and lines. Never empty.
package struct RulesErrors: Error, Hashable, Sendable, CustomStringConvertible {
    package let errors: [RulesError]

    package init(_ errors: [RulesError]) { self.errors = errors }

    /// Errors that `description` names: a log line or an answer must not grow with what is wrong.
    package static let describedMax = 50

    /// One line an error, and how many more there are.
    package var description: String {
        let lines = errors.prefix(Self.describedMax).map(\.description)
        let rest = errors.count - lines.count
        let more = rest > 0 ? ["and \(rest) more errors; `zenrent-gateway rules check` names them all"] : []
        return (lines + more).joined(separator: "\n")
    }
}
