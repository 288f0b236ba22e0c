package import PostgresClient

/// Writes the endpoints of the configuration, so that webhooks for them are known from the first on.
package struct PostgresEndpointStore: Sendable {
    private let configuration: PostgresConfiguration

    package init(_ configuration: PostgresConfiguration) { self.configuration = configuration }

    /// The platform's own number on the Cloud API.
    package func save(cloudNumber phoneNumberID: String, businessAccountID: String?) async throws(PostgresError) {
        let connection = try await PostgresConnection.connect(configuration)
        do {
            _ = try await connection.query(
                "SELECT gateway.ensure_endpoint('cloud', $1::text, $2::text)",
                [.text(phoneNumberID), PostgresValue(businessAccountID) { .text($0) }])
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }
}
