import Messaging
import PostgresClient
import PostgresStore

/// A connection for one command: opened for it, closed after it, its errors told with their cure.
enum DatabaseSession {
    /// The address a command connects with, and the setting that it came from.
    struct Address: Sendable {
        let setting: SettingName
        let url: Secret
        /// Whether it must be that of an owner of the schema.
        let isOwners: Bool
    }

    /// Where the gateway itself connects: `DATABASE_URL`, or the database of a `dev` that runs under the data directory.
    static func address(_ settings: SettingsReader) async throws -> Address {
        if let url = try settings.secret(.databaseURL) {
            return Address(setting: .databaseURL, url: url, isOwners: false)
        }
        guard let url = try await Development.databaseURL(settings) else {
            throw SettingError(
                .databaseURL,
                "is not set, and no `dev` runs under \(try settings.text(.dataDirectory) ?? "./var"); give the database's "
                    + "address, or the data directory of a running `dev` as GATEWAY_DATA_DIR")
        }
        return Address(setting: .databaseURL, url: url, isOwners: false)
    }

    /// Where an owner of the schema connects: `MIGRATE_DATABASE_URL`, or `DATABASE_URL`.
    static func ownersAddress(_ settings: SettingsReader) throws -> Address {
        for setting in [SettingName.migrateDatabaseURL, .databaseURL] {
            if let url = try settings.secret(setting) { return Address(setting: setting, url: url, isOwners: true) }
        }
        throw SettingError(
            .migrateDatabaseURL, "is not set; give the address of the database, as an owner of the schema gateway")
    }

    /// - Parameter command: what `pg_stat_activity` shows.
    static func run<Value: Sendable>(
        _ address: Address, command: String, _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        do {
            let connection = try await PostgresConnection.connect(configuration(address, command: command))
            do {
                let value = try await body(connection)
                await connection.close()
                return value
            } catch {
                await connection.close()
                throw error
            }
        } catch let error as PostgresError {
            throw explained(error, address)
        }
    }

    static func configuration(_ address: Address, command: String) -> PostgresConfiguration {
        PostgresConfiguration(address.url.reveal(), applicationName: "zenrent-gateway \(command)")
    }

    /// What the server says, with what to do about it.
    static func explained(_ error: PostgresError, _ address: Address) -> any Error {
        let setting = address.setting
        switch (error.code, error.sqlState) {
        case (.connectFailed, _):
            return SettingError(setting, "\(error.message); check that the server runs, the address and the password")
        case (_, "42P01"), (_, "3F000"), (_, "42883"):
            return AdministrationError(
                "the database is not as this program needs it (\(error))", cure: "run `zenrent-gateway migrate apply`")
        case (_, "42501"):
            return AdministrationError(
                "the login of \(setting.rawValue) may not do this (\(error))",
                cure: address.isOwners
                    ? "give MIGRATE_DATABASE_URL as an owner of the schema gateway"
                    : "run `zenrent-gateway migrate apply --grant-to LOGIN`, and name that login")
        default:
            return AdministrationError("PostgreSQL refused: \(error)", cure: "see the server's log, and try again")
        }
    }
}
