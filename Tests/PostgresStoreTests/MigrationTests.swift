import PostgresClient
import PostgresStore
import PrivatePostgres
import Testing

@Suite(.serialized) struct MigratorTests {
    private func emptyDatabase() async throws -> (connection: PostgresConnection, name: String) {
        let cluster = try await TemporaryCluster.shared()
        let name = try await cluster.makeDatabase()
        return (try await .connect(PostgresConfiguration(cluster.connectionString(database: name))), name)
    }

    @Test func anEmptyDatabaseGetsEverythingOnce() async throws {
        let (connection, _) = try await emptyDatabase()
        let migrator = Migrator(connection)
        #expect(try await migrator.plan().allSatisfy { $0.state == .pending })
        #expect(try await SchemaCheck(connection).database().first?.cure == "run `zenrent-gateway migrate apply`")
        #expect(try await migrator.apply().map(\.number) == Migration.all.map(\.number))
        #expect(try await migrator.plan().allSatisfy { $0.state == .applied })
        #expect(try await SchemaCheck(connection).database() == [])
        #expect(try await migrator.apply() == [])
    }

    @Test func everyFileMayRunAgain() async throws {
        let (connection, _) = try await emptyDatabase()
        try await Migrator(connection).apply()
        for migration in Migration.all { try await connection.execute(migration.sql) }
        #expect(try await SchemaCheck(connection).database() == [])
    }

    @Test func migrationsAreNumberedWithoutGaps() {
        #expect(Migration.all.map(\.number) == (1...Int32(Migration.all.count)).map { $0 })
        #expect(Migration.all.allSatisfy { !$0.sql.isEmpty })
    }

    @Test func aMigrationThatFailsLeavesNothingOfItself() async throws {
        let (connection, _) = try await emptyDatabase()
        let good = Migration(number: 1, name: "good", sql: "CREATE TABLE gateway.good (a integer)")
        let bad = Migration(number: 2, name: "bad", sql: "CREATE TABLE gateway.bad (a integer); SELECT 1 / 0")
        await #expect(throws: PostgresError.self) { try await Migrator(connection, migrations: [good, bad]).apply() }
        let row = try await connection.query(
            "SELECT to_regclass('gateway.good') IS NOT NULL, to_regclass('gateway.bad') IS NULL, count(*) FROM gateway.schema_migrations"
        ).one()
        #expect(try row.bool(0))
        #expect(try row.bool(1))
        #expect(try row.int64(2) == 1)
        let mended = Migration(number: 2, name: "bad", sql: "CREATE TABLE gateway.bad (a integer)")
        #expect(try await Migrator(connection, migrations: [good, mended]).apply() == [mended])
    }

    @Test func aTextThatChangedAfterItWasAppliedStopsTheMigrator() async throws {
        let (connection, _) = try await emptyDatabase()
        let first = Migration(number: 1, name: "one", sql: "SELECT 1")
        try await Migrator(connection, migrations: [first]).apply()
        let other = Migrator(connection, migrations: [Migration(number: 1, name: "one", sql: "SELECT 2")])
        #expect(try await other.plan().map(\.state) == [.changed])
        await #expect(throws: SchemaProblem.self) { try await other.apply() }
    }

    @Test func whatANewerProgramAppliedIsShownAsUnknown() async throws {
        let (connection, _) = try await emptyDatabase()
        try await Migrator(connection, migrations: [Migration(number: 7, name: "later", sql: "SELECT 1")]).apply()
        #expect(try await Migrator(connection, migrations: []).plan().map(\.state) == [.unknown])
    }

    @Test func ofTwoMigratorsOneApplies() async throws {
        let (one, name) = try await emptyDatabase()
        let cluster = try await TemporaryCluster.shared()
        let two = try await PostgresConnection.connect(PostgresConfiguration(cluster.connectionString(database: name)))
        async let first = Migrator(one).apply()
        async let second = Migrator(two).apply()
        let counts = try await [first.count, second.count].sorted()
        #expect(counts == [0, Migration.all.count])
    }

