import Gateway
import Testing

@Suite struct RouteLoadProgressTests {
    private let began = ContinuousClock.now

    @Test("tells how far a load has come when its interval is over, at what rate, and what is left")
    func tells() {
        var progress = RouteLoadProgress(began: began, interval: .seconds(2))
        let isDue1 = progress.note(rows: 900, expected: 10_000, at: began + .seconds(1))
        #expect(!isDue1)
        let isDue2 = progress.note(rows: 4000, expected: 10_000, at: began + .seconds(2))
        #expect(isDue2)
        #expect(progress.rowsPerSecond == 2000 && progress.secondsLeft == 3)
        #expect(progress.line == "loading routes: 4000 of about 10000, 2000 a second, 3 s left")
        let isDue3 = progress.note(rows: 5000, expected: 10_000, at: began + .seconds(3))
        #expect(!isDue3)
        let isDue4 = progress.note(rows: 9999, expected: 10_000, at: began + .seconds(4))
        #expect(isDue4)
        #expect(progress.secondsLeft == 1)
    }

    @Test("promises nothing where nobody knows how much there is", arguments: [nil, 0, 3999])
    func promisesNothing(expected: Int?) {
        var progress = RouteLoadProgress(began: began, interval: .zero)
        let isDue5 = progress.note(rows: 4000, expected: expected, at: began + .seconds(2))
        #expect(isDue5)
        #expect(progress.secondsLeft == nil)
        #expect(progress.line == "loading routes: 4000, 2000 a second")
    }

    @Test("has no rate before any time has passed")
    func noTime() {
        var progress = RouteLoadProgress(began: began, interval: .zero)
        let isDue6 = progress.note(rows: 10, expected: 20, at: began)
        #expect(isDue6)
        #expect(progress.rowsPerSecond == 0 && progress.secondsLeft == nil)
    }
}
