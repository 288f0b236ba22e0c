import ArgumentParser
import Gateway

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Tells why a message went where it went, or where one would go.",
        discussion: """
            Of a message's id (the provider's, or ours): what was decided when it was recorded, what came of it since,
            and what would be decided now. Of a telephone number or an account id: what would become of a message, with
            what the options say of it.

            Decides by the database as it is now and the rules of GATEWAY_RULES_DIR; what the running gateway has is
            told by GET /api/admin/explain. Numbers and account ids are masked; --unmasked prints them whole. The audit
            log notes who asked.

            A TIME is RFC 3339 (2026-03-01T09:30:00Z), a day (2026-03-01, UTC), or so long ago (36h, 7d).

            Exit codes: 0 explained; 1 there is no such message, or something must be mended first; 64 the command line
            is wrong, a malformed number or an unknown endpoint among it.

            Example: zenrent-gateway explain wamid.HBgMNDQ3OTExMTIzNDU2
                     zenrent-gateway explain '+44 7911 123456' --text 'STOP' --at 2026-03-01T22:15:00Z
            """)

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "A message's id, a telephone number as people write it, or an account id (US.1349…).")
    var subject: String
    @Option(name: .customLong("as"), help: "What it is, where its form does not tell: message, phone or account.")
    var kind: ExplainAdministration.Kind?
    @Option(name: .customLong("to"), help: "The endpoint it would come in at: the provider's id, or ours.")
    var endpoint: String?
    @Option(help: "What it would say.") var text: String?
    @Option(help: "Its type in the provider's word; text, if absent.") var type: String?
    @Option(help: "The TIME it would come at; now, if absent.") var at: String?
    @Option(help: "The provider's id of the message it would quote.") var quote: String?
    @Option(help: "What the option it would tap carries back.") var tap: String?
    @Flag(help: "Print telephone numbers and account ids whole.") var unmasked = false
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let administration = try await ExplainAdministration(try await settings.reader())
        var question = ExplainAdministration.Question(subject)
        question.kind = kind
        question.endpoint = endpoint
        question.text = text
        question.type = type
        question.at = at
        question.quoted = quote
        question.tapped = tap
        question.isUnmasked = unmasked
        do {
            let answer = try await administration.explain(question)
            try output.print(answer) { answer.text }
        } catch let error as ExplainAdministration.BadQuestion {
            throw ValidationError(error.description)
        }
    }
}

extension ExplainAdministration.Kind: ExpressibleByArgument {}
