/// Messages nobody had, and those that are held.
extension Oracle {
    /// For how long an unclaimed message may still find its landlord.
    private static let claimSeconds: Moment = 30 * 86_400

    /// Messages nobody had that may find their landlord by now.
    func unclaimed(at: Moment) -> [(name: MessageName, place: Place)] {
        strays.sorted { $0.key < $1.key }.map { ($0.key, $0.value.place) }
    }

    private static let unclaimedStatus = "unknown_sender"

    /// Whether a message waits between landlords. It goes on when one is left, and may stay for whom a human asks.
    private func isHeld(_ name: MessageName) -> Bool {
        outcomes[name].map { $0.status != Self.unclaimedStatus } ?? false
    }

    /// Messages nobody had may have gone on, as if they came in now from whoever their sender is.
    mutating func healed(at: Moment, found: [MessageName: Outcome]) {
        for (name, waiting) in strays.sorted(by: { $0.key < $1.key }) {
            if waiting.sent.at < at - Self.claimSeconds { strays[name] = nil }
            guard let outcome = found[name], outcome.status != outcomes[name]?.status ?? Self.unclaimedStatus else {
                continue
            }
            tick += 1
            tally.healed += 1
            outcomes[name] = outcome
            let question = question(of: waiting, at: at)
            guard let landlord = outcome.landlord else {
                if ladder.answer(question, knowing: .init(at: tick)) != .held {
                    tally.violated(name, "is held, and was nobody's, without a reason", known: known(question))
                }
                continue
            }
            strays[name] = nil
            check(waiting.sent, question, outcome, landlord)
            write(waiting.sent, outcome, of: people.root(waiting.person), at: at)
        }
    }

    /// After all that waits was looked at: whoever has a landlord by now must not wait any more.
    mutating func healedAll(at: Moment) {
        for (name, waiting) in strays.sorted(by: { $0.key < $1.key }) where !isHeld(name) {
            let due = ladder.answer(question(of: waiting, at: at), knowing: .init(at: tick))
            if due != .unclaimed, waiting.sent.at > at - Self.claimSeconds {
                tally.violated(name, "is still nobody's, where \(due) is due")
            }
        }
    }

    private func question(of waiting: Unclaimed, at: Moment) -> Ladder.Question {
        let live = people.live(people.root(waiting.person), realm: waiting.place.realm)
        return Ladder.Question(
            number: live.number, account: live.account, place: waiting.place, quoted: nil, today: at.day,
            blocked: blocked)
    }
}
