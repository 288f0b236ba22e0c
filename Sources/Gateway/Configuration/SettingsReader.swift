import Configuration
import Foundation
import Logging
package import Messaging

/// Reads settings from where they may stand, first one wins: flags, the environment, a file, the default.
package struct SettingsReader: Sendable {
    /// A value and where it came from, for `serve` to print.
    package struct Found: Hashable, Sendable {
        package let value: String
        /// `flag`, `environment`, the file's path or `default`; with `, from <path>` for a secret in a file of its own.
        package let source: String
    }

    private struct Source: Sendable {
        let name: String
        let provider: any ConfigProvider
        let mayHoldSecrets: Bool
    }

    private let sources: [Source]

    /// - Parameters:
    ///   - overrides: what was given on the command line.
    ///   - file: a JSON (`.json`) or YAML file with nested keys.
    package init(
        overrides: [SettingName: String] = [:], environment: [String: String] = ProcessInfo.processInfo.environment,
        file: String? = nil
    ) async throws(SettingsFileError) {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, value) in overrides {
            values[AbsoluteConfigKey(name.components)] = ConfigValue(.string(value), isSecret: name.isSecret)
        }
        let flags = InMemoryProvider(name: "flags", values: values)
        let variables = EnvironmentVariablesProvider(environmentVariables: environment)
        var sources = [
            Source(name: "flag", provider: flags, mayHoldSecrets: true),
            Source(name: "environment", provider: variables, mayHoldSecrets: true),
        ]
        if let file {
            let file = try await SettingsFile(file)
            sources.append(Source(name: file.path, provider: file.provider, mayHoldSecrets: !file.isOpenToOthers))
        }
        self.sources = sources
    }

    /// The value of a setting and where it stands; `nil` when it has neither value nor default. Empty counts as absent.
    package func find(_ name: SettingName) throws(SettingError) -> Found? {
        for source in sources {
            if let value = Self.text(source.provider, AbsoluteConfigKey(name.components)), !value.isEmpty {
                guard !name.isSecret || source.mayHoldSecrets else { throw Self.openToOthers(name, source.name) }
                return Found(value: value, source: source.name)
            }
            guard name.isSecret else { continue }
            let fileKey = AbsoluteConfigKey(name.components + ["file"])
            if let path = Self.text(source.provider, fileKey), !path.isEmpty {
                return Found(value: try Self.secret(name, path), source: "\(source.name), from \(path)")
            }
        }
        return name.defaultValue.map { Found(value: $0, source: "default") }
    }

    /// A provider is asked for the type its value has: files know numbers and truth values.
    private static func text(_ provider: any ConfigProvider, _ key: AbsoluteConfigKey) -> String? {
        for type in [ConfigType.string, .int, .double, .bool] {
            guard let value = try? provider.value(forKey: key, type: type).value else { continue }
            switch value.content {
            case .string(let text): return text
            case .int(let number): return String(number)
            case .double(let number): return String(number)
            case .bool(let truth): return truth ? "true" : "false"
            default: continue
            }
        }
        return nil
    }

    private static func secret(_ name: SettingName, _ path: String) throws(SettingError) -> String {
        guard let status = FileStatus(path: path), let data = FileManager.default.contents(atPath: path) else {
            throw SettingError(
                name, "the file \(path) cannot be read; name a file of this user's in \(name.rawValue)_FILE")
        }
        guard !status.isOpenToOthers else { throw openToOthers(name, path) }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else {
            throw SettingError(
                name, "the file \(path) is empty; write the secret into it, or unset \(name.rawValue)_FILE")
        }
        return text
    }

    private static func openToOthers(_ name: SettingName, _ path: String) -> SettingError {
        SettingError(name, "it stands in \(path), which others than its owner can read; run `chmod 600 \(path)`")
    }

    /// All settings with their sources, secrets masked: what `serve` prints at start.
    package func listing() throws(SettingError) -> [String] {
        var lines: [String] = []
        for name in SettingName.allCases {
            guard let found = try find(name) else { continue }
            lines.append("\(name.rawValue)=\(name.isSecret ? "***" : found.value)  (\(found.source))")
        }
        return lines
    }
}

// MARK: Typed values

extension SettingsReader {
    package func text(_ name: SettingName) throws(SettingError) -> String? { try find(name)?.value }

    package func secret(_ name: SettingName) throws(SettingError) -> Secret? {
        try find(name).flatMap { Secret($0.value) }
    }

    /// Secrets separated by commas, newest first.
    package func ring(_ name: SettingName) throws(SettingError) -> [Secret] { Secret.ring(try text(name) ?? "") }

    package func port(_ name: SettingName) throws(SettingError) -> Int {
        try number(name, in: 0...65_535, "a port from 0 (any free one) to 65535")
    }

    package func count(_ name: SettingName, in range: ClosedRange<Int>) throws(SettingError) -> Int {
        try number(name, in: range, "a number from \(range.lowerBound) to \(range.upperBound)")
    }

    private func number(_ name: SettingName, in range: ClosedRange<Int>, _ wanted: String) throws(SettingError) -> Int {
        let text = try text(name) ?? ""
        guard let value = Int(text), range.contains(value) else { throw Self.refused(name, text, wanted) }
        return value
    }

    /// A size such as `8GiB`, `512KiB` or `1000000`.
    package func bytes(_ name: SettingName, in range: ClosedRange<Int64>) throws(SettingError) -> Int64 {
        let text = try text(name) ?? ""
        guard let value = Quantity.bytes(text), range.contains(value) else {
            let wanted = "a size from \(range.lowerBound) to \(range.upperBound) bytes"
            throw Self.refused(name, text, wanted + ", such as 512KiB, 4MiB or 8GiB")
        }
        return value
    }

    /// A duration such as `15s`, `10m` or `24h`, in seconds.
    package func seconds(_ name: SettingName, in range: ClosedRange<Int64>) throws(SettingError) -> Int64 {
        let text = try text(name) ?? ""
        guard let value = Quantity.seconds(text), range.contains(value) else {
            let wanted = "a duration from \(range.lowerBound)s to \(range.upperBound)s"
            throw Self.refused(name, text, wanted + ", such as 15s, 10m, 24h or 7d")
        }
        return value
    }

    func rulesDirectory() throws(SettingError) -> String { try text(.rulesDirectory) ?? "routing-rules" }

    /// For national numbers: one to three digits, the first no zero.
    func countryCode() throws(SettingError) -> String {
        let text = try text(.defaultCountryCode) ?? "44"
        guard (1...3).contains(text.utf8.count), text.allSatisfy({ ("0"..."9").contains($0) }), !text.hasPrefix("0")
        else {
            throw Self.refused(.defaultCountryCode, text, "a country code in digits, such as 44 or 351")
        }
        return text
    }

    /// - Parameter fallback: where nothing is set: commands that print an answer keep their log quiet.
    func logLevel(fallback: Logger.Level) throws(SettingError) -> Logger.Level {
        guard let found = try find(.logLevel), found.source != "default" else { return fallback }
        guard let level = Logger.Level(rawValue: found.value) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw Self.refused(.logLevel, found.value, "one of \(levels)")
        }
        return level
    }

    private static func refused(_ name: SettingName, _ text: String, _ wanted: String) -> SettingError {
        SettingError(name, "\"\(text.prefix(40))\" is not \(wanted)")
    }
}
