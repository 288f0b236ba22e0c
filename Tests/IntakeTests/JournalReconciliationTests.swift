import GatewayTesting
import Intake
import Journal
import Messaging
import Testing

@Suite struct JournalReconciliationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Oldest, confirmed, last.
        var journal: (Int64, Int64, Int64)
        /// `nil`: the database did not know the journal.
        var checkpoint: Int64?
        var expected: JournalReconciliation
        var start: Int64
    }

    static let cases = [
        Case(testDescription: "a new journal", journal: (1, 0, 0), checkpoint: nil, expected: .begin, start: 0),
        Case(
            testDescription: "a new journal that filled while the database was away", journal: (1, 0, 500),
            checkpoint: nil,
            expected: .begin, start: 0),
        Case(
            testDescription: "a journal that was claimed and never recorded", journal: (1, 0, 5), checkpoint: 0,
            expected: .goOn(from: 0), start: 0),
        Case(
            testDescription: "they agree", journal: (1, 50, 60), checkpoint: 50, expected: .goOn(from: 50), start: 50),
        Case(
            testDescription: "they agree, and everything was trimmed", journal: (61, 60, 60), checkpoint: 60,
            expected: .goOn(from: 60), start: 60),
        Case(
            testDescription: "the database is ahead by a commit whose answer was lost", journal: (1, 50, 60),
            checkpoint: 55,
            expected: .goOn(from: 55), start: 55),
        Case(
            testDescription: "ahead to the last entry", journal: (1, 50, 60), checkpoint: 60, expected: .goOn(from: 60),
            start: 60),
        Case(
            testDescription: "beyond the journal's last entry", journal: (1, 50, 60), checkpoint: 61,
            expected: .renew(from: 50),
            start: 50),
        Case(
            testDescription: "beyond an empty journal", journal: (1, 0, 0), checkpoint: 10, expected: .renew(from: 0),
            start: 0),
        Case(
            testDescription: "the database is behind", journal: (1, 50, 60), checkpoint: 49,
            expected: .replay(from: 49, to: 50, lost: 0), start: 49),
        Case(
            testDescription: "behind to the oldest entry kept", journal: (31, 50, 60), checkpoint: 30,
            expected: .replay(from: 30, to: 50, lost: 0), start: 30),
        Case(
            testDescription: "behind what was trimmed", journal: (31, 50, 60), checkpoint: 20,
            expected: .replay(from: 20, to: 50, lost: 10), start: 20),
        Case(
            testDescription: "the row is missing", journal: (1, 50, 60), checkpoint: nil,
            expected: .replayUnknown(from: 0, to: 60),
            start: 0),
        Case(
            testDescription: "the row is missing, and old entries were trimmed", journal: (31, 50, 60), checkpoint: nil,
            expected: .replayUnknown(from: 30, to: 60), start: 30),
        Case(
            testDescription: "the row is missing, and all entries were trimmed", journal: (61, 60, 60), checkpoint: nil,
            expected: .replayUnknown(from: 60, to: 60), start: 60),
    ]

    @Test("journal and checkpoint are compared", arguments: cases)
    func compared(example: Case) {
        let standing = JournalStanding(
            id: uid(1), confirmed: JournalPosition(example.journal.1), last: JournalPosition(example.journal.2),
            oldest: JournalPosition(example.journal.0), backlogBytes: 0)
        let checkpoint = Checkpoint(
            journal: 1, position: JournalPosition(example.checkpoint ?? 0), wasKnown: example.checkpoint != nil)
        let reconciliation = JournalReconciliation(standing, checkpoint)
        #expect(reconciliation == example.expected)
        #expect(reconciliation.start == JournalPosition(example.start))
    }

    @Test(
        "a journal that another process records under gets a new identity", arguments: [0, 50, 60] as [JournalPosition])
    func foreign(confirmed: JournalPosition) {
        let standing = JournalStanding(id: uid(1), confirmed: confirmed, last: 60, oldest: 1, backlogBytes: 0)
        #expect(JournalReconciliation(standing, nil) == .renew(from: confirmed))
    }

    @Test("each outcome has a word of its own")
    func labels() {
        let labels = Self.cases.map(\.expected.label)
        #expect(Set(labels) == ["begin", "go_on", "replay", "replay_unknown", "renew"])
    }
}
