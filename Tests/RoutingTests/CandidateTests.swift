import Messaging
import Routing
import Testing

@Suite struct LeaseStandingTests {
    @Test(
        "a lease stands as its days and its status say",
        arguments: [
            (makeLease(1, from: nil, until: nil), .running),
            (makeLease(1, from: 0, until: 0), .running),
            (makeLease(1, from: 1, until: nil), .notBegun),
            (makeLease(1, from: 1, until: nil, isActive: false), .notBegun),
            (makeLease(1, until: -1), .inGrace),
            (makeLease(1, until: -30), .inGrace),
            (makeLease(1, until: -31), .over),
            (makeLease(1, until: 10, isActive: false), .inGrace),
            (makeLease(1, until: -30, isActive: false), .inGrace),
            (makeLease(1, until: -31, isActive: false), .over),
            (makeLease(1, until: nil, isActive: false), .over),
        ] as [(Route, LeaseStanding)])
    func standsAsDaysSay(route: Route, standing: LeaseStanding) {
        #expect(route.standing(on: today, graceDays: 30) == standing)
    }

    @Test("without days of grace a lease is over the day after its last")
    func noGrace() {
        #expect(makeLease(1, until: 0).standing(on: today, graceDays: 0) == .running)
        #expect(makeLease(1, until: -1).standing(on: today, graceDays: 0) == .over)
        #expect(makeLease(1, until: -1).standing(on: today, graceDays: -5) == .over)
    }
}

@Suite struct CandidateListTests {
    @Test("people who share a phone at one landlord are one candidate: the oldest running lease, the same in any order")
    func oldestLeaseSpeaks() {
        let leases = [
            makeLease(4, from: -10), makeLease(3, from: -20), makeLease(2, from: -20), makeLease(1, from: -5),
        ]
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<24 {
            let list = makeTable(leases.shuffled(using: &generator)).candidates(phone: .ann)
            #expect(list.candidates.map(\.leaseID) == [uid(2)])
        }
        let open = leases + [makeLease(9, from: nil)]
        #expect(makeTable(open).candidates(phone: .ann).only?.leaseID == uid(9))
    }

    @Test("each landlord is a candidate, the oldest lease first")
    func eachLandlordCounts() {
        let list = makeTable([makeLease(1, landlord: 1, from: -5), makeLease(2, landlord: 2, from: -9)]).candidates(
            phone: .ann)
        #expect(list.candidates.map(\.landlordID) == [uid(2), uid(1)])
        #expect(list.only == nil)
    }

    @Test("a running lease counts before one in grace, whichever landlord has it")
    func runningBeforeGrace() {
        let list = makeTable([makeLease(1, landlord: 1, until: -3), makeLease(2, landlord: 2)]).candidates(phone: .ann)
        #expect(list.only?.landlordID == uid(2))
        #expect(list.inGrace.map(\.landlordID) == [uid(1)])
        #expect(list.contains(landlord: uid(1)) && list.contains(landlord: uid(2)) && !list.contains(landlord: uid(3)))
    }

    @Test("when none runs, those in grace count")
    func graceCounts() {
        #expect(makeTable([makeLease(1, until: -3)]).candidates(phone: .ann).only?.leaseID == uid(1))
        #expect(makeTable([makeLease(1, until: -40)]).candidates(phone: .ann).candidates.isEmpty)
    }

    @Test("a candidate carries what the commit checks")
    func carriesEverything() {
        let expected = Candidate(landlordID: uid(1), propertyID: uid(901), routeKey: .ann)
        #expect(makeTable([makeLease(1)]).candidates(phone: .ann).candidates == [expected])
        var bare = makeLease(1)
        bare.propertyID = nil
        #expect(makeTable([bare]).candidates(phone: .ann).only?.propertyID == nil)
    }

    @Test("on an endpoint with an owner only the owner's leases count")
    func ownerOnly() {
        let both = makeTable([makeLease(1, landlord: 1), makeLease(2, landlord: 2)])
        #expect(both.candidates(phone: .ann, at: .owned(by: 2)).candidates.map(\.landlordID) == [uid(2)])
        #expect(both.candidates(phone: .ann, at: .owned(by: 3)).candidates.isEmpty)
    }

    @Test(
        "nobody is found under no number, another number, or one that is none",
        arguments: [
            nil, PhoneKey.bob, PhoneKey(folded: 0), PhoneKey(folded: .max), PhoneKey(folded: 1 << 50 | 447_911_000_001),
        ])
    func nobody(phone: PhoneKey?) {
        #expect(makeTable([makeLease(1)]).candidates(phone: phone).candidates.isEmpty)
    }

    @Test("a lease under a number that is none is counted and left out")
    func rejectsBadKeys() {
        let table = makeTable([makeLease(1, key: PhoneKey(folded: 1_000_000_000_000_000)), makeLease(2)])
        #expect(table.statistics.rejectedRoutes == 1)
        #expect(table.routeCount == 1)
    }
}

@Suite struct IdentityTests {
    let moved: Int64 = 1000

