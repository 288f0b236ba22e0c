import FoundationEssentials
import Intake
package import Messaging
import PostgresClient
import PostgresStore
import Routing

/// Stored webhooks decoded again: `replay`. Works as the gateway's own login; the running gateway does the work.
package struct ReplayAdministration: Sendable {
    /// Which webhooks.
    package struct Order: Sendable {
        package var source: WebhookSource?
        /// Received at this moment or later; `nil` = all that is stored.
        package var since: Timestamp?
        /// Received before this moment.
        package var until: Timestamp

        package init(source: WebhookSource?, since: Timestamp?, until: Timestamp) {
            self.source = source
            self.since = since
            self.until = until
        }
    }

    /// What a replay did, or would do. Counts alone.
    package struct Counts: Encodable, Hashable, Sendable {
        /// `nil` for a look ahead.
        package let id: Int64?
        package let isFinished: Bool
        package let webhooks: Int
        package let messagesRecorded: Int
        package let messagesRefreshed: Int
        package let files: Int
        package let statuses: Int
        /// Webhooks whose data the database refused.
        package let refused: Int

        init(id: Int64?, isFinished: Bool, _ outcome: ReplayOutcome) {
            self.id = id
            self.isFinished = isFinished
            webhooks = outcome.webhooks
            messagesRecorded = outcome.recorded
            messagesRefreshed = outcome.refreshed
            files = outcome.files
            statuses = outcome.statuses
            refused = outcome.refused
        }
    }

    private let address: DatabaseSession.Address
    private let now: @Sendable () -> Timestamp
    private let clock: any Clock<Duration>
    /// How long a replay may stand still before nobody is taken to be at work on it.
    private static let patience = 15
    private static let pollInterval = Duration.milliseconds(500)

    /// - Throws: `SettingError` when there is no database to connect to.
    package init(_ settings: SettingsReader) async throws {
        self.init(try await DatabaseSession.address(settings), now: SystemTime.now, clock: ContinuousClock())
    }

    init(_ address: DatabaseSession.Address, now: @escaping @Sendable () -> Timestamp, clock: any Clock<Duration>) {
        self.address = address
        self.now = now
        self.clock = clock
    }

    /// A moment as people write it: RFC 3339, a day, or a duration before now such as `36h`; `nil` for anything else.
    package static func moment(_ text: String, now: Timestamp) -> Timestamp? {
        if let ago = Quantity.seconds(text) { return now.advanced(bySeconds: -ago) }
        let format = Date.ISO8601FormatStyle()
        for style in [format, format.year().month().day(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)] {
            guard let date = try? style.parse(text) else { continue }
            return Timestamp(microseconds: Int64((date.timeIntervalSince1970 * 1_000_000).rounded()))
        }
        return nil
    }

    /// Counts what a replay would do. Writes nothing.
    package func preview(_ order: Order) async throws -> Counts {
        try await DatabaseSession.run(address, command: "replay") { connection in
            var builder = RoutingTableBuilder()
            let source = PostgresRouteSource(DatabaseSession.configuration(address, command: "replay"))
            let cursor = try await source.loadAll { builder.add($0) }
            let outcome = try await PostgresReplayRequests(connection).preview(
                source: order.source, from: order.since, to: order.until, table: builder.finish(cursor: cursor),
                now: now())
            return Counts(id: nil, isFinished: true, outcome)
        }
    }

    /// Asks for a replay.
    /// - Returns: its id, for `follow`.
    package func request(_ order: Order) async throws -> Int64 {
        try await DatabaseSession.run(address, command: "replay") { connection in
            do {
                return try await PostgresReplayRequests(connection).request(
                    source: order.source, from: order.since, to: order.until, actor: Operator.name)
            } catch let error as PostgresError where error.sqlState == "23514" {
                throw AdministrationError("the span is empty", cure: "give a --since before --until")
            }
        }
    }

    /// Waits until a replay is done.
    /// - Throws: `AdministrationError` when there is no such replay, or no gateway works on it.
    package func follow(_ id: Int64) async throws -> Counts {
        try await DatabaseSession.run(address, command: "replay") { connection in
            let requests = PostgresReplayRequests(connection)
            var last: PostgresReplayRequests.Progress?
            var standstill = 0
            while true {
                guard let progress = try await requests.progress(of: id) else {
                    throw AdministrationError("there is no replay \(id)", cure: "take the id that `replay` printed")
                }
                if progress.isFinished { return Counts(id: id, isFinished: true, progress.outcome) }
                standstill = progress == last ? standstill + 1 : 0
                last = progress
                if standstill >= Self.patience * 2 { throw Self.abandoned(progress) }
                try await clock.sleep(for: Self.pollInterval)
            }
        }
    }

    private static func abandoned(_ progress: PostgresReplayRequests.Progress) -> AdministrationError {
        let problem =
            progress.isBegun
            ? "replay \(progress.id) has come to a halt after \(progress.outcome.webhooks) webhooks"
            : "no gateway has begun with replay \(progress.id)"
        return AdministrationError(
            problem,
            cure: "it stays asked for: see that a gateway runs and records (/readyz), it goes on by itself; then "
                + "`zenrent-gateway replay --follow \(progress.id)`")
    }
}
