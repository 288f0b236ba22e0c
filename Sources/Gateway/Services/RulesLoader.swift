import Foundation
import Messaging
package import Operations
package import Routing
import Synchronization

/// Reads the rules directory, and holds the rules in force.
package final class RulesLoader: Sendable {
    private let directory: String
    private let current: Mutex<RulesInForce>

    /// - Throws: `RulesErrors`, every error with file, line and column.
    package init(directory: String) throws(RulesErrors) {
        self.directory = directory
        current = Mutex(Self.inForce(try Self.read(directory), generation: 1))
    }

    /// With what a message is decided by.
    package var inForce: RulesInForce { current.withLock { $0 } }

    package var rules: RoutingRules { current.withLock { $0.rules } }

    /// Counts the rules swapped in, from 1.
    package var generation: Int64 { current.withLock { $0.generation } }

    /// Swaps whole, or throws and leaves the rules as they were.
    package func reload() throws(RulesErrors) -> ReloadReceipt {
        let rules = try Self.read(directory)
        return current.withLock { current in
            if rules.digest != current.rules.digest {
                current = Self.inForce(rules, generation: current.generation + 1)
            }
            return ReloadReceipt(generation: current.generation, summary: "rules from \(directory)")
        }
    }

    /// The zones are looked up once, here: a message must not wait for a file.
    private static func inForce(_ rules: RoutingRules, generation: Int64) -> RulesInForce {
        let names = Set(rules.rules.rules.compactMap(\.condition.time?.zone))
        let zones = names.reduce(into: [String: TimeZone]()) { $0[$1] = TimeZone(identifier: $1) }
        return RulesInForce(rules: rules, generation: generation) { name, at in
            zones[name]?.secondsFromGMT(for: Date(timeIntervalSince1970: Double(at.seconds)))
        }
    }

    /// What the system says when the directory is opened; Foundation's words for it are vague.
    private static func reason(_ directory: String) -> String {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let reason = String(cString: strerror(errno))
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0 ? "it changed while it was read" : reason
    }

    private static func read(_ directory: String) throws(RulesErrors) -> RoutingRules {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw RoutingRules.unreadableDirectory(directory, reason: Self.reason(directory))
        }
        let files = names.filter { $0.hasSuffix(RulesFile.fileExtension) }.map { name -> RulesFile in
            let path = directory + "/" + name
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            let size = attributes?[.size] as? Int ?? 0
            if size > RulesFile.sizeLimit { return RulesFile(name: name, content: .tooLarge(bytes: size)) }
            guard let data = FileManager.default.contents(atPath: path) else {
                return RulesFile(name: name, content: .unreadable("this user cannot read it"))
            }
            return RulesFile(name: name, content: .bytes([UInt8](data)))
        }
        return try RoutingRules(files: files, directory: directory) { TimeZone(identifier: $0) != nil }
    }
}
