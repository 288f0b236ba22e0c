import Messaging

/// Tells a story to the gateway and to the oracle, and compares what they make of it.
struct Telling {
    let stage: Stage
    var oracle: Oracle
    private let batchSize: Int
    private(set) var now: Moment
    private var posts: [Post] = []
    private var places: [MessageName: Place] = [:]
    private var refreshesAsked = 0
    private var replyTimes: [RowID: Moment] = [:]
    /// Stops at the first violation: to make a story shorter.
    var stopsEarly = false

    /// Tells a story from beginning to end.
    /// - Parameter replays: whether everything is recorded once more at the end.
    static func tell(_ story: Generator.Story, replays: Bool = true, stopsEarly: Bool = false) async throws -> Tally {
        let stage = try await Stage(answersIntake: story.answersIntake, staleSeconds: story.staleSeconds)
        var telling = Telling(story, stage)
        telling.stopsEarly = stopsEarly
        do {
            let tally = try await telling.run(story, replays: replays)
            await stage.close()
            return tally
        } catch {
            await stage.close()
            throw error
        }
    }

    private init(_ story: Generator.Story, _ stage: Stage) {
        self.stage = stage
        oracle = Oracle(truth: story.truth)
        batchSize = story.batchSize
        now = story.start
    }

    private mutating func run(_ story: Generator.Story, replays: Bool) async throws -> Tally {
        try await stage.setClock(story.start)
        try await stage.refresh(full: true)
        oracle.refresh()
        stage.startIntake(batchSize: batchSize)
        for step in story.steps {
            if step.at != now {
                now = step.at
                try await stage.setClock(now)
            }
            try await act(step.action)
            if oracle.tally.isStuck || stopsEarly, !oracle.tally.violations.isEmpty { return oracle.tally }
        }
        try await audit(replays: replays)
        return oracle.tally
    }

    private mutating func act(_ action: Action) async throws {
        switch action {
        case .landlord(let event):
            try await stage.database.apply(event)
            oracle.landlord(event, at: now)
            if case .landlord(let id, _) = event, id == Place.owned.owner { try await stage.makeKnown(.owned) }
        case .post(let post): posts.append(post)
        case .refresh(let full):
            try await stage.refresh(full: full)
            oracle.refresh()
            try await heal()
        case .settle: try await settle()
        case .reply(let reply):
            guard let place = places[reply.to],
                let conversation = try await stage.database.reply(reply, in: place)
            else { return }
            replyTimes[reply.id] = reply.at
            oracle.replied(reply, in: conversation, place)
        case .answered(let reply):
            guard let at = replyTimes[reply] else { return }
            try await stage.database.answered(reply, at: at)
            oracle.answered(reply)
        case .block(let message):
            guard let place = places[message],
                let conversation = try await stage.database.block(threadOf: message, in: place)
            else { return }
            oracle.block(conversation)
        case .endpointKnown(let place):
            try await stage.makeKnown(place)
            try await stage.refresh(full: false)
            oracle.endpointKnown(place)
            oracle.refresh()
        }
    }

    /// What waited goes on, if its wait is over.
    private mutating func heal() async throws {
        guard try await stage.heal() else { return }
        oracle.healed(at: now, found: try await stage.outcomes(of: oracle.unclaimed(at: now)))
    }

    private mutating func settle() async throws {
        guard !posts.isEmpty else { return }
        do {
            try await stage.record(posts)
        } catch {
            let names = posts.flatMap { $0.updates.compactMap(\.message) }
            oracle.stuck(Set(names), "\(error)")
            return
        }
        var asked: [(name: MessageName, place: Place)] = []
        for post in posts {
            for update in post.updates {
                guard let name = update.message, places[name] == nil else { continue }
                places[name] = post.place
                asked.append((name, post.place))
            }
        }
        asked += oracle.waitingNames.map { ($0, .late) }
        let found = try await stage.outcomes(of: asked)
        oracle.delivered()
        var rest = posts[...]
        while !rest.isEmpty {
            oracle.recorded(Array(rest.prefix(batchSize)), at: now, found: found)
            rest = rest.dropFirst(batchSize)
        }
        posts = []
        if stage.refreshesAsked > refreshesAsked { oracle.mayHaveRefreshed() }
        refreshesAsked = stage.refreshesAsked
    }
}

extension Update {
    /// What the provider calls it, if it is a message.
    var message: MessageName? {
        switch self {
        case .message(let sent): sent.name
        case .notice(let notice): notice.name
        case .status, .other: nil
        }
    }
}
