import Glibc
import Testing

@Suite struct WorldTests {
    @Test func nothing() async throws {
        let seed = getenv("WORLD_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
        let count = getenv("WORLD_MESSAGES").flatMap { Int(String(cString: $0)) } ?? 20_000
        let began = ContinuousClock.now
        var shape = Generator.Shape()
        shape.hasNotices = getenv("WORLD_NOTICES") == nil
        let story = Generator.story(seed: seed, messages: count, shape: shape)
        print("seed", seed, "steps", story.steps.count, "batch", story.batchSize, ContinuousClock.now - began)
        let tally = try await Telling.tell(story)
        print(ContinuousClock.now - began)
        print(
            tally.messages, tally.ideal, tally.verdicts, "notices", tally.notices, "dup", tally.duplicates, "st",
            tally.statuses, "redriven", tally.redriven)
        for (d, n) in tally.divergences { print(n, d.rawValue) }
        print("violations", tally.violations.count, "wrong", tally.wrongLandlords)
        for v in tally.violations.prefix(20) { print(v) }
        if getenv("WORLD_NOSHORT") != nil { return }
        let pickWrong = getenv("WORLD_WRONG") != nil
        guard
            let first = tally.violations.filter({ $0.isWrongLandlord || !pickWrong }).dropFirst(
                getenv("WORLD_WHICH").flatMap { Int(String(cString: $0)) } ?? 0
            ).first, let name = first.message
        else { return }
        var tries = 0
        let short = try await Shortening { steps in
            var shorter = story
            shorter.steps = steps
            tries += 1
            return try await Telling.tell(shorter, replays: false, stopsEarly: false).violations.contains {
                $0.message == name && $0.isWrongLandlord == first.isWrongLandlord
            }
        }.shorten(story, to: name)
        print("shortened", first, "tries", tries, ContinuousClock.now - began)
        for step in short { print("   ", step) }
        var shorter = story
        shorter.steps = short
        for v in try await Telling.tell(shorter).violations { print(v) }
    }
}
