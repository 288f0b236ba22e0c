import ArgumentParser
import Gateway
import Logging
import Messaging

/// Options of every command that reads settings.
struct SettingsOptions: ParsableArguments {
    @Option(help: "A JSON or YAML file with settings as nested keys.") var config: String?
    @Option(name: .customLong("set"), help: "A setting, as NAME=VALUE; may be given several times.") var assignments: [String] = []

    func overrides() throws -> [SettingName: String] {
        var values: [SettingName: String] = [:]
        for assignment in assignments {
            let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = SettingName(rawValue: String(parts[0])) else {
                throw ValidationError("--set \(assignment.prefix(60)): write NAME=VALUE with a name such as GATEWAY_INGRESS_PORT")
            }
            guard !name.isSecret else {
                throw ValidationError(
                    "--set \(name.rawValue): a secret on the command line shows in the process list; "
                        + "use the environment or \(name.rawValue)_FILE")
            }
            values[name] = String(parts[1])
        }
        return values
    }

    func reader() async throws -> SettingsReader { try await SettingsReader(overrides: try overrides(), file: config) }

    /// - Parameter fallback: where nothing is set: commands that print an answer keep their log quiet.
    func logger(_ reader: SettingsReader, fallback: Logger.Level = .info) throws -> Logger {
        let found = try reader.find(.logLevel)
        let text = found?.source == "default" ? fallback.rawValue : found?.value ?? fallback.rawValue
        guard let level = Logger.Level(rawValue: text) else {
            throw SettingError(.logLevel, "\"\(text.prefix(20))\" is not one of trace, debug, info, notice, warning, error, critical")
        }
        return Process.bootstrapLogging(level: level)
    }
}

extension SettingsOptions {
    /// The database's address, for commands that only look or mend.
    func databaseURL() async throws -> String {
        let reader = try await reader()
        if let url = try reader.secret(.databaseURL) { return url.reveal() }
        guard let url = try await Development.databaseURL(reader) else {
            throw SettingError(
                .databaseURL, "is not set, and no `dev` has made a database under GATEWAY_DATA_DIR; give the database's address")
        }
        return url.reveal()
    }
}
