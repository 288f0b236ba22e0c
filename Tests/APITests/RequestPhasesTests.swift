import Testing

@testable import API

@Suite struct RequestPhasesTests {
    @Test("A connection owes its first request from the start")
    func start() {
        #expect(RequestPhases().phase == .head)
    }

    @Test("One request passes through head, body and answer to idle")
    func oneRequest() {
        var phases = RequestPhases()
        phases.bytesArrived(withLineEnd: true)
        #expect(phases.phase == .head)
        phases.headRead()
        #expect(phases.phase == .body)
        phases.bytesArrived(withLineEnd: true)
        #expect(phases.phase == .body)
        phases.endRead()
        #expect(phases.phase == .answer)
        phases.answerEnded()
        #expect(phases.phase == .idle)
        phases.bytesArrived(withLineEnd: true)
        #expect(phases.phase == .head)
    }

    @Test("An answer that comes before the body is complete leaves the body's time running")
    func earlyAnswer() {
        var phases = RequestPhases()
        phases.headRead()
        phases.answerEnded()
        #expect(phases.phase == .body)
        #expect(phases.answersDue == -1)
        phases.endRead()
        #expect(phases.phase == .idle)
    }

    @Test("A request that was sent ahead waits for the answers before it")
    func pipelined() {
        var phases = RequestPhases()
        phases.headRead()
        phases.endRead()
        phases.bytesArrived(withLineEnd: true)
        phases.headRead()
        #expect(phases.phase == .answer)
        #expect(phases.answersDue == 1)
        phases.answerEnded()
        #expect(phases.phase == .body)
        #expect(phases.answersDue == 0)
    }

    @Test("After the last answer only the lingering counts")
    func lastAnswer() {
        var phases = RequestPhases()
        phases.headRead()
        phases.lastAnswerSent()
        #expect(phases.phase == .linger)
        phases.bytesArrived(withLineEnd: true)
        #expect(phases.phase == .linger)
    }
}
