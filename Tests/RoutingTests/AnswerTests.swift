import Messaging
import Routing
import Testing

/// Answers to "Who is this message for?".
@Suite struct AnswerTests {
    static let question = AskedQuestion(
        id: uid(77), isOpen: true,
        choices: [
            .init(
                landlordID: uid(1), conversationID: nil,
                label: ChoiceLabel(property: "12 Harbour Road", landlord: "Ann")),
            .init(
                landlordID: uid(2), conversationID: nil, label: ChoiceLabel(property: "5 Mill Lane", landlord: "Bob")),
        ])

    static var closed: AskedQuestion {
        var question = question
        question.isOpen = false
        return question
    }

    private func resolution(
        of message: InboundMessage, routes: [Route] = [makeLease(1), makeLease(2, landlord: 2)],
        threads: [ThreadReference] = [], questions: [AskedQuestion] = [question]
    ) -> Resolution? {
        let resolver = Resolver(table: makeTable(routes), today: today)
        switch resolver.firstPass(message, at: .shared) {
        case .decided(let resolution): return resolution
        case .needsThreads(let pending):
            return resolver.decide(pending, SenderFacts(threads: threads, questions: questions))
        }
    }

    private static let toBob = Resolution(
        .lease(Candidate(makeLease(2, landlord: 2)), rung: .asked), answer: ChoiceToken(question: uid(77), choice: 2))

    @Test("a tap goes by the tapped landlord's lease", arguments: [question, closed])
    func tap(question: AskedQuestion) {
        let tap = makeMessage(taps: ChoiceToken(question: uid(77), choice: 2))
        #expect(resolution(of: tap, questions: [question]) == Self.toBob)
    }

    @Test("a tap counts before a quote and before who spoke, for it quotes the question")
    func tapFirst() {
        let tap = makeMessage(quotes: "wamid.question", taps: ChoiceToken(question: uid(77), choice: 2))
        #expect(resolution(of: tap, threads: [makeThread(1, isQuoted: true, spokeHoursAgo: 1)]) == Self.toBob)
    }

    @Test("a tap whose landlord's lease is over is a message like any other")
    func lateTap() {
        let tap = makeMessage(taps: ChoiceToken(question: uid(77), choice: 2))
        let left = resolution(of: tap, routes: [makeLease(1), makeLease(2, landlord: 2, until: -90)])
        #expect(left == Resolution(.lease(Candidate(makeLease(1)), rung: .onlyCandidate)))
        let others = [makeLease(1), makeLease(3, landlord: 3), makeLease(2, landlord: 2, until: -90)]
        #expect(
            resolution(of: tap, routes: others)?.decision
                == .held([Candidate(makeLease(1)), Candidate(makeLease(3, landlord: 3))]))
    }

    @Test("a tap by another lease with the same landlord goes by the one that holds now")
    func newLease() {
        let tap = makeMessage(taps: ChoiceToken(question: uid(77), choice: 2))
        let routes = [makeLease(1), makeLease(2, landlord: 2, until: -90), makeLease(5, landlord: 2)]
        #expect(
            resolution(of: tap, routes: routes)?.decision
                == .lease(Candidate(makeLease(5, landlord: 2)), rung: .asked))
    }

    @Test("a tap on a question that is not the sender's, or has no such choice, is a message like any other")
    func strangeTap() {
        let strange = makeMessage(taps: ChoiceToken(question: uid(78), choice: 2))
        #expect(resolution(of: strange)?.answer == nil)
        let beyond = makeMessage(taps: ChoiceToken(question: uid(77), choice: 3))
        #expect(resolution(of: beyond)?.answer == nil)
    }

    @Test("a choice that is a thread goes there while it is open")
    func threadChoice() {
        var question = Self.question
        question.choices[1].conversationID = makeThread(2, landlord: 2).conversationID
        let tap = makeMessage(taps: ChoiceToken(question: uid(77), choice: 2))
        let threads = [makeThread(1), makeThread(2, landlord: 2)]
        #expect(
            resolution(of: tap, routes: [], threads: threads, questions: [question])?.decision
                == .thread(threads[1], rung: .asked))
        #expect(resolution(of: tap, routes: [], threads: [threads[0]], questions: [question])?.answer == nil)
    }

    @Test(
        "a text answers if it names one choice, by number, property or landlord",
        arguments: [
            ("2", 2), ("1", 1), (" 2. ", 2), ("#2", 2), ("5 mill lane", 2), ("BOB", 2), ("ann", 1), ("3", nil),
            ("0", nil),
            ("2 keys are missing", nil), ("The tap drips", nil), ("Bob is here", nil), ("", nil),
        ] as [(String, Int?)])
    func text(text: String, choice: Int?) {
        let answer = resolution(of: makeMessage(text: text))?.answer
        #expect(answer == choice.map { ChoiceToken(question: uid(77), choice: $0) })
    }

    @Test("a name that two choices share answers nothing")
    func ambiguousName() {
        var question = Self.question
        question.choices[0].label = ChoiceLabel(property: "12 Harbour Road", landlord: "Bob")
        #expect(resolution(of: makeMessage(text: "bob"), questions: [question])?.answer == nil)
        #expect(resolution(of: makeMessage(text: "5 Mill Lane"), questions: [question])?.answer?.choice == 2)
    }

    @Test("a text answers an open question alone, and a picture's caption none")
    func closedQuestion() {
        #expect(resolution(of: makeMessage(text: "2"), questions: [Self.closed])?.answer == nil)
        var picture = makeMessage(text: "2")
        picture.type = "image"
        #expect(resolution(of: picture)?.answer == nil)
    }
}
