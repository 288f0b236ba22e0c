import Dispatch
import Foundation
import Glibc
import Messaging
package import Routing

/// Rules as files: a directory of them, or what somebody sent in its place.
package struct RulesFiles: Sendable {
    package let files: [RulesFile]
    /// For people: the directory's path, or what the files came by.
    package let origin: String
    /// Names of the endpoints that rules may forward to; `nil` = they are not compared: another gateway has others.
    package let downstreams: Set<String>?

    package init(files: [RulesFile], origin: String, downstreams: Set<String>? = nil) {
        self.files = files
        self.origin = origin
        self.downstreams = downstreams
    }

    /// Reads a directory, without what is in the files.
    /// - Throws: `RulesErrors` when it cannot be listed, or holds more than is read.
    package init(directory: String, downstreams: Set<String>?) throws(RulesErrors) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw RoutingRules.unreadableDirectory(directory, reason: Self.reason(directory))
        }
        let wanted = names.filter { $0.hasSuffix(RulesFile.fileExtension) }.sorted()
        var files: [RulesFile] = []
        var size = 0
        for name in wanted {
            let file = RulesFile(name: name, content: Self.content(of: directory + "/" + name))
            size += file.size
            guard wanted.count <= RulesFile.filesMax, size <= RulesFile.totalSizeLimit else {
                throw RoutingRules.tooMuch(directory, files: wanted.count, bytes: size)
            }
            files.append(file)
        }
        self.init(files: files, origin: directory, downstreams: downstreams)
    }

    /// Reads what is in the files. The zones are looked up once, here: a message must not wait for a file.
    /// - Throws: every error with file, line and column.
    package func inForce(generation: Int64) throws(RulesErrors) -> RulesInForce {
        var found: [String: TimeZone] = [:]
        let rules = try RoutingRules(files: files, directory: origin, downstreams: downstreams) { name in
            if found[name] == nil { found[name] = TimeZone(identifier: name) }
            return found[name] != nil
        }
        let zones = found
        return RulesInForce(rules: rules, generation: generation) { name, at in
            zones[name]?.secondsFromGMT(for: Date(timeIntervalSince1970: Double(at.seconds)))
        }
    }

    /// At most as many bytes as a rules file may have, and never from what is no file: a pipe has no end.
    private static func content(of path: String) -> RulesFile.Content {
        let descriptor = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return .unreadable(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return .unreadable(String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { return .unreadable("it is no file") }
        if status.st_size > RulesFile.sizeLimit { return .tooLarge(bytes: Int(status.st_size)) }
        var bytes: [UInt8] = []
        // One more than the limit, for the file may grow while it is read: then it is too large all the same.
        while bytes.count <= RulesFile.sizeLimit {
            var failure: Int32 = 0
            let part = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                let got = read(descriptor, buffer.baseAddress, buffer.count)
                if got < 0 { failure = errno }
                count = max(0, got)
            }
            if failure == EINTR { continue }
            guard failure == 0 else { return .unreadable(String(cString: strerror(failure))) }
            if part.isEmpty { break }
            bytes += part
        }
        return .bytes(bytes)
    }

    /// What the system says when the directory is opened; Foundation's words for it are vague.
    private static func reason(_ directory: String) -> String {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let reason = String(cString: strerror(errno))
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0 ? "it changed while it was read" : reason
    }
}

extension RulesFiles {
    /// Files that are read, with what is in them.
    package typealias Loaded = (files: RulesFiles, rules: RulesInForce)

    /// Reads a directory and its files on a thread of their own: ten thousand rules take a while.
    package static func load(
        directory: String, generation: Int64, downstreams: Set<String>?
    ) async -> Result<Loaded, RulesErrors> {
        await aside {
            Result { () throws(RulesErrors) in
                let files = try RulesFiles(directory: directory, downstreams: downstreams)
                return (files, try files.inForce(generation: generation))
            }
        }
    }

    /// Reads what is in files that are here.
    package func load() async -> Result<Loaded, RulesErrors> {
        await Self.aside {
            Result { () throws(RulesErrors) in (self, try inForce(generation: 0)) }
        }
    }

    private static let reading = DispatchQueue(label: "rules", qos: .utility)

    private static func aside<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            reading.async { continuation.resume(returning: body()) }
        }
    }
}
