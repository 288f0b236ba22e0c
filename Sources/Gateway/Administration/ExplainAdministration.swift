import Intake
import PostgresClient
import PostgresStore
import Routing

/// `explain` at the command line: by what the database has now, and the rules directory. Works as the gateway's own
/// login.
package struct ExplainAdministration: Sendable {
    /// What is to be explained; see `ExplanationRequest`.
    package struct Question: Sendable {
        package var subject: String
        package var kind: Kind?
        package var endpoint: String?
        package var text: String?
        package var type: String?
        package var at: String?
        package var quoted: String?
        package var tapped: String?
        package var isUnmasked = false

        package init(_ subject: String) { self.subject = subject }

        fileprivate var request: ExplanationRequest {
            var request = ExplanationRequest(subject)
            request.kind = kind.flatMap { ExplanationSubject.Kind(rawValue: $0.rawValue) }
            request.endpoint = endpoint
            request.text = text
            request.type = type
            request.at = at
            request.quoted = quoted
            request.tapped = tapped
            request.isUnmasked = isUnmasked
            return request
        }
    }

    /// What a subject is, where its form does not tell.
    package enum Kind: String, CaseIterable, Sendable {
        case message, phone, account
    }

    /// Why, as JSON and as text.
    package struct Answer: Encodable, Sendable {
        let explanation: Explanation

        package var text: String { explanation.text }

        package func encode(to encoder: any Encoder) throws { try explanation.encode(to: encoder) }
    }

    /// Something of the question cannot be used.
    package struct BadQuestion: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    private let address: DatabaseSession.Address
    private let countryCode: String
    private let rules: RulesLoader
    private let directory: String

    /// - Throws: `SettingError` when there is no database to connect to, `RulesErrors` when the rules cannot be used.
    package init(_ settings: SettingsReader) async throws {
        countryCode = try settings.countryCode()
        let administration = try RulesAdministration(settings)
        directory = administration.directory
        rules = try RulesLoader(directory: directory, downstreams: administration.downstreams)
        address = try await DatabaseSession.address(settings)
    }

    /// - Throws: `BadQuestion`, otherwise what happened with its cure.
    package func explain(_ question: Question) async throws -> Answer {
        let configuration = DatabaseSession.configuration(address, command: "explain")
        let session = RecorderSession(configuration)
        let explainer = Explainer(
            store: PostgresExplanations(session), lookup: PostgresConversationLookup(session),
            world: .stored(PostgresRouteSource(configuration), rules: rules.inForce, directory: directory),
            countryCode: countryCode, now: SystemTime.now)
        do {
            let explanation = try await explainer.explanation(
                of: question.request, for: ExplanationReader(id: nil, role: Operator.name))
            await session.close()
            return Answer(explanation: explanation)
        } catch {
            await session.close()
            throw explained(error)
        }
    }

    private func explained(_ error: any Error) -> any Error {
        switch error {
        case let error as PostgresError: DatabaseSession.explained(error, address)
        case let error as RecorderError:
            AdministrationError(
                "the database could not be asked (\(error.reason))", cure: "see the server's log, and try again")
        case ExplanationError.unknownMessage:
            AdministrationError(
                "no message with this id is recorded",
                cure: "take the id from a webhook (wamid) or a message of ours; what was parked is in `inbox parked`")
        case ExplanationError.invalid(let parameter, let problem, let cure):
            BadQuestion(
                description: "\(parameter == .subject ? "the subject" : "--\(parameter.rawValue)"): \(problem); \(cure)"
            )
        default: error
        }
    }
}