    @Test func grantingToALoginThatIsNotThereNamesTheCure() async throws {
        let (connection, _) = try await emptyDatabase()
        let error = await #expect(throws: SchemaProblem.self) {
            try await Migrator(connection).apply(grantTo: ["no such login"])
        }
        #expect(error?.cure.contains("CREATE ROLE \"no such login\" LOGIN") == true)
    }
}

@Suite(.serialized) struct SchemaCheckTests {
    /// A migrated database, a plain login, and that login changed so that it must be refused.
    @Test(arguments: [
        ("ALTER ROLE check_login SUPERUSER", "superuser"),
        ("ALTER ROLE check_login BYPASSRLS", "BYPASSRLS"),
        ("ALTER TABLE gateway.media OWNER TO check_login", "owns"),
        ("REVOKE authenticated FROM check_login", "not a member"),
        ("REVOKE gateway_writer FROM check_login", "not a member"),
        ("ALTER ROLE check_login NOINHERIT", "not a member"),
        ("DELETE FROM gateway.schema_migrations WHERE number = 10", "pending"),
        ("UPDATE gateway.schema_migrations SET checksum = 'x' WHERE number = 3", "another text"),
    ])
    func aLoginThatMustNotServeIsToldWhy(_ change: String, _ reason: String) async throws {
        let cluster = try await TemporaryCluster.shared()
        let name = try await cluster.makeDatabase(copying: "schema_check") { connectionString in
            let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
            try await Migrator(connection).apply()
            await connection.close()
        }
        let owner = try await PostgresConnection.connect(
            PostgresConfiguration(cluster.connectionString(database: name)))
        try await owner.execute("CREATE ROLE check_login LOGIN")
        do {
            try await Migrator(owner).apply(grantTo: ["check_login"])
            let configuration = PostgresConfiguration(cluster.connectionString(user: "check_login", database: name))
            #expect(try await SchemaCheck(.connect(configuration)).login() == nil)
            try await owner.execute(change)
            let problem = try await SchemaCheck(.connect(configuration)).login()
            #expect(problem?.description.contains(reason) == true, "\(problem as Any)")
        } catch {
            Issue.record(error)
        }
        try await owner.execute(
            "ALTER ROLE check_login NOSUPERUSER; DROP OWNED BY check_login CASCADE; DROP ROLE check_login")
    }

    @Test func anEmptyDatabaseIsNotServed() async throws {
        let cluster = try await TemporaryCluster.shared()
        let name = try await cluster.makeDatabase()
        let owner = try await PostgresConnection.connect(
            PostgresConfiguration(cluster.connectionString(database: name)))
        try await owner.execute("CREATE ROLE empty_login LOGIN")
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(cluster.connectionString(user: "empty_login", database: name)))
        #expect(try await SchemaCheck(connection).login()?.cure == "run `zenrent-gateway migrate apply`")
        await connection.close()
        try await owner.execute("DROP ROLE empty_login")
    }

    @Test(arguments: [
        ("ALTER TABLE gateway.media NO FORCE ROW LEVEL SECURITY", "gateway.media has no forced row security", true),
        ("REVOKE INSERT ON gateway.outbox FROM gateway_writer", "gateway_writer may not write gateway.outbox", true),
        (
            "ALTER TABLE gateway.media DROP CONSTRAINT media_message_sent_at_message_id_fkey; DROP TABLE gateway.whatsapp_messages_default",
            "the partition gateway.whatsapp_messages_default is missing", true
        ),
        ("DROP TRIGGER gateway_route_ins ON public.leases", "changes of public.leases are not followed", false),
    ])
    func aDatabaseThatLostSomethingIsToldWhat(_ change: String, _ problem: String, _ isFatal: Bool) async throws {
        let cluster = try await TemporaryCluster.shared()
        let name = try await cluster.makeDatabase(copying: "schema_check") { connectionString in
            let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
            try await Migrator(connection).apply()
            await connection.close()
        }
        let owner = try await PostgresConnection.connect(
            PostgresConfiguration(cluster.connectionString(database: name)))
        try await owner.execute(change)
        let problems = try await SchemaCheck(owner).database()
        #expect(problems.map(\.problem) == [problem])
        #expect(problems.first?.isFatal == isFatal)
    }
}

