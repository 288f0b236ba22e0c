/// Makes the story of a violation as short as it gets: what has nothing to do with it is left out first, then whatever
/// can be left out while the violation stays.
struct Shortening {
    /// Whether a shorter story still shows the violation.
    let stillFails: ([Step]) async throws -> Bool
    /// Stories told at most.
    var triesMax = 400

    /// - Parameter messages: those the violation is about; what has nothing to do with their authors is left out at once.
    func shorten(_ story: Generator.Story, to messages: Set<MessageName>) async throws -> [Step] {
        let all = Self.cut(story.steps)
        var steps = all
        search: for some in [Self.upTo(messages, all), all] {
            for subject in messages.sorted().map({ Set([$0]) }) + [messages] {
                let relevant = Self.relevant(some, to: subject)
                guard try await stillFails(relevant) else { continue }
                steps = relevant
                break search
            }
        }
        var tries = 0
        var size = max(1, steps.count / 2)
        while size >= 1, tries < triesMax {
            var start = 0
            var hasShrunk = false
            while start < steps.count, tries < triesMax {
                var shorter = steps
                shorter.removeSubrange(start..<min(start + size, steps.count))
                tries += 1
                if try await stillFails(shorter) {
                    steps = shorter
                    hasShrunk = true
                } else {
                    start += size
                }
            }
            if size == 1, !hasShrunk { break }
            size = max(1, size / 2)
        }
        return steps
    }

    /// Webhooks are cut into their updates.
    private static func cut(_ steps: [Step]) -> [Step] {
        steps.flatMap { step -> [Step] in
            guard case .post(let post) = step.action else { return [step] }
            return post.updates.map { update in
                Step(at: step.at, action: .post(Post(id: post.id, place: post.place, updates: [update])))
            }
        }
    }

    /// Mostly nothing matters after the batch in which a message is recorded first.
    private static func upTo(_ messages: Set<MessageName>, _ steps: [Step]) -> [Step] {
        var missing = messages
        for (index, step) in steps.enumerated() {
            if case .post(let post) = step.action, let name = post.updates.first?.message { missing.remove(name) }
            if case .settle = step.action, missing.isEmpty { return Array(steps[...index]) }
        }
        return steps
    }

    /// The steps that touch the message's human, their numbers and ids, and who else had these.
    private static func relevant(_ steps: [Step], to messages: Set<MessageName>) -> [Step] {
        var humans: Set<Int> = []
        var numbers: Set<Number> = []
        var rows: Set<RowID> = []
        for _ in 0..<4 {
            for case .post(let post) in steps.map(\.action) {
                for update in post.updates {
                    switch update {
                    case .message(let sent)
                    where messages.contains(sent.name) || humans.contains(sent.human)
                        || sent.number.map { numbers.contains($0) } ?? false:
                        humans.insert(sent.human)
                        if let number = sent.number { numbers.insert(number) }
                    case .notice(let notice) where messages.contains(notice.name) || humans.contains(notice.human):
                        humans.insert(notice.human)
                        if case .number(let old, let new) = notice.change { numbers.formUnion([old, new]) }
                    default: continue
                    }
                }
            }
            for case .landlord(let event) in steps.map(\.action) where event.touches(rows, numbers) {
                rows.formUnion(event.rows)
            }
        }
        return steps.filter { $0.touches(humans, rows, numbers) }
    }
}

extension Step {
    fileprivate func touches(_ humans: Set<Int>, _ rows: Set<RowID>, _ numbers: Set<Number>) -> Bool {
        switch action {
        case .landlord(let event): event.touches(rows, numbers)
        case .post(let post): post.updates.contains { $0.touches(humans, numbers) }
        case .refresh, .settle, .endpointKnown: true
        case .reply, .answered, .block: true
        }
    }
}

extension Update {
    fileprivate func touches(_ humans: Set<Int>, _ numbers: Set<Number>) -> Bool {
        switch self {
        case .message(let sent): humans.contains(sent.human) || sent.number.map { numbers.contains($0) } ?? false
        case .notice(let notice): humans.contains(notice.human)
        case .status, .other: false
        }
    }
}

extension LandlordEvent {
    fileprivate var rows: Set<RowID> {
        switch self {
        case .landlord(let id, _), .enabled(let id, _), .landlordGone(let id), .tenantGone(let id): [id]
        case .property(let id, let other), .sold(let id, let other), .tenant(let id, let other, _, _): [id, other]
        case .tenantNumber(let id, _, _), .leaseChanged(let id, _, _, _): [id]
        case .lease(let id, let row): [id, row.tenant, row.property]
        }
    }

    fileprivate func touches(_ rows: Set<RowID>, _ numbers: Set<Number>) -> Bool {
        switch self {
        case .landlord(let id, _), .enabled(let id, _), .landlordGone(let id), .tenantGone(let id): rows.contains(id)
        case .property(let id, _), .sold(let id, _), .leaseChanged(let id, _, _, _): rows.contains(id)
        case .tenant(let id, _, let number, _), .tenantNumber(let id, let number, _):
            rows.contains(id) || numbers.contains(number)
        case .lease(let id, let row): rows.contains(id) || rows.contains(row.tenant)
        }
    }
}

extension Generator.Story {
    /// Who wrote each message.
    var authors: [MessageName: Int] {
        var authors: [MessageName: Int] = [:]
        for case .post(let post) in steps.map(\.action) {
            for update in post.updates {
                switch update {
                case .message(let sent): authors[sent.name] = sent.human
                case .notice(let notice): authors[notice.name] = notice.human
                case .status, .other: continue
                }
            }
        }
        return authors
    }
}
