import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres

/// A migrated database whose clock is the story's: days pass in it as they pass in the story, and the same seed makes
/// the same rows.
struct WorldDatabase {
    /// Of the landlord application and of the clock; it may do everything.
    let owner: PostgresConnection
    let configuration: PostgresConfiguration
    private let cluster: TemporaryCluster
    private let name: String
    private(set) var endpoints: [Place: UniqueID] = [:]

    private static let login = "gateway_world"

    init() async throws {
        let cluster = try await TemporaryCluster.shared()
        self.cluster = cluster
        name = try await cluster.makeDatabase(copying: "world") { connectionString in
            try await cluster.createLogin(Self.login)
            let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
            try await connection.execute(Self.clock)
            try await Migrator(connection).apply(grantTo: [Self.login])
            try await connection.execute(Self.today)
            await connection.close()
        }
        owner = try await .connect(
            PostgresConfiguration(
                cluster.connectionString(database: name), settings: [("enable_seqscan", "off"), ("jit", "off")]))
        configuration = PostgresConfiguration(cluster.connectionString(user: Self.login, database: name))
        for place in [Place.main, .second] { try await makeKnown(place) }
    }

    /// And drops it: a long run has many.
    func close() async {
        await owner.close()
        guard let other = try? await PostgresConnection.connect(PostgresConfiguration(cluster.connectionString()))
        else { return }
        _ = try? await other.execute("DROP DATABASE \(name) WITH (FORCE)")
        await other.close()
    }

    // MARK: The clock

    /// `now()` reads a table. Made before the migrations, so that defaults and views are bound to it.
    private static let clock = """
        CREATE SCHEMA world;
        CREATE TABLE world.clock (at timestamptz NOT NULL);
        INSERT INTO world.clock VALUES (to_timestamp(\(Generator.start)));
        ALTER FUNCTION pg_catalog.now() RENAME TO wall_clock;
        CREATE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
          AS 'SELECT at FROM world.clock';
        GRANT USAGE ON SCHEMA world TO PUBLIC;
        GRANT SELECT ON world.clock TO PUBLIC;
        """

    /// `current_date` is no function that could be replaced: what asks for it is made to ask `now()`.
    private static let today = """
        DO $do$
        DECLARE
          r record;
        BEGIN
          FOR r IN SELECT c.oid::regclass AS name, pg_get_viewdef(c.oid) AS body FROM pg_class c
                    WHERE c.relkind = 'v' AND c.relnamespace = 'gateway'::regnamespace
                      AND pg_get_viewdef(c.oid) ILIKE '%current_date%' LOOP
            EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', r.name,
                           regexp_replace(r.body, 'current_date', 'now()::date', 'gi'));
          END LOOP;
          FOR r IN SELECT p.oid, pg_get_functiondef(p.oid) AS body FROM pg_proc p
                    WHERE p.pronamespace = 'gateway'::regnamespace AND p.prokind = 'f' AND p.proname <> 'attach_source'
                      AND p.prosrc ILIKE '%current_date%' LOOP
            EXECUTE regexp_replace(r.body, 'current_date', 'now()::date', 'gi');
          END LOOP;
        END $do$;
        """

    /// Moves the clock; a new day gets its partitions, as the daily upkeep would see to.
    func setClock(_ now: Moment, isNewDay: Bool) async throws {
        try await owner.execute("UPDATE world.clock SET at = to_timestamp(\(now))")
        if isNewDay { try await owner.execute("SELECT gateway.ensure_partitions()") }
    }

    mutating func makeKnown(_ place: Place) async throws {
        let row: PostgresRow
        if let landlord = place.owner {
            row = try await owner.query(
                """
                INSERT INTO gateway.endpoints (kind, provider_id, scope, landlord_id, waba_id, portfolio_id)
                  VALUES ('cloud', $1, 'landlord', $2, 'W9', 'PF9') RETURNING id
                """, [.text(place.phoneNumberID), .id(landlord.uuid)]
            ).one()
        } else {
            row = try await owner.query(
                "SELECT gateway.ensure_endpoint('cloud', $1, 'W1', 'PF')", [.text(place.phoneNumberID)]
            ).one()
        }
        endpoints[place] = try row.id(0)
    }

    // MARK: The landlord application

    func apply(_ event: LandlordEvent) async throws {
        try await owner.execute(sql(event))
    }

