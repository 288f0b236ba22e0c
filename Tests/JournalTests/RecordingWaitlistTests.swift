import GatewayTesting
import Journal
import Testing

@Suite("RecordingWaitlist")
struct RecordingWaitlistTests {
    private typealias Waitlist = RecordingWaitlist<Int>

    private static func waitlist(waitingMax: Int = 100) -> Waitlist {
        Waitlist(limits: RecordingLimits(waitingMax: waitingMax))
    }

    /// A durable group of as many webhooks as it has tickets.
    private static func group(
        _ position: Int64, _ tickets: ClosedRange<UInt64> = 1...1, deadline: Int = 5
    ) -> Waitlist.Group {
        Waitlist.Group(
            tickets: tickets.map { AppendTicket($0) }, sink: 0,
            receipt: DurabilityReceipt(syncedUpTo: JournalPosition(position)), deadline: .seconds(deadline))
    }

    private static func sync(_ waitlist: inout Waitlist, _ groups: Waitlist.Group...) {
        for group in groups {
            for _ in group.tickets { #expect(waitlist.admit() == nil) }
            #expect(waitlist.synced(group) == .waits)
        }
    }

    @Test(
        "Groups have their answer once the database has come as far as their last webhook, and not before",
        arguments: [
            (0, []), (2, []), (3, [3]), (6, [3]), (7, [3, 7]), (9, [3, 7, 9]), (50, [3, 7, 9]),
        ] as [(Int64, [Int64])])
    func recorded(upTo position: Int64, answered: [Int64]) {
        var waitlist = Self.waitlist()
        Self.sync(&waitlist, Self.group(3, 1...3), Self.group(7, 4...7), Self.group(9, 8...9))
        let groups = waitlist.recorded(upTo: JournalPosition(position))
        #expect(groups.map(\.receipt.position.value) == answered)
        #expect(waitlist.waiting == 9 - groups.reduce(0) { $0 + $1.tickets.count })
        #expect(waitlist.recorded(upTo: JournalPosition(position)).isEmpty, "an answer is given once")
    }

    @Test("What was recorded before it was known to be durable does not wait")
    func recordedFirst() {
        var waitlist = Self.waitlist()
        #expect(waitlist.admit() == nil)
        _ = waitlist.recorded(upTo: JournalPosition(3))
        #expect(waitlist.synced(Self.group(3)) == .isRecorded)
        #expect(waitlist.waiting == 0)
    }

    @Test("A mark behind the known one changes nothing: positions are never used again")
    func marksOnlyGrow() {
        var waitlist = Self.waitlist()
        _ = waitlist.recorded(upTo: JournalPosition(9))
        #expect(waitlist.recorded(upTo: JournalPosition(4)).isEmpty)
        #expect(waitlist.admit() == nil)
        #expect(waitlist.synced(Self.group(9)) == .isRecorded)
    }

    @Test(
        "Whoever waits past the deadline is let go, the others wait on",
        arguments: [(4, []), (5, [3]), (6, [3]), (8, [3, 7])] as [(Int, [Int64])])
    func expired(at seconds: Int, answered: [Int64]) {
        var waitlist = Self.waitlist()
        Self.sync(&waitlist, Self.group(3, deadline: 5), Self.group(7, deadline: 8))
        #expect(waitlist.expired(at: .seconds(seconds)).map(\.receipt.position.value) == answered)
        #expect(waitlist.isStalled == !answered.isEmpty)
        #expect(waitlist.recorded(upTo: JournalPosition(7)).count == 2 - answered.count)
        #expect(!waitlist.isStalled && waitlist.waiting == 0)
    }

    @Test(
        "Beyond the limit webhooks are refused, until others have their answer; what the journal refused counts no more"
    )
    func limit() {
        var waitlist = Self.waitlist(waitingMax: 3)
        Self.sync(&waitlist, Self.group(2, 1...2))
        #expect(waitlist.admit() == nil, "not durable yet, and counted")
        #expect(waitlist.admit()?.code == .tooManyUnrecorded)
        waitlist.withdrawn(1)
        #expect(waitlist.admit() == nil)
        #expect(waitlist.admit()?.code == .tooManyUnrecorded)
        _ = waitlist.recorded(upTo: JournalPosition(2))
        #expect(waitlist.admit() == nil)
    }

    @Test("At the end all who wait are let go, and nobody waits any more")
    func closed() {
        var waitlist = Self.waitlist()
        Self.sync(&waitlist, Self.group(3, 1...3))
        #expect(waitlist.admit() == nil)
        #expect(waitlist.close().map(\.tickets.count) == [3])
        #expect(waitlist.synced(Self.group(4)) == .isTooLate)
        #expect(waitlist.admit()?.code == .closed)
        #expect(waitlist.waiting == 0)
    }
}
