import GatewayTesting
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// When somebody left a number, and that they have one at a time.
@Suite(.serialized) struct DepartureTests {
    private static let first = RecorderWorld.tess
    private static let second: UInt64 = 447_911_222_222

    private func ago(_ seconds: Int64) -> Timestamp { RecorderWorld.clock.advanced(bySeconds: -seconds) }

    /// As if all leases had been written down then.
    private func learn(_ world: RecorderWorld, at moment: Timestamp) async throws {
        try await world.owner.execute("UPDATE gateway.routes SET learnt_at = to_timestamp(\(moment.seconds))")
    }

    private func tell(_ world: RecorderWorld, _ kind: String, _ old: String, _ new: String, at: Timestamp) async throws
    {
        let scope = kind == "phone" ? "" : "PF"
        try await world.owner.execute(
            "SELECT gateway.change_identity('\(kind)', '\(scope)', '\(old)', '\(new)', to_timestamp(\(at.seconds)))")
    }

    /// Tess moves; her next message, under the new number, comes before the notice that says since when. Meanwhile a
    /// landlord files somebody under the old number.
    @Test func theProvidersWordCorrectsWhatAnotherNumberShowed() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        try await world.record([world.message("w2", from: Self.second, account: "GB.1", .unclaimed, at: ago(60))])
        try await learn(world, at: ago(600))
        #expect(try await world.leases(of: Self.second, account: "GB.1") == [RecorderWorld.tessLease])
        for _ in 1...2 {
            try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(900))
            #expect(try await world.leases(of: Self.second, account: "GB.1") == [])
            #expect(try await world.leases(of: Self.first) == [RecorderWorld.tessLease])
        }
        // Told of a moment later than what showed, it stays.
        try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(30))
        #expect(try await world.leases(of: Self.second, account: "GB.1") == [])
    }

    /// She is known by an old and a new account id, each with a number, before a notice says that they are one's.
    @Test func ofTwoNumbersOfOnePersonTheOneSeenLaterStands() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        try await world.record([world.message("w2", from: Self.second, account: "GB.2", .unclaimed, at: ago(600))])
        try await tell(world, "bsuid", "GB.1", "GB.2", at: ago(700))
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.first) == nil)
        #expect(try await world.holder(of: Self.second) == world.person(of: "w1"))
        try await learn(world, at: ago(900))
        #expect(try await world.leases(of: nil, account: "GB.2") == [RecorderWorld.tessLease])
        try await learn(world, at: ago(300))
        #expect(try await world.leases(of: nil, account: "GB.2") == [])
        #expect(try await world.leases(of: Self.first) == [RecorderWorld.tessLease])
    }

    /// A number was written from without an account id, and then with the id of somebody who had another number.
    @Test(arguments: [1800, 60])
    func aNumberThatASenderShowsIsTheOnlyOneTheyHave(secondsBefore: Int64) async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(900))
        ])
        try await world.record([world.message("w2", from: Self.second, .unclaimed, at: ago(secondsBefore))])
        try await world.record([world.message("w3", from: Self.second, account: "GB.1", .unclaimed, at: ago(30))])
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.second) == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.first) == nil)
        #expect(try await world.confusion() == nil)
    }

    /// Tess moved, and somebody else has her number. A message that she wrote before comes weeks late: for what it was
    /// sent to, nobody knew the endpoint.
    @Test(arguments: [("GB.1", "GB.1"), ("GB.1", "GB.2")])
    func aMessageThatComesLateIsItsAccountsAndTeachesNothingNewer(old: String, new: String) async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: old, RecorderWorld.toTess, at: ago(3600))
        ])
        try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(900))
        if old != new { try await tell(world, "bsuid", old, new, at: ago(900)) }
        try await world.record([world.message("w2", from: Self.second, account: new, .unclaimed, at: ago(800))])
        try await world.record([world.message("w3", from: Self.first, account: "GB.3", .unclaimed, at: ago(700))])
        let next = try await world.person(of: "w3")
        // The next holder's lease is not hers, even for a message that shows the number.
        try await learn(world, at: ago(710))
        #expect(try await world.leases(of: Self.first, account: old) == [])
        #expect(try await world.leases(of: Self.first, account: "GB.3") == [RecorderWorld.tessLease])
        try await learn(world, at: ago(910))
        #expect(try await world.leases(of: Self.first, account: old) == [RecorderWorld.tessLease])
        try await world.record([world.message("late", from: Self.first, account: old, .unclaimed, at: ago(1000))])
        #expect(try await world.person(of: "late") == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.first) == next)
        #expect(try await world.holder(of: Self.second) == world.person(of: "w1"))
        #expect(try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL") == "2")
    }

    /// It teaches one thing: whose the number was, as far as leases under it go.
    @Test func aMessageThatComesLateTellsOfANumberThatWasTheSenders() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.second, account: "GB.1", .unclaimed, at: ago(900))])
        #expect(try await world.leases(of: Self.second, account: "GB.1") == [])
        try await world.record([world.message("late", from: Self.first, account: "GB.1", .unclaimed, at: ago(1800))])
        #expect(try await world.person(of: "late") == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.first) == nil)
        try await learn(world, at: ago(1900))
        #expect(try await world.leases(of: Self.second, account: "GB.1") == [RecorderWorld.tessLease])
        try await learn(world, at: ago(890))
        #expect(try await world.leases(of: Self.second, account: "GB.1") == [])
    }

    /// Nobody told that the number was handed on: another account id showed it.
    @Test func aNumberThatAnotherAccountShowedIsTheFormerOnesAsItWas() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        try await world.record([world.message("w2", from: Self.first, account: "GB.2", .unclaimed, at: ago(700))])
        for (learnt, isTheirs) in [(ago(710), false), (ago(3700), true)] {
            try await learn(world, at: learnt)
            #expect(
                try await world.leases(of: Self.first, account: "GB.1") == (isTheirs ? [RecorderWorld.tessLease] : []))
            #expect(try await world.leases(of: Self.first, account: "GB.2") == [RecorderWorld.tessLease])
            let late = world.message(
                "late\(isTheirs)", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(1000))
            switch try await world.recorder.record(world.batch([late], after: world.claim())) {
            case .recorded: #expect(isTheirs)
            case .staleRoutes: #expect(!isTheirs)
            case .fenced: Issue.record("fenced")
            }
        }
    }

    enum Past: CaseIterable { case unknown, knownByAccount, seenElsewhereSince }

    /// A number was handed on, and somebody writes from it under an account id. Only then comes a message that shows it with
    /// another account id, sent before: by then the two had parted. What a landlord wrote since is the next holder's.
    @Test(arguments: Past.allCases)
    func aMessageThatComesLateGoesByTheLeasesOfItsTime(past: Past) async throws {
        let world = try await RecorderWorld()
        switch past {
        case .unknown: break
        case .knownByAccount:
            try await world.record([world.message("w1", from: nil, account: "GB.1", .unclaimed, at: ago(1800))])
        case .seenElsewhereSince:
            try await world.record([world.message("w1", from: Self.second, account: "GB.1", .unclaimed, at: ago(950))])
        }
        let next = past == .seenElsewhereSince ? nil : "GB.3"
        try await world.record([world.message("w2", from: Self.first, account: next, .unclaimed, at: ago(700))])
        let holder = try await world.holder(of: Self.first)
        let question = ThreadQuestion(
            endpoint: world.endpoint, phone: PhoneKey(folding: Self.first), accountID: "GB.1", quotedMessageID: nil,
            sentAt: ago(1000))
        for (learnt, isTheirs) in [(ago(710), false), (ago(1010), true)] {
            try await learn(world, at: learnt)
            #expect(try await world.lookup.routes(for: [question])[0].count == (isTheirs ? 1 : 0))
            let late = world.message(
                "late", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(1000))
            switch try await world.recorder.record(world.batch([late], after: world.claim())) {
            case .recorded: #expect(isTheirs)
            case .staleRoutes: #expect(!isTheirs)
            case .fenced: Issue.record("fenced")
            }
        }
        // It teaches that the number was theirs, and takes it from nobody. As when messages come in their order, a lease of
        // that time is the next holder's, too, while nobody told or showed that the number was left.
        #expect(try await world.holder(of: Self.first) == holder)
        #expect(try await world.person(of: "late") != holder)
        #expect(try await world.leases(of: Self.first, account: "GB.1") == [RecorderWorld.tessLease])
        #expect(try await world.leases(of: Self.first, account: next).isEmpty == (past == .seenElsewhereSince))
        try await learn(world, at: ago(710))
        #expect(try await world.leases(of: Self.first, account: "GB.1") == [])
        #expect(try await world.leases(of: Self.first, account: next) == [RecorderWorld.tessLease])
    }

    /// The next holder hides their account id and has a thread; the one before was known by their account, and wrote nothing
    /// that anybody took. A message of theirs from before the hand-over, or a notice that shows the number, comes late.
    @Test func aMessageThatComesLateIsNotOfTheThreadsOfANumbersNextHolder() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.first, account: "GB.1", .unclaimed, at: ago(3600))])
        try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(900))
        try await learn(world, at: ago(800))
        try await world.record([world.message("w2", from: Self.first, RecorderWorld.toTess, at: ago(700))])
        var question = ThreadQuestion(
            endpoint: world.endpoint, phone: PhoneKey(folding: Self.first), accountID: "GB.1", quotedMessageID: nil,
            sentAt: ago(1000))
        #expect(try await world.lookup.facts(for: [question])[0].threads == [])
        #expect(try await world.lookup.routes(for: [question])[0] == [])
        question.accountID = nil
        let thread = try #require(try await world.lookup.facts(for: [question])[0].threads.first)
        let late = world.message(
            "late", from: Self.first, account: "GB.1", .thread(thread, rung: .onlyThread), at: ago(1000))
        guard case .staleRoutes = try await world.recorder.record(world.batch([late], after: world.claim())) else {
            Issue.record("went into the thread")
            return
        }
    }

    /// Another account id showed Tess's number, and its person left it, too: it is that of somebody without an account id.
    @Test func aNumberThatAnotherAccountShowedIsNotGivenBackByAMessageFromBefore() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.first, account: "GB.1", .unclaimed, at: ago(3600))])
        try await world.record([world.message("w2", from: Self.first, account: "GB.2", .unclaimed, at: ago(900))])
        try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(800))
        try await world.record([world.message("w3", from: Self.first, .unclaimed, at: ago(700))])
        let holder = try await world.holder(of: Self.first)
        try await world.record([world.message("late", from: Self.first, account: "GB.1", .unclaimed, at: ago(1000))])
        #expect(try await world.holder(of: Self.first) == holder)
        #expect(try await world.person(of: "late") == world.person(of: "w1"))
        #expect(try await world.person(of: "late") != holder)
    }

    /// Tess was known by her account id for long, and by her number of late.
    @Test func aNumberIsNotTakenAwayByAMessageFromBeforeItShowed() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: nil, account: "GB.1", .unclaimed, at: ago(3600))])
        try await world.record([world.message("w2", from: Self.first, account: "GB.1", .unclaimed, at: ago(600))])
        try await world.record([world.message("late", from: Self.first, account: "GB.2", .unclaimed, at: ago(1000))])
        #expect(try await world.holder(of: Self.first) == world.person(of: "w1"))
        #expect(try await world.person(of: "late") != world.person(of: "w1"))
    }

    /// Tess moved, and nobody has her old number. What shows it alone comes late, from before she was first seen with it: a
    /// message, or the row of the notice that she has it. Its next holder writes in the same batch or later.
    @Test(arguments: [Int64(4000), 3600], [[], ["late", "next"], ["next", "late"]])
    func aNumberAloneIsWhoseItWasWhenTheMessageWasSent(secondsBefore: Int64, batch: [String]) async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(900))
        var question = ThreadQuestion(
            endpoint: world.endpoint, phone: PhoneKey(folding: Self.first), accountID: nil, quotedMessageID: nil,
            sentAt: ago(secondsBefore))
        for (learnt, isTheirs) in [(ago(950), true), (ago(800), false)] {
            try await learn(world, at: learnt)
            #expect(try await world.lookup.routes(for: [question])[0].isEmpty == !isTheirs)
        }
        #expect(try await world.lookup.facts(for: [question])[0].threads.count == 1)
        // The provider told when she left it.
        for (seconds, threads) in [(Int64(1000), 1), (700, 0)] {
            question.sentAt = ago(seconds)
            #expect(try await world.lookup.facts(for: [question])[0].threads.count == threads)
        }
        let late = world.message("late", from: Self.first, .unclaimed, at: ago(secondsBefore))
        let next = world.message("next", from: Self.first, account: "GB.3", .unclaimed, at: ago(700))
        if batch.isEmpty { try await world.record([late]) }
        try await world.record(batch.map { $0 == "late" ? late : next })
        #expect(try await world.person(of: "late") == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.second) == world.person(of: "w1"))
        if batch.isEmpty {
            #expect(try await world.holder(of: Self.first) == nil)
            try await world.record([next])
        }
        #expect(try await world.person(of: "next") != world.person(of: "w1"))
        #expect(try await world.holder(of: Self.first) == world.person(of: "next"))
        #expect(try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL") == "2")
    }

    /// Tess left her number; then a message of hers comes late that shows it alone, from before. Where the provider told when
    /// she left, it is hers, and leaves nothing to the number's next holder, who takes it to another number. Where her new
    /// number only showed, she may have left the old one before that, and it may be theirs.
    @Test(arguments: [true, false])
    func aNumberAloneIsWhoseItWasUntilTheProviderSaysThatTheyLeftIt(isTold: Bool) async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        if isTold {
            try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(900))
        } else {
            try await world.record([
                world.message("w2", from: Self.second, account: "GB.1", .unclaimed, at: ago(900))
            ])
        }
        try await world.record([world.message("late", from: Self.first, .unclaimed, at: ago(1000))])
        try await tell(world, "phone", "\(Self.first)", "447911444444", at: ago(300))
        let next = try await world.holder(of: 447_911_444_444)
        #expect(try await world.person(of: "late") == (isTold ? world.person(of: "w1") : next))
        #expect(try await world.person(of: "w1") != next)
    }

    /// Tess hid her number for a while, and wrote from a new one without her account id; now she shows both. What was filed
    /// under the old number since the new one was seen is about somebody else.
    @Test(arguments: [(Int64(600), false), (1000, true)])
    func aMessageThatMakesOneOfTwoGoesByTheNumberSeenLater(learntBefore: Int64, isTheirs: Bool) async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        try await world.record([world.message("w2", from: Self.second, .unclaimed, at: ago(900))])
        try await learn(world, at: ago(learntBefore))
        let question = ThreadQuestion(
            endpoint: world.endpoint, phone: PhoneKey(folding: Self.second), accountID: "GB.1", quotedMessageID: nil,
            sentAt: ago(60))
        #expect(try await world.lookup.routes(for: [question])[0].count == (isTheirs ? 1 : 0))
        let both = world.message("w3", from: Self.second, account: "GB.1", RecorderWorld.toTess, at: ago(60))
        switch try await world.recorder.record(world.batch([both], after: world.claim())) {
        case .recorded: #expect(isTheirs)
        case .staleRoutes: #expect(!isTheirs)
        case .fenced: Issue.record("fenced")
        }
        if !isTheirs {
            try await world.record([world.message("w3", from: Self.second, account: "GB.1", .unclaimed, at: ago(60))])
        }
        #expect(try await world.leases(of: Self.second, account: "GB.1") == (isTheirs ? [RecorderWorld.tessLease] : []))
        #expect(try await world.holder(of: Self.first) == nil)
    }
}
