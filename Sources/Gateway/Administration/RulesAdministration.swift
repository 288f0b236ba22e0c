import Messaging
import Routing

/// The rules directory before the gateway reads it: `rules check`.
package struct RulesAdministration: Sendable {
    package let directory: String

    package init(_ settings: SettingsReader) throws {
        directory = try settings.text(.rulesDirectory) ?? "routing-rules"
    }

    /// One mistake, said so that its author can mend it.
    package struct Finding: Encodable, Hashable, Sendable {
        package let file: String
        package let line: Int?
        package let column: Int?
        /// The offending text, shortened.
        package let text: String?
        package let problem: String
        package let hint: String
        /// All of it on one line.
        package let summary: String
    }

    /// What holds when nothing is wrong.
    package struct Rules: Encodable, Hashable, Sendable {
        package let signature: String
        package let landlordSpokeHours: Int
        /// Whether a tenant of several landlords is asked which one is meant.
        package let asks: Bool
        /// Names of the rules, in their order.
        package let rules: [String]
    }

    package struct Answer: Encodable, Hashable, Sendable {
        package let directory: String
        /// `nil` when something is wrong.
        package let rules: Rules?
        package let errors: [Finding]
    }

    /// Reads all files as a start or a SIGHUP would.
    package func check() -> Answer {
        do {
            let rules = try RulesLoader(directory: directory).rules
            return Answer(
                directory: directory,
                rules: Rules(
                    signature: rules.signature.template, landlordSpokeHours: rules.landlordSpokeHours,
                    asks: rules.asks, rules: rules.rules.rules.map(\.name)),
                errors: [])
        } catch {
            let findings = error.errors.map {
                Finding(
                    file: $0.file, line: $0.line, column: $0.column, text: $0.offendingText, problem: $0.problem,
                    hint: $0.hint, summary: $0.description)
            }
            return Answer(directory: directory, rules: nil, errors: findings)
        }
    }
}
