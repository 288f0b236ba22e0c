import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.timeLimit(.minutes(5))) struct RouteHintTests {
    private func change(_ world: RecorderWorld, _ name: String = "Tess") async throws {
        try await world.owner.execute("UPDATE public.tenants SET phone = '07911 000009' WHERE name = '\(name)'")
    }

    /// Long enough to be told, however busy the machine; what is told ends the wait.
    private let long = Duration.seconds(60)

    @Test("the first call begins to listen, and counts as a hint: nobody heard what was said before")
    func begins() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        #expect(await source.changesAvailable(atMost: long) == .hinted)
        #expect(await source.changesAvailable(atMost: .milliseconds(1)) == .quiet)
        try await change(world)
        #expect(await source.changesAvailable(atMost: long) == .hinted)
        #expect(await source.changesAvailable(atMost: .milliseconds(1)) == .quiet)
    }

    @Test("many hints in a row are one")
    func coalesces() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        _ = await source.changesAvailable(atMost: long)
        for _ in 0..<100 { try await world.owner.execute("SELECT gateway.notify_routes()") }
        // A marker of our own on the same channel is delivered after all of them.
        var hints = 0
        while await source.changesAvailable(atMost: .milliseconds(100)) == .hinted { hints += 1 }
        #expect((1...10).contains(hints))
    }

    @Test("a connection that is cut is told at once, and listened on again with a hint")
    func cut() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        _ = await source.changesAvailable(atMost: long)
        async let hint = source.changesAvailable(atMost: long)
        try await world.owner.execute(
            """
            DO $$ BEGIN
              LOOP
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name LIKE '%listening';
                EXIT WHEN FOUND;
              END LOOP;
            END $$
            """)
        guard case .deaf = await hint else {
            Issue.record("not told")
            return
        }
        try await change(world)
        #expect(await source.changesAvailable(atMost: long) == .hinted)
        try await change(world, "Tom")
        #expect(await source.changesAvailable(atMost: long) == .hinted)
    }

    @Test("a server that is not there is left alone for longer and longer")
    func away() async throws {
        let source = PostgresRouteSource(PostgresConfiguration("host=/nowhere user=nobody"))
        for _ in 0..<3 {
            guard case .deaf(let reason) = await source.changesAvailable(atMost: .milliseconds(1)) else {
                Issue.record("heard something")
                return
            }
            #expect(reason.contains("/nowhere"))
        }
    }
}
