import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// Since when a tenant has the number they are filed under: it decides whose a lease is once the number changed hands.
@Suite(.serialized) struct PhoneTenureTests {
    struct Edit: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let sql: String
    }

    private static let tessID = "10000000-0000-0000-0000-000000000001"

    private static func edit(_ what: String, _ sql: String) -> Edit { Edit(testDescription: what, sql: sql) }

    /// Nothing of this is news about the number.
    static let others = [
        edit("the name", "UPDATE public.tenants SET name = 'Tessa' WHERE id = '\(tessID)'"),
        edit("the same number", "UPDATE public.tenants SET phone = phone WHERE id = '\(tessID)'"),
        edit("another spelling", "UPDATE public.tenants SET phone = '+44 (0)7911-123456' WHERE id = '\(tessID)'"),
        edit(
            "the property",
            "UPDATE public.leases SET property_id = '\(RecorderWorld.bobHome)' WHERE id = '\(RecorderWorld.tessLease)'"),
        edit("the owner", "UPDATE public.properties SET user_id = '\(RecorderWorld.bob)' WHERE address = '1 A Street'"),
        edit("the dates", "UPDATE public.leases SET start_date = '2025-02-02' WHERE id = '\(RecorderWorld.tessLease)'"),
        edit(
            "the status, and back",
            """
            UPDATE public.leases SET status = 'ended' WHERE id = '\(RecorderWorld.tessLease)';
            UPDATE public.leases SET status = 'active' WHERE id = '\(RecorderWorld.tessLease)'
            """),
        edit(
            "the lease, made anew",
            """
            DELETE FROM public.leases WHERE id = '\(RecorderWorld.tessLease)';
            INSERT INTO public.leases (id, tenant_id, property_id, start_date)
              VALUES ('\(RecorderWorld.tessLease)', '\(tessID)', '\(RecorderWorld.bobHome)', '2025-01-01')
            """),
        edit(
            "an import of everything",
            """
            CREATE TEMP TABLE t AS TABLE public.tenants; CREATE TEMP TABLE l AS TABLE public.leases;
            DELETE FROM public.leases; DELETE FROM public.tenants;
            INSERT INTO public.tenants TABLE t; INSERT INTO public.leases TABLE l
            """),
        edit(
            "an import over an empty table",
            """
            CREATE TEMP TABLE t AS TABLE public.tenants; CREATE TEMP TABLE l AS TABLE public.leases;
            TRUNCATE public.leases, public.tenants; INSERT INTO public.tenants TABLE t; INSERT INTO public.leases TABLE l
            """),
        edit("a fill from nothing", "TRUNCATE gateway.routes; SELECT gateway.refresh_tenant_landlord_routing()"),
        edit(
            "a comparison",
            """
            SET session_replication_role = replica; UPDATE public.tenants SET name = 'Tessa' WHERE id = '\(tessID)';
            SET session_replication_role = origin; SELECT gateway.refresh_tenant_landlord_routing()
            """),
    ]

    /// Each of this is.
    static let numbers = [
        edit("another number", "UPDATE public.tenants SET phone = '07911 000009' WHERE id = '\(tessID)'"),
        edit(
            "another number, and back",
            """
            UPDATE public.tenants SET phone = '07911 000009' WHERE id = '\(tessID)';
            UPDATE public.tenants SET phone = '07911 123456' WHERE id = '\(tessID)'
            """),
        edit(
            "no number, and the same again",
            """
            UPDATE public.tenants SET phone = NULL WHERE id = '\(tessID)';
            UPDATE public.tenants SET phone = '07911 123456' WHERE id = '\(tessID)'
            """),
        edit(
            "another number and back, while the lease had ended",
            """
            UPDATE public.leases SET status = 'ended' WHERE id = '\(RecorderWorld.tessLease)';
            UPDATE public.tenants SET phone = '07911 000009' WHERE id = '\(tessID)';
            UPDATE public.tenants SET phone = '07911 123456' WHERE id = '\(tessID)';
            UPDATE public.leases SET status = 'active' WHERE id = '\(RecorderWorld.tessLease)'
            """),
        edit(
            "another number, found by the comparison",
            """
            SET session_replication_role = replica;
            UPDATE public.tenants SET phone = '07911 000009' WHERE id = '\(tessID)';
            SET session_replication_role = origin; SELECT gateway.refresh_tenant_landlord_routing()
            """),
    ]

    private func learnt(_ world: RecorderWorld) async throws -> String? {
        try await world.value("SELECT learnt_at FROM gateway.routes WHERE lease_id = '\(RecorderWorld.tessLease)'")
    }

    @Test(arguments: others)
    func staysAsItWas(_ edit: Edit) async throws {
        let world = try await RecorderWorld()
        let before = try #require(try await learnt(world))
        try await world.owner.execute(edit.sql)
        #expect(try await learnt(world) == before)
    }

    @Test(arguments: numbers)
    func movesWithTheNumber(_ edit: Edit) async throws {
        let world = try await RecorderWorld()
        let before = try #require(try await learnt(world))
        try await world.owner.execute(edit.sql)
        let after = try #require(try await learnt(world))
        #expect(try await world.value("SELECT '\(after)'::timestamptz > '\(before)'::timestamptz") == "true")
    }

    /// Written down before Tess left her number, whatever is edited since; and so is her next lease.
    @Test(arguments: others.dropLast(2))
    func aLeaseStaysItsTenantsAfterTheyLeftTheNumber(_ edit: Edit) async throws {
        let world = try await RecorderWorld()
        let moved: UInt64 = 447_911_222_222
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '\(moved)', now() - interval '1 second')"
        )
        try await world.owner.execute(edit.sql)
        try await world.owner.execute(
            """
            INSERT INTO public.leases (tenant_id, property_id, start_date)
              VALUES ('\(Self.tessID)', '\(RecorderWorld.bobHome)', '2025-01-01')
            """)
        func routes(_ phone: UInt64) async throws -> Int {
            try await world.lookup.routes(for: [
                ThreadQuestion(
                    endpoint: world.endpoint, phone: PhoneKey(folding: phone), accountID: nil, quotedMessageID: nil)
            ])[0].count
        }
        #expect(try await routes(moved) == 2)
        #expect(try await routes(RecorderWorld.tess) == 0)
        // the landlord writes the number down for somebody: its holder by now
        try await world.rent(RecorderWorld.tess, from: RecorderWorld.bob)
        #expect(try await routes(RecorderWorld.tess) == 1)
    }

    @Test func ofADeletedTenantIsForgottenInTheEnd() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            DELETE FROM public.leases; DELETE FROM public.tenants WHERE id <> '\(Self.tessID)';
            UPDATE gateway.phone_tenures SET gone_at = gone_at - interval '399 days'
            """)
        #expect(try await world.value("SELECT gateway.prune_tenures()") == "0")
        try await world.owner.execute("UPDATE gateway.phone_tenures SET gone_at = gone_at - interval '2 days'")
        #expect(try await world.value("SELECT gateway.prune_tenures()") == "2")
        #expect(try await world.value("SELECT tenant_id FROM gateway.phone_tenures") == Self.tessID)
    }
}
