import Messaging

/// What the books of the database must say at the end of a story, whatever happened in it: nothing is lost, nothing is
/// there twice, and everything once more changes nothing.
extension Telling {
    /// - Parameter replays: whether everything is recorded once more.
    mutating func audit(replays: Bool) async throws {
        let ledger = Ledger(connection: stage.database.owner)
        compare(verdicts: try await ledger.verdicts())
        compare(updates: try await ledger.updates())
        let messages = try await ledger.messages()
        if messages.rows != messages.ids { oracle.blame("\(messages.rows) messages have \(messages.ids) ids") }
        let due = oracle.tally.messages + oracle.tally.notices
        if messages.ids != due { oracle.blame("\(messages.ids) messages are recorded, not \(due)") }
        for name in oracle.waitingNames { oracle.blame("\(name) still waits for its endpoint") }
        compare(statuses: try await ledger.statuses())
        if try await stage.heal(everything: true) {
            oracle.healed(at: now, found: try await stage.outcomes(of: oracle.unclaimed(at: now)))
        }
        oracle.healedAll(at: now)
        oracle.closed(found: try await stage.outcomes(of: oracle.recordedNames))
        guard replays else { return }
        let before = try await ledger.digests()
        try await stage.replay()
        for (table, digest) in try await ledger.digests() where before[table] != digest {
            oracle.blame("a replay changed \(table)")
        }
    }

    /// I3: received is the sum of the verdicts.
    private mutating func compare(verdicts found: VerdictCounts) {
        let tally = oracle.tally
        func count(_ statuses: String...) -> Int { statuses.reduce(0) { $0 + (tally.verdicts[$1] ?? 0) } }
        var due = VerdictCounts()
        due.routed = count("delivered")
        due.withheld = count("opted_out", "blocked", "over_limit")
        due.held = count("ambiguous")
        due.unclaimed = count("unknown_sender")
        due.status = tally.statuses
        due.duplicate = tally.duplicates
        due.ignored = tally.ignored
        if found != due { oracle.blame("the webhook log counts \(found), where \(due) is due") }
    }

    private mutating func compare(updates found: [Int]) {
        let due = oracle.updateCounts
        if let index = found.indices.first(where: { found[$0] < 0 }) {
            oracle.blame("the verdicts of webhook \(index + 1) do not add up")
        } else if found != due {
            oracle.blame("\(found.count) webhooks are in the log, where \(due.count) came, or one has other updates")
        }
    }

    private mutating func compare(statuses found: [RowID: String]) {
        let due = oracle.statuses.expected
        for reply in Set(found.keys).union(due.keys).sorted() where found[reply] != due[reply] {
            oracle.blame("\(reply) is \(found[reply] ?? "gone"), where \(due[reply] ?? "nothing") is due")
        }
    }
}
