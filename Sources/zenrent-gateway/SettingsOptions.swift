import ArgumentParser
import Gateway

/// Options of every command that reads settings.
struct SettingsOptions: ParsableArguments {
    @Option(help: "A JSON or YAML file with settings as nested keys.") var config: String?
    @Option(name: .customLong("set"), help: "A setting, as NAME=VALUE; may be given several times.") var assignments:
        [String] = []

    func validate() throws { _ = try overrides() }

    func overrides() throws -> [SettingName: String] {
        var values: [SettingName: String] = [:]
        for assignment in assignments {
            let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            // What stands behind the sign could be a secret.
            let given = parts.first.map { String($0.prefix(60)) } ?? ""
            guard let name = SettingName(rawValue: given) else {
                throw ValidationError(
                    "--set \(given): there is no such setting; write one such as GATEWAY_INGRESS_PORT=9443")
            }
            guard !name.isSecret else {
                throw ValidationError(
                    "--set \(given): a secret on the command line shows in the process list; use the environment, or name "
                        + "a file that only you can read in \(given)_FILE")
            }
            guard parts.count == 2 else {
                throw ValidationError("--set \(given): the value is missing; write \(given)=VALUE")
            }
            values[name] = String(parts[1])
        }
        return values
    }

    func reader() async throws -> SettingsReader { try await SettingsReader(overrides: try overrides(), file: config) }
}
