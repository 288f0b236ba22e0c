import GatewayTesting
import Journal
import Messaging
import Testing

@Suite("GroupCommitStateMachine")
struct GroupCommitStateMachineTests {
    private typealias Machine = GroupCommitStateMachine<Int>

    private static func envelope(_ bytes: Int) -> Envelope {
        Envelope(
            source: .meta, receivedAt: Timestamp(seconds: 0), signature: [],
            body: [UInt8](repeating: 0, count: bytes - Int(JournalLimits.entryOverheadBytes)))
    }

    private static func append(_ machine: inout Machine, bytes: Int = 100, ticket: UInt64 = 0) -> String {
        switch machine.append(envelope(bytes), ticket: AppendTicket(ticket), sink: 0) {
        case .taken(let wakeWriter): wakeWriter ? "taken, wake" : "taken"
        case .refused(let error): "refused \(error.code.rawValue)"
        }
    }

    private static func take(_ machine: inout Machine) -> [Machine.Pending]? {
        if case .write(let group) = machine.takeGroup() { return group }
        return nil
    }

    @Test("An idle writer is woken once; a working one finds what gathered as its next group")
    func wakesOnlyAnIdleWriter() {
        var machine = Machine(limits: JournalLimits(), unconfirmedBytes: 0)
        #expect(Self.append(&machine, ticket: 1) == "taken, wake")
        #expect(Self.take(&machine)?.map(\.ticket.value) == [1])
        #expect(Self.append(&machine, ticket: 2) == "taken")
        #expect(Self.append(&machine, ticket: 3) == "taken")
        #expect(Self.take(&machine)?.map(\.ticket.value) == [2, 3])
        #expect(Self.take(&machine) == nil)
        #expect(Self.append(&machine, ticket: 4) == "taken, wake")
    }

    @Test("A group has a largest size; what is over it comes next, in order")
    func splitsLargeGroups() {
        var machine = Machine(limits: JournalLimits(groupEntriesMax: 2), unconfirmedBytes: 0)
        for ticket in 1...5 { _ = Self.append(&machine, ticket: UInt64(ticket)) }
        #expect(Self.take(&machine)?.map(\.ticket.value) == [1, 2])
        #expect(Self.take(&machine)?.map(\.ticket.value) == [3, 4])
        #expect(Self.take(&machine)?.map(\.ticket.value) == [5])
    }

    @Test("Appends are refused at the high mark and taken again at the low one, not between")
    func refusesBetweenTheMarks() {
        var machine = Machine(limits: JournalLimits(unconfirmedBytesMax: 800), unconfirmedBytes: 0)
        for _ in 0..<7 { #expect(Self.append(&machine).hasPrefix("taken")) }
        #expect(Self.append(&machine).hasPrefix("taken"), "the entry that reaches the mark is still taken")
        #expect(Self.append(&machine) == "refused full")
        _ = Self.take(&machine)
        machine.confirmed(bytes: 50)
        #expect(Self.append(&machine) == "refused full")
        machine.confirmed(bytes: 50)
        #expect(Self.append(&machine).hasPrefix("taken"))
    }

    @Test("A journal that starts over its budget refuses until enough is confirmed")
    func startsFull() {
        var machine = Machine(limits: JournalLimits(unconfirmedBytesMax: 800), unconfirmedBytes: 900)
        #expect(machine.refusal?.code == .full)
        machine.confirmed(bytes: 200)
        #expect(machine.refusal == nil)
    }

    @Test("Bytes waiting in memory have a limit of their own, but one entry always fits")
    func limitsPendingBytes() {
        var machine = Machine(limits: JournalLimits(pendingBytesMax: 250), unconfirmedBytes: 0)
        #expect(Self.append(&machine, bytes: 1000).hasPrefix("taken"))
        #expect(Self.append(&machine) == "refused full")
        _ = Self.take(&machine)
        #expect(Self.append(&machine) == "taken")
    }

    @Test("After a full disk the next group is tried; the bytes of the lost one count no more")
    func survivesAFullDisk() {
        var machine = Machine(limits: JournalLimits(), unconfirmedBytes: 0)
        _ = Self.append(&machine)
        let group = Self.take(&machine) ?? []
        #expect(machine.groupFailed(group, with: JournalError(.diskFull, "full"), isFinal: false).isEmpty)
        #expect(machine.backlogBytes == 0)
        #expect(Self.append(&machine) == "taken")
    }

    @Test("After a failed sync everything waiting is told and nothing more is taken")
    func stopsAfterAFailedSync() {
        var machine = Machine(limits: JournalLimits(), unconfirmedBytes: 0)
        _ = Self.append(&machine, ticket: 1)
        let group = Self.take(&machine) ?? []
        _ = Self.append(&machine, ticket: 2)
        let rest = machine.groupFailed(group, with: JournalError(.syncFailed, "EIO"), isFinal: true)
        #expect(rest.map(\.ticket.value) == [2])
        #expect(Self.append(&machine) == "refused sync_failed")
        guard case .stop = machine.takeGroup() else {
            Issue.record("the writer goes on")
            return
        }
    }

    @Test("Closing writes what is pending, then stops")
    func drainsOnClose() {
        var machine = Machine(limits: JournalLimits(), unconfirmedBytes: 0)
        _ = Self.append(&machine, ticket: 1)
        machine.close()
        #expect(Self.append(&machine) == "refused closed")
        #expect(Self.take(&machine)?.count == 1)
        guard case .stop = machine.takeGroup() else {
            Issue.record("the writer goes on")
            return
        }
    }

    @Test("Whatever happens in whatever order, the backlog is what was taken and neither failed nor confirmed")
    func accountsForEveryByte() {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        var machine = Machine(limits: JournalLimits(unconfirmedBytesMax: 5000), unconfirmedBytes: 0)
        var expected: Int64 = 0
        var written: [Int64] = []
        for _ in 0..<5000 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let bytes = Int.random(in: 64...400, using: &random)
                if Self.append(&machine, bytes: bytes).hasPrefix("taken") { expected += Int64(bytes) }
            case 2:
                guard let group = Self.take(&machine) else { continue }
                let bytes = group.reduce(0) { $0 + $1.cost }
                if Bool.random(using: &random) {
                    written.append(bytes)
                } else {
                    _ = machine.groupFailed(group, with: JournalError(.diskFull, ""), isFinal: false)
                    expected -= bytes
                }
            default:
                guard let bytes = written.popLast() else { continue }
                machine.confirmed(bytes: bytes)
                expected -= bytes
            }
            #expect(machine.backlogBytes == expected)
        }
    }
}
