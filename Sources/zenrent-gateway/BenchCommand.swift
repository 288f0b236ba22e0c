import ArgumentParser
import Gateway

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures a running gateway.",
        discussion: "Example: zenrent-gateway bench load --rate 1000 --connections 64 --seconds 10",
        subcommands: [BenchLoad.self])
}

struct BenchLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Sends signed, distinct webhooks at a fixed rate, and measures the answers.",
        discussion: """
            Each webhook is due at a fixed time, whether earlier ones were answered or not, and its latency counts from
            then. Texts are signed with META_APP_SECRET (the first of a ring; of a `dev` under GATEWAY_DATA_DIR if it is
            not set), and go to WHATSAPP_PHONE_NUMBER_ID. They are recorded like real ones: never point it at a gateway
            that serves people.

            Exit codes: 0 every webhook was sent and answered with 200; 1 some were not, or there was no load.

            Example: zenrent-gateway bench load --rate 10000 --connections 64 --seconds 10 --json
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "Webhooks a second.") var rate = 1000
    @Option(help: "Connections, all open before the first webhook.") var connections = 64
    @Option(help: "Seconds to measure.") var seconds = 10
    @Option(name: .customLong("warm-up"), help: "Seconds of the same load before that.") var warmUp = 1
    @Option(help: "The webhook address. [default: the gateway of the settings, on this machine]") var url: String?
    @Option(help: "The authority of the server's certificate, PEM. [default: ca.pem in GATEWAY_CERTS_DIR, if there]")
    var ca: String?
    @Option(help: "How many tenants write, some far more often than others (Zipf).") var senders = 10_000
    @Option(help: "The number of the first of them, 12 digits; the others follow it.") var firstSender =
        447_700_000_000
    @Option(help: "A file for the id and the time (microseconds since 1970) of each 200, one a line.") var receipts:
        String?
    @OptionGroup var output: OutputOptions

    private var order: LoadAdministration.Order {
        LoadAdministration.Order(
            rate: rate, connections: connections, warmUpSeconds: warmUp, seconds: seconds, firstSender: firstSender,
            senders: senders, url: url, authorityFile: ca, receiptsFile: receipts)
    }

    func validate() throws {
        if let problem = order.problem { throw ValidationError(problem) }
    }

    func run() async throws {
        let summary = try await LoadAdministration(try await settings.reader()).run(order)
        try output.print(summary) { summary.text }
        if !summary.isFlawless { throw ExitCode.failure }
    }
}
