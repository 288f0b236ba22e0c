import Journal
import Operations

/// How much waits between the acknowledgement and the database, as a scrape sees it.
enum JournalMetrics {
    static func samples(_ standing: JournalStanding) -> [MetricSample] {
        [
            MetricSample("gateway_journal_backlog_bytes", .gauge, value: Double(standing.backlogBytes)),
            MetricSample(
                "gateway_journal_backlog_entries", .gauge, value: Double(standing.last.value - standing.confirmed.value)
            ),
            MetricSample("gateway_journal_last_position", .counter, value: Double(standing.last.value)),
            MetricSample(
                "gateway_journal_kept_entries", .gauge, value: Double(standing.last.value + 1 - standing.oldest.value)),
        ]
    }
}
