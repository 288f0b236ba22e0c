package import PostgresClient

/// Writes the endpoints of the configuration, so that webhooks for them are known from the first on.
package struct PostgresEndpointStore: Sendable {
    private let configuration: PostgresConfiguration

    package init(_ configuration: PostgresConfiguration) { self.configuration = configuration }

    /// The platform's own number on the Cloud API.
    package func save(cloudNumber phoneNumberID: String, businessAccountID: String?) async throws(PostgresError) {
        try await withConnection { connection throws(PostgresError) in
            _ = try await connection.query(
                "SELECT gateway.ensure_endpoint('cloud', $1::text, $2::text)",
                [.text(phoneNumberID), PostgresValue(businessAccountID) { .text($0) }])
        }
    }

    /// The platform's own sessions. A name that is known stays as it is: how the session fares is told by its server,
    /// and one that belongs to somebody else does not change hands.
    /// - Returns: the names that belong to somebody else.
    package func save(sessions names: [String]) async throws(PostgresError) -> [String] {
        try await withConnection { connection throws(PostgresError) in
            var array = PostgresArrayBuilder(.text)
            for name in names { array.append(text: name) }
            let sessions = array.value
            let added = try await connection.query(
                """
                INSERT INTO gateway.endpoints (kind, provider_id, scope, status)
                  SELECT 'vps_session', name, 'platform', 'connecting' FROM unnest($1::text[]) AS name
                ON CONFLICT (kind, provider_id) DO NOTHING RETURNING id
                """, [sessions])
            if !added.isEmpty { _ = try await connection.query("SELECT gateway.notify_routes()") }
            let others = try await connection.query(
                """
                SELECT provider_id FROM gateway.endpoints
                 WHERE kind = 'vps_session' AND scope <> 'platform' AND provider_id = ANY ($1::text[]) ORDER BY 1
                """, [sessions])
            return try others.map { row throws(PostgresError) in try row.text(0) }
        }
    }

    private func withConnection<Result>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Result
    ) async throws(PostgresError) -> Result {
        let connection = try await PostgresConnection.connect(configuration)
        do {
            let result = try await body(connection)
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }
}
