import Synchronization

/// Several worlds, told two or more at once, and what came of all of them.
struct Worlds {
    var seed: UInt64
    var messages: Int
    /// Worlds at once: each keeps about one processor busy.
    var workers: Int

    /// Of one world. People must live long enough for what happens to them to meet.
    static let messagesEach = 20_000

    struct Result {
        var story: Generator.Story
        var tally: Tally
    }

    /// - Parameter progress: called after each world, with all that came of it.
    func run(_ progress: @escaping (Result) -> Void) async throws {
        let count = max(1, (messages + Self.messagesEach - 1) / Self.messagesEach)
        try await withThrowingTaskGroup(of: Result.self) { group in
            for number in 0..<count {
                if number >= workers, let result = try await group.next() { progress(result) }
                let size = min(Self.messagesEach, messages - number * Self.messagesEach)
                group.addTask { try await Self.tell(seed &+ UInt64(number), size) }
            }
            while let result = try await group.next() { progress(result) }
        }
    }

    @concurrent
    private static func tell(_ seed: UInt64, _ messages: Int) async throws -> Result {
        let story = Generator.story(seed: seed, messages: messages)
        return Result(story: story, tally: try await Telling.tell(story))
    }
}
