import Configuration
import Foundation
import SystemPackage

/// The file of `--config`: JSON (`.json`) or YAML, with the words of a setting's name as nested keys.
struct SettingsFile: Sendable {
    let path: String
    let provider: any ConfigProvider
    /// Whether somebody beside its owner may read it: then no secret may stand in it.
    let isOpenToOthers: Bool

    init(_ path: String) async throws(SettingsFileError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw SettingsFileError(
                path, "cannot be read (\(String(cString: strerror(errno))))", cure: "check --config")
        }
        let status = FileStatus(descriptor: descriptor)
        close(descriptor)
        guard let status, !status.isDirectory else {
            throw SettingsFileError(path, "is a directory", cure: "name a JSON or YAML file with --config")
        }
        isOpenToOthers = status.isOpenToOthers
        let isJSON = path.hasSuffix(".json")
        do {
            provider =
                isJSON
                ? try await FileProvider<JSONSnapshot>(filePath: FilePath(path))
                : try await FileProvider<YAMLSnapshot>(filePath: FilePath(path))
        } catch {
            throw SettingsFileError(
                path, "is not \(isJSON ? "JSON" : "YAML") with nested keys (\(Self.reason(error)))",
                cure:
                    "write it as \(isJSON ? #"{"gateway": {"ingress": {"port": 9443}}}"# : "gateway: {ingress: {port: 9443}}")"
            )
        }
    }

    /// The parser's words without the lines it quotes: these could hold a secret.
    private static func reason(_ error: any Error) -> String {
        let foundation = (error as NSError).userInfo["NSDebugDescription"] as? String
        let line = (foundation ?? "\(error)").prefix { !$0.isNewline }
        return String(line.prefix(160)).trimmingCharacters(in: CharacterSet(charactersIn: " :."))
    }
}

/// A configuration file that cannot be used: which, what is wrong with it, what to do.
package struct SettingsFileError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ path: String, _ problem: String, cure: String) {
        description = "the configuration file \(path) \(problem); \(cure)"
    }
}
