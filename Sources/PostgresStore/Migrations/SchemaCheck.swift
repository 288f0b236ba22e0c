package import PostgresClient

/// What is wrong with a database, or with the login that would work in it.
package struct SchemaCheck: Sendable {
    private let connection: PostgresConnection
    private let migrations: [Migration]

    package init(_ connection: PostgresConnection, migrations: [Migration] = Migration.all) {
        self.connection = connection
        self.migrations = migrations
    }

    /// `migrate verify`: migrations, roles, row security, partitions, and how the application's tables are attached.
    package func database() async throws(PostgresError) -> [SchemaProblem] {
        let open = try await unapplied()
        if !open.isEmpty { return open }
        var problems: [SchemaProblem] = []
        for row in try await connection.query(Self.findings) {
            problems.append(SchemaProblem(try row.text(0), cure: try row.text(1), isFatal: try row.bool(2)))
        }
        return problems
    }

    /// Before serving: a plain login with the two memberships, and nothing pending. The first problem is enough.
    package func login() async throws(PostgresError) -> SchemaProblem? {
        let row = try await connection.query(Self.loginStatement).one()
        let name = try row.text(0)
        let cure =
            "make a plain login and run `zenrent-gateway migrate apply --grant-to LOGIN`, then name it in DATABASE_URL"
        if try row.bool(1) {
            return SchemaProblem("the login \(name) is a superuser, and row security does not bind it", cure: cure)
        }
        if try row.bool(2) {
            return SchemaProblem("the login \(name) has BYPASSRLS, and row security does not bind it", cure: cure)
        }
        if try row.bool(3) { return SchemaProblem("the login \(name) owns the gateway's tables", cure: cure) }
        guard try row.bool(4) else {
            return SchemaProblem("the database has no gateway schema yet", cure: "run `zenrent-gateway migrate apply`")
        }
        guard try row.bool(5) else {
            return SchemaProblem(
                "the login \(name) is not a member of gateway_writer and authenticated",
                cure: "run `zenrent-gateway migrate apply --grant-to \(name)`")
        }
        return try await unapplied().first
    }

    private func unapplied() async throws(PostgresError) -> [SchemaProblem] {
        let statuses = try await Migrator(connection, migrations: migrations).plan()
        let pending = statuses.filter { $0.state == .pending }.map { "\($0.number) \($0.name)" }
        var problems = statuses.filter { $0.state == .changed }.map {
            SchemaProblem(
                "migration \($0.number) (\($0.name)) was applied from another text",
                cure: "use the version of this program that applied it, or restore the database")
        }
        if !pending.isEmpty {
            problems.append(
                SchemaProblem(
                    "\(pending.count) migrations are pending (\(pending.joined(separator: ", ")))",
                    cure: "run `zenrent-gateway migrate apply`"))
        }
        return problems
    }

    /// A role that is not there is nobody's membership; USAGE = what the login may do without SET ROLE.
    private static let loginStatement = """
        SELECT current_user::text, r.rolsuper, r.rolbypassrls,
               coalesce((SELECT bool_or(pg_has_role(c.relowner, 'USAGE')) FROM pg_class c
                          WHERE c.relnamespace = to_regnamespace('gateway') AND c.relkind IN ('r', 'p')), false),
               EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace('gateway')
                          AND c.relname = 'schema_migrations'),
               (SELECT count(*) = 2 AND bool_and(pg_has_role(x.oid, CASE
                         WHEN x.rolname = 'gateway_writer' THEN 'USAGE'
                         WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END))
                  FROM pg_roles x WHERE x.rolname IN ('gateway_writer', 'authenticated'))
          FROM pg_roles r WHERE r.rolname = current_user
        """

    private static let findings = """
        SELECT 'the role ' || r || ' is missing', 'CREATE ROLE ' || r || ' NOLOGIN', true
          FROM unnest('{authenticated,gateway_writer,gateway_admin}'::text[]) r
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)
        UNION ALL
        SELECT 'gateway.' || c.relname || ' has no forced row security', 'run SELECT gateway.guard_tables()', true
          FROM pg_class c WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        UNION ALL
        SELECT 'gateway_writer may not write gateway.' || c.relname, 'run SELECT gateway.guard_tables()', true
          FROM pg_class c WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition AND c.relname <> 'schema_migrations'
           AND NOT has_table_privilege('gateway_writer', c.oid, 'INSERT')
        UNION ALL
        SELECT 'the partition gateway.' || w.parent || '_' || w.suffix || ' is missing',
               'run SELECT gateway.ensure_partitions()', w.suffix = 'default'
          FROM gateway.wanted_partitions() w WHERE to_regclass('gateway.' || w.parent || '_' || w.suffix) IS NULL
        UNION ALL
        SELECT 'changes of public.' || t || ' are not followed',
               'give the owner of gateway the right TRIGGER on it and run SELECT gateway.attach_source(), or schedule '
               || 'SELECT gateway.refresh_tenant_landlord_routing()', false
          FROM unnest('{tenants,leases,properties,user_profiles}'::text[]) t
         WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'gateway_route_ins'
                              AND tgrelid = to_regclass('public.' || t))
        """
}