    private func sql(_ event: LandlordEvent) -> String {
        switch event {
        case .landlord(let id, let isEnabled):
            """
            INSERT INTO auth.users (id, email) VALUES ('\(id.uuid)', '\(id.index)@example.org');
            INSERT INTO public.user_profiles (id, full_name, whatsapp_enabled)
              VALUES ('\(id.uuid)', 'Landlord \(id.index)', \(isEnabled))
            """
        case .enabled(let id, let isEnabled):
            "UPDATE public.user_profiles SET whatsapp_enabled = \(isEnabled) WHERE id = '\(id.uuid)'"
        case .landlordGone(let id): "DELETE FROM auth.users WHERE id = '\(id.uuid)'"
        case .property(let id, let landlord):
            """
            INSERT INTO public.properties (id, user_id, address)
              SELECT '\(id.uuid)', id, '\(id.index) Street' FROM auth.users WHERE id = '\(landlord.uuid)'
            """
        case .sold(let id, let landlord):
            """
            UPDATE public.properties SET user_id = '\(landlord.uuid)' WHERE id = '\(id.uuid)'
              AND EXISTS (SELECT FROM auth.users WHERE id = '\(landlord.uuid)')
            """
        case .tenant(let id, let landlord, let number, let style):
            """
            INSERT INTO public.tenants (id, user_id, name, phone)
              SELECT '\(id.uuid)', id, 'Tenant \(id.index)', '\(number.typed(style))'
                FROM auth.users WHERE id = '\(landlord.uuid)'
            """
        case .tenantNumber(let id, let number, let style):
            "UPDATE public.tenants SET phone = '\(number.typed(style))' WHERE id = '\(id.uuid)'"
        case .tenantGone(let id): "DELETE FROM public.tenants WHERE id = '\(id.uuid)'"
        case .lease(let id, let row):
            """
            INSERT INTO public.leases (id, tenant_id, property_id, start_date, end_date, status)
              SELECT '\(id.uuid)', t.id, p.id, \(day(row.from)), \(day(row.until)), '\(status(row.isActive))'
                FROM public.tenants t, public.properties p
               WHERE t.id = '\(row.tenant.uuid)' AND p.id = '\(row.property.uuid)'
            """
        case .leaseChanged(let id, let from, let until, let isActive):
            """
            UPDATE public.leases SET start_date = \(day(from)), end_date = \(day(until)), status = '\(status(isActive))'
             WHERE id = '\(id.uuid)'
            """
        }
    }

    private func day(_ day: Day?) -> String { day.map { "date '1970-01-01' + \($0)" } ?? "NULL::date" }
    private func status(_ isActive: Bool) -> String { isActive ? "active" : "ended" }

    // MARK: Landlords' answers

    /// Queues an answer in the thread of a message; `nil`: the message is in none.
    func reply(_ reply: Reply, in place: Place) async throws -> UniqueID? {
        guard let endpoint = endpoints[place] else { return nil }
        return try await owner.query(
            """
            INSERT INTO gateway.whatsapp_messages (id, sent_at, conversation_id, landlord_id, tenant_id, property_id,
                endpoint_id, channel, direction, message_type, body, status, routing_status)
              SELECT $1, to_timestamp($2::bigint), m.conversation_id, m.landlord_id, m.tenant_id, m.property_id,
                     m.endpoint_id, m.channel, 'outgoing', 'text', 'An answer', 'queued', 'delivered'
                FROM gateway.message_ids k
                JOIN gateway.whatsapp_messages m ON m.sent_at = k.sent_at AND m.id = k.message_id
               WHERE k.key = gateway.message_key($3, $4) AND m.conversation_id IS NOT NULL
            RETURNING conversation_id
            """, [.id(reply.id.uuid), .int64(reply.at), .id(endpoint), .text(reply.to.wamid)]
        ).first?.id(0)
    }

    func answered(_ reply: RowID, at: Moment) async throws {
        _ = try await owner.query(
            "SELECT gateway.message_sent($1, to_timestamp($2::bigint), $3)",
            [.id(reply.uuid), .int64(at), .text(WebhookBody.replyWamid(reply))])
    }

    /// Blocks the thread a message is in now; `nil`: it is in none.
    func block(threadOf message: MessageName, in place: Place) async throws -> UniqueID? {
        guard let endpoint = endpoints[place] else { return nil }
        return try await owner.query(
            """
            UPDATE gateway.whatsapp_conversations c SET status = 'blocked'
              FROM gateway.message_ids k
              JOIN gateway.whatsapp_messages m ON m.sent_at = k.sent_at AND m.id = k.message_id
             WHERE k.key = gateway.message_key($1, $2) AND c.id = m.conversation_id RETURNING c.id
            """, [.id(endpoint), .text(message.wamid)]
        ).first?.id(0)
    }
}

extension PostgresValue {
    static func id(_ id: UniqueID) -> PostgresValue { .uuid(high: id.high, low: id.low) }
}

extension PostgresRow {
    func id(_ column: Int) throws(PostgresError) -> UniqueID {
        let words = try uuid(column)
        return UniqueID(high: words.high, low: words.low)
    }

    func nullableID(_ column: Int) throws(PostgresError) -> UniqueID? {
        try nullableUUID(column).map { UniqueID(high: $0.high, low: $0.low) }
    }
}
