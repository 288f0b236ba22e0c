import Glibc
import Testing

/// A generated world, told to the real gateway, from the bytes of the webhooks to the rows of the database, and to an
/// oracle that knows the rules and nothing of the code.
///
/// It is the world of seed 1, so that what fails is what changed; `script/bench world` tells others. `WORLD_SEED` tells one
/// of them again, `WORLD_MESSAGES` makes it longer (worlds of 20,000 messages), `WORLD_WORKERS` tells
/// several at once. What fails is made as short as it gets and printed; `WORLD_SHORTEN` says of how many
/// people.
@Suite("A generated world") struct WorldTests {
    @Test("no message goes to the wrong landlord, none is lost, none doubled, and every divergence has a name")
    func world() async throws {
        let seed = setting("WORLD_SEED").flatMap { UInt64($0) } ?? 1
        let messages = setting("WORLD_MESSAGES").flatMap { Int($0) } ?? Worlds.messagesEach
        let workers = setting("WORLD_WORKERS").flatMap { Int($0) } ?? 1
        show("seed \(seed)")
        let began = ContinuousClock.now
        var total = Tally()
        var failed: Worlds.Result?
        try await Worlds(seed: seed, messages: messages, workers: workers).run { result in
            total += result.tally
            if !result.tally.violations.isEmpty, failed == nil { failed = result }
            for violation in result.tally.violations.prefix(20) {
                let lines = ["seed \(result.story.seed): \(violation)"] + violation.known
                Issue.record("\(lines.joined(separator: "\n  "))")
            }
            show(WorldReport(result.tally, total, seconds: (ContinuousClock.now - began).seconds).progress)
        }
        show(WorldReport(total, total, seconds: (ContinuousClock.now - began).seconds).result)
        #expect(total.messages >= messages)
        if let failed { try await explain(failed, count: setting("WORLD_SHORTEN").flatMap { Int($0) } ?? 1) }
    }

    /// Prints the shortest stories in which the worst violations still happen, one of a person.
    private func explain(_ failed: Worlds.Result, count: Int) async throws {
        let authors = failed.story.authors
        var told: Set<Int> = []
        for violation in failed.tally.violations.sorted(by: { $0.rank < $1.rank }) where told.count < count {
            guard let name = violation.message, told.insert(authors[name] ?? -1).inserted else { continue }
            try await explain(violation, of: name, in: failed.story)
        }
    }

    private func explain(_ worst: Tally.Violation, of name: MessageName, in story: Generator.Story) async throws {
        func tell(_ steps: [Step]) async throws -> [Tally.Violation] {
            var shorter = story
            shorter.steps = steps
            return try await Telling.tell(shorter, replays: false).violations
        }
        let shortening = Shortening { steps in
            try await tell(steps).contains { $0.rank == worst.rank && ($0.message == name || !worst.others.isEmpty) }
        }
        let steps = try await shortening.shorten(story, to: worst.others.union([name]))
        show("the story of \(worst), made short:")
        for step in steps { show("  \(step)") }
        for violation in try await tell(steps) {
            show("\(violation)")
            for fact in violation.known { show("  \(fact)") }
        }
    }

    private func setting(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private func show(_ line: String) {
        print("world: \(line)")
        fflush(nil)
    }
}

extension Tally.Violation {
    /// The worst first.
    fileprivate var rank: Int { isWrongLandlord ? 0 : others.isEmpty ? 2 : 1 }
}

extension Duration {
    fileprivate var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