/// Beside a landlord application that is there already, as its owner, without a superuser's rights: columns of other
/// types, an enum, no dates, no owner on properties, names of ours taken, everything granted to everybody by default.
@Suite(.serialized) struct AttachedSchemaTests {
    private static let application = """
        DO $$ DECLARE r text; BEGIN
          FOREACH r IN ARRAY '{anon,authenticated,service_role,gateway_writer,gateway_admin}'::text[] LOOP
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN EXECUTE 'CREATE ROLE ' || r; END IF;
          END LOOP;
          IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app LOGIN; END IF;
        END $$;
        CREATE SCHEMA auth;
        CREATE TABLE auth.users (id uuid PRIMARY KEY, email varchar(255), created_at timestamptz DEFAULT now());
        CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS
          $$ SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
        CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT (auth.jwt() ->> 'sub')::uuid $$;
        GRANT USAGE ON SCHEMA auth TO app, authenticated, gateway_writer;
        GRANT SELECT, REFERENCES ON auth.users TO app;
        GRANT CREATE ON SCHEMA public TO app;
        DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO app', current_database()); END $$;
        INSERT INTO auth.users VALUES ('aaaaaaaa-0000-0000-0000-000000000001', 'ann@example.org');
        SET ROLE app;
        ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
        CREATE TYPE public.lease_status AS ENUM ('draft', 'active', 'ended');
        CREATE TABLE public.user_profiles (id uuid PRIMARY KEY REFERENCES auth.users (id), full_name varchar(80), phone varchar(30));
        CREATE TABLE public.tenants (id uuid PRIMARY KEY, user_id uuid NOT NULL, name varchar(80), phone varchar(30), email varchar(80));
        CREATE TABLE public.properties (id uuid PRIMARY KEY, address varchar(200));
        CREATE TABLE public.leases (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid REFERENCES public.tenants (id),
          property_id uuid REFERENCES public.properties (id), status public.lease_status NOT NULL DEFAULT 'draft');
        CREATE INDEX their_index ON public.leases (tenant_id);
        CREATE TABLE public.whatsapp_messages (id uuid PRIMARY KEY, content text);
        INSERT INTO public.user_profiles VALUES ('aaaaaaaa-0000-0000-0000-000000000001', 'Ann', '+44 7700 900001');
        INSERT INTO public.properties VALUES ('a1000000-0000-0000-0000-000000000001', '1 A Street');
        INSERT INTO public.tenants VALUES
          ('10000000-0000-0000-0000-000000000001', 'aaaaaaaa-0000-0000-0000-000000000001', 'Tess', '07911 123456', NULL);
        INSERT INTO public.leases (tenant_id, property_id, status) VALUES
          ('10000000-0000-0000-0000-000000000001', 'a1000000-0000-0000-0000-000000000001', 'active');
        RESET ROLE;
        """

    private func attached() async throws -> (root: PostgresConnection, app: PostgresConnection) {
        let cluster = try await TemporaryCluster.shared()
        let name = try await cluster.makeDatabase()
        let root = try await PostgresConnection.connect(PostgresConfiguration(cluster.connectionString(database: name)))
        try await root.execute(Self.application)
        let app = try await PostgresConnection.connect(
            PostgresConfiguration(cluster.connectionString(user: "app", database: name)))
        return (root, app)
    }

    private func text(_ connection: PostgresConnection, _ sql: String) async throws -> String? {
        try await connection.query("SELECT x::text FROM (\(sql)) q(x)").first?.nullableText(0)
    }

