import ArgumentParser
import Gateway
import Messaging

struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Decodes stored webhooks again, with what this version understands.",
        discussion: """
            The running gateway does it, beside what comes in. Messages that were ignored are recorded, texts and files
            that were not understood are filled in, statuses are applied again; nothing happens twice. Webhooks are
            stored as long as webhook_log_retention_days says.

            A TIME is RFC 3339 (2026-03-01T09:30:00Z), a day (2026-03-01, UTC), or so long ago (36h, 7d).

            Connects with DATABASE_URL, or to the database of a `dev` that runs under GATEWAY_DATA_DIR.

            Exit codes: 0 done, or asked for (--no-wait); 1 no gateway works on it, or the database cannot be asked.

            Example: zenrent-gateway replay --since 7d --dry-run
                     zenrent-gateway replay --since 7d
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "Webhooks received at this TIME or later; all that are stored, if absent.") var since: String?
    @Option(help: "Webhooks received before this TIME; now, if absent.") var until: String?
    @Option(help: "Webhooks of this source alone: meta or vps.", transform: Self.source) var source: WebhookSource?
    @Flag(help: "Count what would change, and change nothing.") var dryRun = false
    @Flag(inversion: .prefixedNo, help: "Wait until it is done.") var wait = true
    @Option(help: "Wait for a replay that was asked for before, by its id.") var follow: Int64?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard follow == nil || (since == nil && until == nil && source == nil && !dryRun) else {
            throw ValidationError("--follow takes no other options: it waits for a replay that was asked for before")
        }
        _ = try order(now: SystemTime.now())
    }

    func run() async throws {
        let replays = try await ReplayAdministration(try await settings.reader())
        // After the first `await`: a throw before it crashes the optimizer of Swift 6.3.1.
        let order = try order(now: SystemTime.now())
        if dryRun {
            try print(try await replays.preview(order))
        } else if let follow {
            try print(try await replays.follow(follow))
        } else {
            try await replay(order, by: replays)
        }
    }

    private func replay(_ order: ReplayAdministration.Order, by replays: ReplayAdministration) async throws {
        let id = try await replays.request(order)
        guard wait else {
            return try output.print(["id": id]) { "asked for: replay \(id); `replay --follow \(id)` waits for it" }
        }
        Terminal.error("replay \(id): asked for; waiting for the gateway")
        try print(try await replays.follow(id))
    }

    private func order(now: Timestamp) throws -> ReplayAdministration.Order {
        var order = ReplayAdministration.Order(source: source, since: nil, until: now)
        if let since { order.since = try Self.moment(since, "--since", now) }
        if let until { order.until = try Self.moment(until, "--until", now) }
        return order
    }

    private func print(_ counts: ReplayAdministration.Counts) throws {
        try output.print(counts) {
            """
            \(dryRun ? "would be" : "were") decoded again: \(counts.webhooks) webhooks
              ignored messages recorded    \(counts.messagesRecorded)
              messages brought up to date  \(counts.messagesRefreshed)
              files noted                  \(counts.files)
              statuses applied again       \(counts.statuses)
              webhooks left, for the database refused them: \(counts.refused)
            """
        }
    }

    @Sendable private static func source(_ text: String) throws -> WebhookSource {
        guard let source = WebhookSource.allCases.first(where: { $0.name == text }) else {
            throw ValidationError("there is no such source; write meta or vps")
        }
        return source
    }

    private static func moment(_ text: String, _ option: String, _ now: Timestamp) throws -> Timestamp {
        guard let moment = ReplayAdministration.moment(text, now: now) else {
            throw ValidationError(
                "\(option) \(text.prefix(40)): not a time; write 2026-03-01T09:30:00Z, 2026-03-01, or 36h for so long ago"
            )
        }
        return moment
    }
}
