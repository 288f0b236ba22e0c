import Delivery
import Messaging
import Testing

@Suite struct PacerTests {
    let number = EndpointReference(kind: .cloud, providerID: "1")
    let other = EndpointReference(kind: .cloud, providerID: "2")

    @Test("a burst leaves at once, the rest at the rate")
    func burst() {
        var pacer = Pacer(perSecond: 10, burst: 3)
        let waits = (0..<6).map { _ in pacer.reserve(number, at: .seconds(5)) }
        #expect(waits == [.zero, .zero, .zero, .milliseconds(100), .milliseconds(200), .milliseconds(300)])
    }

    @Test("after a pause the burst is there again, and no more than that")
    func refill() {
        var pacer = Pacer(perSecond: 10, burst: 2)
        for _ in 0..<2 { _ = pacer.reserve(number, at: .zero) }
        #expect(pacer.reserve(number, at: .zero) == .milliseconds(100))
        let later = (0..<3).map { _ in pacer.reserve(number, at: .seconds(60)) }
        #expect(later == [.zero, .zero, .milliseconds(100)])
    }

    @Test("endpoints do not slow each other")
    func endpoints() {
        var pacer = Pacer(perSecond: 1, burst: 1)
        #expect(pacer.reserve(number, at: .zero) == .zero)
        #expect(pacer.reserve(number, at: .zero) == .seconds(1))
        #expect(pacer.reserve(other, at: .zero) == .zero)
    }

    @Test("no second of any run holds more than rate and burst")
    func bound() {
        var pacer = Pacer(perSecond: 80, burst: 10)
        var departures: [Duration] = []
        for step in 0..<2_000 {
            let now = Duration.milliseconds(step * 3)
            departures.append(now + pacer.reserve(number, at: now))
        }
        for start in departures {
            let inWindow = departures.count { $0 >= start && $0 < start + .seconds(1) }
            #expect(inWindow <= 90)
        }
    }

    @Test("an endpoint that was too fast halves its rate, and takes it back step by step")
    func throttling() {
        var pacer = Pacer(perSecond: 10, burst: 5)
        pacer.throttled(number, at: .zero)
        #expect(pacer.reserve(number, at: .zero) == .milliseconds(200))
        #expect(pacer.reserve(number, at: .zero) == .milliseconds(400))
        pacer.throttled(number, at: .seconds(10))
        #expect(pacer.reserve(number, at: .seconds(10)) == .milliseconds(400))
        #expect(pacer.reserve(number, at: .seconds(10)) == .milliseconds(800))
        // Half a minute later one halving is gone, a minute later both, and with them the bar on bursts.
        let first = (0..<2).map { _ in pacer.reserve(number, at: .seconds(40)) }
        #expect(first == [.zero, .milliseconds(200)])
        let second = (0..<6).map { _ in pacer.reserve(number, at: .seconds(70)) }
        #expect(second == [.zero, .zero, .zero, .zero, .zero, .milliseconds(100)])
    }

    @Test("it never gets slower than a sixteenth")
    func floor() {
        var pacer = Pacer(perSecond: 16, burst: 1)
        for _ in 0..<20 { pacer.throttled(number, at: .zero) }
        #expect(pacer.reserve(number, at: .seconds(20)) == .zero)
        #expect(pacer.reserve(number, at: .seconds(20)) == .seconds(1))
    }
}