    @Test("an account id without a phone reaches the leases under its person's number")
    func accountReaches() {
        let table = makeTable([makeLease(1)], identities: [link(account: "US.1", person: 7, to: .ann)])
        #expect(table.candidates(phone: nil, account: "US.1").only?.leaseID == uid(1))
        #expect(table.candidates(phone: .ann, account: "US.1").only?.leaseID == uid(1))
        #expect(table.candidates(phone: nil, account: "us.1").candidates.isEmpty)
        #expect(table.candidates(phone: nil, account: "US.1", at: .owned(by: 1)).candidates.isEmpty)
    }

    @Test("somebody who changed number keeps the leases under the old one, and the next holder does not get them")
    func movedPersonKeepsLeases() {
        let identities = [
            link(phone: .bob, person: 7, to: .ann), departure(of: 7, from: .ann, at: moved),
            link(account: "US.7", person: 7, to: .ann), link(account: "US.7", person: 7, to: .bob),
        ]
        let table = makeTable([makeLease(1, learntAt: moved - 1)], identities: identities)
        #expect(table.candidates(phone: .bob).only?.leaseID == uid(1))
        #expect(table.candidates(phone: nil, account: "US.7").only?.leaseID == uid(1))
        #expect(table.candidates(phone: .ann).candidates.isEmpty)
    }

    @Test("leases learnt after a number was left are its next holder's alone")
    func nextHolderGetsNewLeases() {
        let identities = [
            link(phone: .bob, person: 7, to: .ann), departure(of: 7, from: .ann, at: moved),
            link(account: "US.8", person: 8, to: .ann),
        ]
        let leases = [makeLease(1, landlord: 1, learntAt: moved - 1), makeLease(2, landlord: 2, learntAt: moved)]
        let table = makeTable(leases, identities: identities)
        #expect(table.candidates(phone: .bob).candidates.map(\.leaseID) == [uid(1)])
        #expect(table.candidates(phone: .ann).candidates.map(\.leaseID) == [uid(2)])
        #expect(table.candidates(phone: nil, account: "US.8").candidates.map(\.leaseID) == [uid(2)])
        #expect(table.candidates(phone: .ann, account: "US.8").candidates.map(\.leaseID) == [uid(2)])
    }

    @Test("somebody who came back to an old number has both sides")
    func returnedPerson() {
        let identities = [
            link(phone: .ann, person: 7, to: .bob), departure(of: 7, from: .ann, at: moved),
            departure(of: 7, from: .bob, at: moved + 10), link(account: "US.7", person: 7, to: .ann),
        ]
        let leases = [makeLease(1, landlord: 1, learntAt: 0), makeLease(2, landlord: 2, learntAt: moved + 20)]
        let table = makeTable(leases, identities: identities)
        #expect(table.candidates(phone: .ann).candidates.count == 2)
        #expect(table.candidates(phone: nil, account: "US.7").candidates.count == 2)
    }

    @Test("of a number three people had one after the other, each has the leases of their own time")
    func everyDepartureCounts() {
        let identities = [
            departure(of: 7, from: .ann, at: moved), departure(of: 8, from: .ann, at: moved + 10),
            departure(of: 7, from: .ann, at: moved + 20),
            link(account: "US.7", person: 7, to: .ann), link(account: "US.8", person: 8, to: .ann),
        ]
        let leases = [
            makeLease(1, landlord: 1, learntAt: moved - 1), makeLease(2, landlord: 2, learntAt: moved + 1),
            makeLease(3, landlord: 3, learntAt: moved + 11), makeLease(4, landlord: 4, learntAt: moved + 21),
        ]
        let table = makeTable(leases, identities: identities)
        #expect(table.candidates(phone: nil, account: "US.7").candidates.map(\.leaseID) == [uid(3)])
        #expect(table.candidates(phone: nil, account: "US.8").candidates.map(\.leaseID) == [uid(2)])
        #expect(table.candidates(phone: .ann).candidates.map(\.leaseID) == [uid(4)])
    }

    @Test("somebody who came back to a number, and has no other, has what was theirs before")
    func returnedWithoutAnother() {
        let identities = [departure(of: 7, from: .ann, at: moved), link(phone: .ann, person: 7, to: .ann)]
        let table = makeTable([makeLease(1, learntAt: moved - 1)], identities: identities)
        #expect(table.candidates(phone: .ann).only?.leaseID == uid(1))
    }

    @Test("a number left on a landlord's own endpoint says nothing about the shared one")
    func scopesAreApart() {
        var elsewhere = departure(of: 7, from: .ann, at: moved)
        elsewhere.scope = "3"
        let table = makeTable([makeLease(1, learntAt: 0)], identities: [elsewhere])
        #expect(table.candidates(phone: .ann).only?.leaseID == uid(1))
    }

    @Test("rows that say nothing, or whose number is none, change nothing")
    func ignoresEmptyRows() {
        var unlinked = link(account: "US.1", person: 7, to: .ann)
        unlinked.routeKey = nil
        var broken = departure(of: 7, from: .ann, at: moved)
        broken.value = "n/a"
        let table = makeTable([makeLease(1, learntAt: 0)], identities: [unlinked, broken])
        #expect(table.candidates(phone: .ann).only?.leaseID == uid(1))
        #expect(table.candidates(phone: nil, account: "US.1").candidates.isEmpty)
        #expect(table.statistics.identities == 0)
    }
}
