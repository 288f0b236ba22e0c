import Intake
import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres
import Routing
import Testing

@Suite(.serialized) struct PhoneFunctionTests {
    @Test(arguments: [
        "0044 7911 123456", "+44 (0) 7911 123456", "0044 (0) 7911 123456", "07911 123456", "447911123456", "7911123456",
        "+1 (415) 555-2671", "", "n/a", "07911 123456 / 07911 123457", "+0123456789", "123", "+5215512345678", "+",
        "++447911123456",
        "(0)7911123456", "+44(0)(0)7911123456", "(+44) 7911 123456", "\u{FF0B}\u{FF14}\u{FF14}7911123456",
        "٠٧٩١١١٢٣٤٥٦",
        "+44\u{202C}7911\u{200E}123456", "+44–7911–123456", "0000000000", "00447911123456789012345",
        "44 7911 123456 ext 5", "()", "(0)",
        "1234567890123456789012", "+44\u{2003}7911123456", "0(0)447911123456",
    ])
    func theDatabaseReadsNumbersAsTheGatewayDoes(_ text: String) async throws {
        let world = try await RecorderWorld()
        let found = try await world.value("SELECT gateway.e164_digits($1, '44')", .text(text))
        #expect(found == PhoneNumber(parsing: text).map { "\($0.digits)" })
    }

    @Test func randomTextsAreReadAlike() async throws {
        let world = try await RecorderWorld()
        let seed = UInt64.random(in: 0 ... .max)
        var state = seed
        func next(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        let alphabet = Array("0000112344567899+()  -./x\u{A0}\u{200B}٤")
        let texts = (0..<3000).map { _ in String((0..<next(24)).map { _ in alphabet[next(alphabet.count)] }) }
        var array = PostgresArrayBuilder(.text)
        for text in texts { array.append(text: text) }
        let rows = try await world.owner.query(
            "SELECT gateway.e164_digits(t, '44') FROM unnest($1::text[]) WITH ORDINALITY u(t, n) ORDER BY n",
            [array.value])
        for (row, text) in zip(rows, texts) {
            let expected = PhoneNumber(parsing: text).map { Int64($0.digits) }
            #expect(try row.nullableInt64(0) == expected, "\(text.debugDescription), seed \(seed)")
        }
    }

    @Test(
        arguments: [
            5_215_512_345_678, 525_512_345_678, 5_491_123_456_789, 5_511_987_654_321, 551_187_654_321, 447_911_123_456,
        ] as [UInt64])
    func theDatabaseFoldsNumbersAsTheGatewayDoes(_ digits: UInt64) async throws {
        let world = try await RecorderWorld()
        #expect(
            try await world.value("SELECT gateway.phone_key($1)", .int64(Int64(digits)))
                == "\(PhoneKey(folding: digits).value)")
    }
}

@Suite(.serialized) struct RouteChangeTests {
    private func cursor(_ world: RecorderWorld) async throws -> String {
        try await world.value("SELECT pg_current_snapshot()") ?? ""
    }

    private func changes(_ world: RecorderWorld, since cursor: String) async throws -> String? {
        try await world.value(
            """
            SELECT string_agg(kind::text || coalesce(phone_key::text, landlord_id::text, id_value), ' ' ORDER BY kind, phone_key)
              FROM gateway.route_changes_since($1::text::pg_snapshot)
            """, .text(cursor))
    }

    @Test func aDeltaNamesWhatChangedAndNothingElse() async throws {
        let world = try await RecorderWorld()
        let before = try await cursor(world)
        #expect(try await changes(world, since: before) == nil)
        try await world.owner.execute(
            """
            UPDATE public.tenants SET phone = '+44 7911 999999' WHERE name = 'Tess';
            UPDATE public.tenants SET email = 'x@example.org';
            UPDATE public.user_profiles SET full_name = 'Robert' WHERE full_name = 'Bob'
            """)
        #expect(try await changes(world, since: before) == "l\(RecorderWorld.bob) p447911123456 p447911999999")
        #expect(try await changes(world, since: cursor(world)) == nil)
    }