    @Test func itsTenantsAreRoutedAndItsTablesLeftAlone() async throws {
        let (root, app) = try await attached()
        let before = try await text(root, "SELECT string_agg(t::text, ',') FROM public.tenants t")
        try await Migrator(app).apply()
        #expect(try await Migrator(app).apply() == [])
        for migration in Migration.all { try await app.execute(migration.sql) }
        #expect(try await SchemaCheck(app).database() == [])
        #expect(
            try await text(app, "SELECT phone_key || ' ' || landlord_id FROM gateway.routes")
                == "447911123456 aaaaaaaa-0000-0000-0000-000000000001")
        #expect(try await text(root, "SELECT string_agg(t::text, ',') FROM public.tenants t") == before)
        #expect(
            try await text(root, "SELECT relkind FROM pg_class WHERE oid = 'public.whatsapp_messages'::regclass") == "r"
        )
        #expect(
            try await text(
                root,
                """
                SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
                """) == "tenant_landlord_routing,whatsapp_conversations")
        #expect(
            try await text(
                root,
                """
                SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
                 WHERE i.indrelid = 'public.leases'::regclass
                """) == "leases_pkey,leases_property_id_gw_idx,their_index")
    }

    @Test func itsChangesAreFollowed() async throws {
        let (_, app) = try await attached()
        try await Migrator(app).apply()
        try await app.execute("UPDATE public.tenants SET phone = '+447911123457'")
        #expect(try await text(app, "SELECT phone_key FROM gateway.routes") == "447911123457")
        try await app.execute("UPDATE public.user_profiles SET whatsapp_enabled = true, full_name = 'Ann Lee'")
        #expect(
            try await text(app, "SELECT (landlord_name, whatsapp_enabled) FROM gateway.route_landlords")
                == "(\"Ann Lee\",t)")
        try await app.execute("UPDATE public.leases SET status = 'ended'")
        #expect(try await text(app, "SELECT count(*) FROM gateway.routes") == "0")
    }

    @Test func whatIsGrantedByDefaultReachesNobodysRows() async throws {
        let (root, app) = try await attached()
        try await Migrator(app).apply()
        try await root.execute(
            "SET request.jwt.claims = '{\"sub\":\"aaaaaaaa-0000-0000-0000-000000000002\"}'; SET ROLE authenticated")
        #expect(try await text(root, "SELECT count(*) FROM public.whatsapp_conversations") == "0")
        #expect(try await text(root, "SELECT count(*) FROM public.tenant_landlord_routing") == "0")
        for statement in [
            "DELETE FROM public.whatsapp_conversations", "SELECT 1 FROM gateway.people",
            "SELECT 1 FROM gateway.schema_migrations",
        ] {
            let error = await #expect(throws: PostgresError.self) { try await root.execute(statement) }
            #expect(error?.sqlState == "42501", "\(statement)")
        }
    }

    @Test func anApplicationOwnedBySomebodyElseIsReadWithoutTriggers() async throws {
        let (root, app) = try await attached()
        try await root.execute(
            """
            ALTER TABLE public.user_profiles OWNER TO postgres; ALTER TABLE public.leases OWNER TO postgres;
            GRANT SELECT ON public.user_profiles, public.leases TO app
            """)
        try await Migrator(app).apply()
        let problems = try await SchemaCheck(app).database()
        #expect(problems.map(\.isFatal).allSatisfy { !$0 })
        #expect(problems.contains { $0.problem.contains("public.leases") })
        try await root.execute("UPDATE public.tenants SET phone = '+447911123457'")
        try await app.execute("SELECT gateway.refresh_tenant_landlord_routing()")
        #expect(try await text(app, "SELECT phone_key FROM gateway.routes") == "447911123457")
        try await app.execute(
            "INSERT INTO gateway.landlord_whatsapp_settings (user_id, is_enabled) SELECT id, true FROM public.user_profiles"
        )
        #expect(try await text(app, "SELECT whatsapp_enabled FROM gateway.route_landlords") == "true")
    }
}
