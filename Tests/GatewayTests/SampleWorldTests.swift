import Messaging
import Testing

@testable import Gateway

@Suite struct SampleWorldTests {
    @Test("is the same world when it is made twice")
    func twice() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        let first = try await Self.picture(database)
        try await database.asOwner(SampleWorld.sql)
        #expect(try await Self.picture(database) == first)
        #expect(first.contains("Alice Archer") && first.contains("0044 7911 123456"))
    }

    @Test(
        "holds what development is tried with",
        arguments: [
            ("447911123456", "routed", 1), ("447700900002", "routed", 2), ("07700 900003", "held", 2),
            ("+44 7700 900004", "unclaimed", 0), ("447700900005", "withheld", 1), ("447700900999", "unclaimed", 0),
        ])
    func tenants(phone: String, verdict: String, leases: Int) async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        let routes = try await RouteAdministration(try await database.settings())
        let found = try await routes.lookup(phone)
        let lookup = try #require(found)
        #expect(lookup.verdict == verdict)
        #expect(lookup.leases.count == leases)
    }

    @Test("tells each person's number once")
    func listing() {
        #expect(SampleWorld.listing.count == 5)
        #expect(SampleWorld.listing.allSatisfy { $0.hasPrefix("44") })
        #expect(Set(SampleWorld.landlords.map(\.id)).count == SampleWorld.landlords.count)
    }

    /// Every row of the application's tables and of the routes made from them.
    private static func picture(_ database: GatewayDatabase) async throws -> String {
        let tables = [
            "auth.users", "public.user_profiles", "public.tenants", "public.properties", "public.leases",
            "gateway.routes",
        ]
        let parts = tables.map {
            "(SELECT coalesce(string_agg(to_jsonb(t)::text, E'\\n' ORDER BY to_jsonb(t)::text), '') FROM \($0) t)"
        }
        return try await database.text("SELECT " + parts.joined(separator: " || E'\\n' || "))
    }
}
