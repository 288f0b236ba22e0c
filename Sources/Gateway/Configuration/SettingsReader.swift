import Configuration
import Foundation
package import Messaging
import SystemPackage

/// Reads settings from where they may stand, first one wins: flags, the environment, a file, the default.
package struct SettingsReader: Sendable {
    /// Where a value came from, for `serve` to print.
    package struct Found: Hashable, Sendable {
        package let value: String
        package let source: String
    }

    private let providers: [(name: String, provider: any ConfigProvider)]

    /// - Parameters:
    ///   - overrides: what was given on the command line.
    ///   - file: a JSON (`.json`) or YAML file with nested keys.
    package init(
        overrides: [SettingName: String] = [:], environment: [String: String] = ProcessInfo.processInfo.environment,
        file: String? = nil
    ) async throws {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, value) in overrides {
            values[AbsoluteConfigKey(name.components)] = ConfigValue(.string(value), isSecret: name.isSecret)
        }
        var providers: [(String, any ConfigProvider)] = [
            ("flag", InMemoryProvider(name: "flags", values: values)),
            ("environment", EnvironmentVariablesProvider(environmentVariables: environment)),
        ]
        if let file { providers.append((file, try await Self.fileProvider(file))) }
        self.providers = providers
    }

    private static func fileProvider(_ path: String) async throws -> any ConfigProvider {
        do {
            return path.hasSuffix(".json")
                ? try await FileProvider<JSONSnapshot>(filePath: FilePath(path))
                : try await FileProvider<YAMLSnapshot>(filePath: FilePath(path))
        } catch {
            throw SettingsFileError(description: "the configuration file \(path) cannot be read: \(error)")
        }
    }

    /// The value of a setting and where it stands; `nil` when it has neither value nor default. Empty counts as absent.
    package func find(_ name: SettingName) throws(SettingError) -> Found? {
        for (source, provider) in providers {
            if let value = Self.text(provider, AbsoluteConfigKey(name.components)), !value.isEmpty {
                return Found(value: value, source: source)
            }
            guard name.isSecret else { continue }
            let fileKey = AbsoluteConfigKey(name.components + ["file"])
            if let path = Self.text(provider, fileKey), !path.isEmpty {
                return Found(value: try Self.secret(name, path), source: "\(source), from \(path)")
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
        var status = stat()
        guard stat(path, &status) == 0, let data = FileManager.default.contents(atPath: path) else {
            throw SettingError(name, "the file \(path) cannot be read; \(name.rawValue)_FILE must name a file of this user")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw SettingError(name, "others can read \(path); run `chmod 600 \(path)`")
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    // MARK: Typed values

    package func text(_ name: SettingName) throws(SettingError) -> String? { try find(name)?.value }

    package func secret(_ name: SettingName) throws(SettingError) -> Secret? { try find(name).flatMap { Secret($0.value) } }

    package func ring(_ name: SettingName) throws(SettingError) -> [Secret] { Secret.ring(try text(name) ?? "") }

    package func port(_ name: SettingName) throws(SettingError) -> Int {
        try number(name, in: 0...65_535, "a port from 0 (any free one) to 65535")
    }

    package func count(_ name: SettingName, in range: ClosedRange<Int>) throws(SettingError) -> Int {
        try number(name, in: range, "a number from \(range.lowerBound) to \(range.upperBound)")
    }

    private func number(_ name: SettingName, in range: ClosedRange<Int>, _ wanted: String) throws(SettingError) -> Int {
        let text = try text(name) ?? ""
        guard let value = Int(text), range.contains(value) else {
            throw SettingError(name, "\"\(text.prefix(40))\" is not \(wanted)")
        }
        return value
    }

    /// A size such as `8GiB`, `512KiB` or `1000000`.
    package func bytes(_ name: SettingName, in range: ClosedRange<Int64>) throws(SettingError) -> Int64 {
        let text = try text(name) ?? ""
        guard let value = Quantity.bytes(text), range.contains(value) else {
            throw SettingError(
                name, "\"\(text.prefix(40))\" is not a size from \(range.lowerBound) to \(range.upperBound) bytes, "
                    + "such as 512KiB, 4MiB or 8GiB")
        }
        return value
    }

    /// A duration such as `15s`, `10m` or `24h`, in seconds.
    package func seconds(_ name: SettingName, in range: ClosedRange<Int64>) throws(SettingError) -> Int64 {
        let text = try text(name) ?? ""
        guard let value = Quantity.seconds(text), range.contains(value) else {
            throw SettingError(
                name, "\"\(text.prefix(40))\" is not a duration from \(range.lowerBound)s to \(range.upperBound)s, "
                    + "such as 15s, 10m, 24h or 7d")
        }
        return value
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

package struct SettingsFileError: Error, CustomStringConvertible {
    package let description: String
}

/// Sizes and durations as people write them.
enum Quantity {
    static func bytes(_ text: String) -> Int64? {
        parse(text, units: ["": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40])
    }

    static func seconds(_ text: String) -> Int64? {
        parse(text, units: ["s": 1, "m": 60, "h": 3600, "d": 86_400])
    }

    private static func parse(_ text: String, units: [String: Int64]) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let value = Int64(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }
}
