/// What people write, and how it arrives.
extension Generator {
    /// Somebody writes a message, or several.
    mutating func write() {
        let human = !restless.isEmpty && chance(55) ? restless.removeFirst() : pickHuman()
        let place = chance(80) ? Place.main : chance(60) ? .second : chance(60) ? .owned : lateOrMain()
        var updates = [Update.message(message(human, in: place))]
        if chance(10) { updates.append(.message(message(chance(50) ? human : pickHuman(), in: place))) }
        if chance(2) { updates.append(.other) }
        mail(post(place, updates))
    }

    /// The endpoint that nobody knows yet gets few messages: they wait, and are tried again a few at a time.
    private mutating func lateOrMain() -> Place { isLateKnown || chance(30) ? .late : .main }

    private mutating func message(_ human: Int, in place: Place) -> Sent {
        let person = humans[human]
        let shows = person.account == nil || chance(person.showsNumber)
        var sent = Sent(
            name: nextMessage(), human: human, number: shows ? person.number : nil,
            account: person.account == nil || (shows && chance(6)) ? nil : person.account,
            at: max(person.changedAt, now - Moment(pick(20))))
        sent.quotes = quote(by: human)
        humans[human].sent.append(sent.name)
        messages += 1
        answerable.append((sent.name, human, place))
        if answerable.count > 200 { answerable.removeFirst(100) }
        return sent
    }

    /// Mostly nothing; else one's own earlier message, the landlord's answer, or something one should not know of.
    private mutating func quote(by human: Int) -> Quote? {
        switch pick(100) {
        case 0..<5: humans[human].sent.isEmpty ? nil : .message(humans[human].sent[pick(humans[human].sent.count)])
        case 5..<10:
            humans[human].received.isEmpty ? nil : .reply(humans[human].received[pick(humans[human].received.count)])
        case 10..<12: .message(MessageName(index: 1 + pick(messageCount)))
        default: nil
        }
    }

    /// Tells the platform's numbers of a change: before the first message under the new identity, after it, or days later.
    mutating func announce(_ changes: [Notice.Change], by human: Int) {
        let updates = changes.map { change in
            Update.notice(
                Notice(
                    name: nextMessage(), human: human, change: change,
                    number: humans[human].showsNumber > 50 ? humans[human].number : nil, at: now))
        }
        guard shape.hasNotices, !updates.isEmpty else { return }
        let delay: Moment =
            switch pick(10) {
            case 0..<5: 0
            case 5..<8: Moment(pick(2 * 86_400))
            default: Moment(pick(7 * 86_400))
            }
        if chance(50) {
            // In one post, perhaps with the first message under the new identity.
            let rest = chance(40) ? [Update.message(message(human, in: .main))] : []
            mail(post(.main, updates + rest), after: delay)
        } else {
            for update in chance(50) ? updates : updates.reversed() {
                mail(post(.main, [update]), after: delay + Moment(pick(3600)))
            }
        }
    }

    /// Puts a webhook on its way: most arrive at once, some minutes, hours or days later, and some twice.
    mutating func mail(_ post: Post, after delay: Moment = 0) {
        let lateness: Moment =
            switch pick(100) {
            case 0..<88: 0
            case 88..<95: Moment(pick(4 * 3600))
            case 95..<99: Moment(pick(30 * 3600))
            default: Moment(pick(7 * 86_400))
            }
        let arrival = now + delay + lateness
        postal.add(post, at: arrival)
        if chance(4) { postal.add(post, at: arrival + Moment(pick(chance(50) ? 600 : 7 * 86_400))) }
    }

    // MARK: Answers

    /// A landlord answers somebody's message; the provider's answer and its statuses come in any order.
    mutating func landlordAnswers() {
        guard !answerable.isEmpty else { return }
        let (name, human, place) = answerable[pick(answerable.count)]
        let reply = next(.reply)
        humans[human].received.append(reply)
        let isAnswered = chance(92)
        let early = chance(50)
        tell(.reply(Reply(id: reply, to: name, at: now)))
        if isAnswered, early { tell(.answered(reply)) }
        var words: [DeliveryWord] = chance(10) ? [.sent, .failed] : [.sent, .delivered, .read]
        if chance(5) { words.append(.failed) }
        if chance(5) { words.append(.played) }
        words.removeLast(pick(words.count))
        words.shuffle(using: &random)
        for word in words {
            mail(post(place, [.status(of: reply, word, at: now)]), after: Moment(pick(6 * 3600)))
        }
        if isAnswered, !early { tell(.answered(reply)) }
    }
}