    @Test func aNewAliasIsAChange() async throws {
        let world = try await RecorderWorld()
        let before = try await cursor(world)
        try await world.record([world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        #expect(try await changes(world, since: before) == "iGB.1")
    }

    @Test func whatATriggerMissedIsFoundByTheComparison() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            SET session_replication_role = replica; UPDATE public.tenants SET phone = '+447911000044' WHERE name = 'Tess';
            SET session_replication_role = origin
            """)
        let before = try await cursor(world)
        #expect(try await world.value("SELECT gateway.refresh_tenant_landlord_routing()") == "2")
        #expect(try await changes(world, since: before) == "p447911000044 p447911123456")
        #expect(try await world.value("SELECT gateway.refresh_tenant_landlord_routing()") == "0")
    }

    @Test func aCursorFromBeforeThePruningExpires() async throws {
        let world = try await RecorderWorld()
        let before = try await cursor(world)
        try await world.owner.execute(
            """
            UPDATE public.tenants SET phone = '+44 7911 999999' WHERE name = 'Tess';
            UPDATE gateway.route_changes SET changed_at = now() - interval '3 days';
            SELECT gateway.prune_route_changes()
            """)
        let error = await #expect(throws: PostgresError.self) { _ = try await changes(world, since: before) }
        #expect(error?.sqlState == "ZR001")
        #expect(try await changes(world, since: cursor(world)) == nil)
    }

    @Test func aTransactionThatStaysOpenDoesNotMakeEveryCursorOld() async throws {
        let world = try await RecorderWorld()
        let idler = try await PostgresConnection.connect(world.configuration)
        try await idler.begin()
        _ = try await idler.query("SELECT pg_current_xact_id()::text")
        try await world.owner.execute("TRUNCATE gateway.routes")
        try await world.owner.execute("SELECT gateway.refresh_tenant_landlord_routing()")
        #expect(try await changes(world, since: cursor(world)) == nil)
        await idler.rollback()
    }

    @Test func aCursorFromTheFutureExpires() async throws {
        let world = try await RecorderWorld()
        let error = await #expect(throws: PostgresError.self) {
            _ = try await changes(world, since: "900000000000:900000000000:")
        }
        #expect(error?.sqlState == "ZR001")
    }

    /// A dump brings the transaction numbers of the cluster it was taken from.
    @Test func aMarkOfAnotherClusterDoesNotExpireEveryCursor() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE gateway.routing_state SET pruned_below = '900000000000'")
        let before = try await cursor(world)
        try await world.owner.execute("UPDATE public.tenants SET phone = '+44 7911 999999' WHERE name = 'Tess'")
        #expect(try await changes(world, since: before) == "p447911123456 p447911999999")
    }

    @Test func theEpochIsTheDatabasesOwn() async throws {
        let one = try await RecorderWorld()
        let two = try await RecorderWorld()
        let login = try await PostgresConnection.connect(one.configuration)
        let epoch = try await login.query("SELECT gateway.cluster_epoch()").one().text(0)
        #expect(try await one.value("SELECT gateway.cluster_epoch()") == epoch)
        #expect(try await two.value("SELECT gateway.cluster_epoch()") != epoch)
        // a table made anew, as a restore makes it
        try await one.owner.execute("VACUUM FULL gateway.settings")
        #expect(try await one.value("SELECT gateway.cluster_epoch()") != epoch)
    }
}

@Suite(.serialized) struct UpkeepTests {
    @Test func thereArePartitionsForEveryTimeAMessageMayHave() async throws {
        let world = try await RecorderWorld()
        for day in [-60, -59, -31, 0, 1] {
            let at = RecorderWorld.clock.advanced(bySeconds: Int64(day) * 86_400)
            try await world.record([world.message("w\(day)", from: RecorderWorld.tess, RecorderWorld.toTess, at: at)])
        }
        #expect(try await world.count("whatsapp_messages_default") == 0)
        #expect(try await world.count("webhook_log_default") == 0)
    }

    @Test(arguments: ["whatsapp_messages", "webhook_log"])
    func aNewPartitionIsSampledAsItsTable(table: String) async throws {
        let world = try await RecorderWorld()
        let month = "'2020-01-01Z', '2020-02-01Z'"
        try await world.owner.execute("SELECT gateway.make_partition('\(table)', \(month), '202001')")
        let targets = "string_agg(attname || attstattarget, ',' ORDER BY attnum) FROM pg_attribute WHERE attnum > 0"
        let ofTable = try await world.value("SELECT \(targets) AND attrelid = 'gateway.\(table)'::regclass")
        let ofPartition = try await world.value("SELECT \(targets) AND attrelid = 'gateway.\(table)_202001'::regclass")
        #expect(ofPartition == ofTable)
        #expect(ofTable?.contains("-1") == false)
    }

    @Test func theGatewaysLoginKeepsTheDatabaseUp() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            SELECT gateway.make_partition('webhook_log', '2020-01-01Z', '2020-01-02Z', '20200101');
            SELECT gateway.make_partition('whatsapp_messages', '2020-01-01Z', '2020-02-01Z', '202001');
            INSERT INTO gateway.whatsapp_messages (sent_at, person_id, endpoint_id, direction, status)
              SELECT '2020-01-05Z', gen_random_uuid(), id, 'incoming', 'received' FROM gateway.endpoints;
            INSERT INTO gateway.webhook_log (received_at, journal_id, journal_pos, source, event, payload)
              VALUES ('2020-01-01Z', 1, 1, 'meta', 'messages', ''), ('2019-01-01Z', 1, 2, 'meta', 'messages', '');
            INSERT INTO gateway.message_ids (key, message_id, sent_at) VALUES (gen_random_uuid(), gen_random_uuid(), '2020-01-05Z');
            DROP TABLE gateway.webhook_log_default
            """)
        let pool = PostgresPool(world.configuration, limits: .init(connectionsMax: 1, waitTimeout: .seconds(120)))
        try await Upkeep(pool).run()
        await pool.close()
        #expect(
            try await world.value(
                """
                SELECT string_agg(relname, ',') FROM pg_class WHERE relname IN ('webhook_log_20200101', 'whatsapp_messages_202001')
                """) == nil)
        #expect(try await world.count("whatsapp_messages") == 0)
        #expect(try await world.count("webhook_log") == 0)
        #expect(try await world.count("message_ids") == 0)
        #expect(try await SchemaCheck(world.owner).database() == [])
    }

    @Test func parkedUpdatesOutliveTheLog() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.parked_payloads VALUES ('\\x01', 'kept'), ('\\x02', 'nobody''s');
            INSERT INTO gateway.parked_updates (hash, idx, journal_id, journal_pos, received_at, source, reason, first_seen, last_seen)
              VALUES ('\\x01', 0, 1, 1, '2020-01-01Z', 'meta', 'not_json', '2020-01-01Z', '2020-01-01Z');
            SELECT gateway.apply_retention()
            """)
        #expect(try await world.count("parked_updates") == 1)
        #expect(try await world.value("SELECT convert_from(payload, 'UTF8') FROM gateway.parked_payloads") == "kept")
    }

    @Test func auditLogAndConsentsAreOnlyAddedTo() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("INSERT INTO gateway.audit_log (action) VALUES ('x')")
        for statement in ["DELETE FROM gateway.audit_log", "UPDATE gateway.audit_log SET action = 'y'"] {
            let error = await #expect(throws: PostgresError.self) { try await world.owner.execute(statement) }
            #expect(error?.sqlState == "ZR004")
        }
        let login = try await PostgresConnection.connect(world.configuration)
        let error = await #expect(throws: PostgresError.self) {
            try await login.execute("DELETE FROM gateway.consent_events")
        }
        #expect(error?.sqlState == "42501")
    }
}
