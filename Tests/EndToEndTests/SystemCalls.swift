import Foundation
import Glibc

/// A shim between a gateway and the kernel: what it saw, and what it is to do. See `Shim/system_calls.c`.
struct SystemCalls: Sendable {
    enum Call: Equatable {
        /// Bytes came in over a connection of the ingress.
        case request(Int)
        /// Bytes are about to go out over one.
        case answer(Int)
        case journalWrite
        case syncBegins
        case syncEnds(succeeded: Bool)
        case syncFails
        case noSpace
    }

    enum Order: String {
        case holdSync = "hold-sync"
        case failSync = "fail-sync"
        case noSpace = "no-space"
    }

    private let directory: String
    private let library: String

    /// Compiles the shim with the C compiler there is.
    init(_ stage: Stage) async throws {
        directory = stage.directory + "/shim"
        library = directory + "/shim.so"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Shim/system_calls.c"
        guard let compiler = Self.compiler() else {
            throw GatewayProcess.SpawnError(description: "no C compiler in PATH; install one (clang comes with Swift)")
        }
        let process = try GatewayProcess(
            ["-shared", "-fPIC", "-O1", "-o", library, source], environment: ProcessInfo.processInfo.environment,
            logs: directory + "/compile", program: compiler)
        guard try await process.end() == .status(0) else {
            throw GatewayProcess.SpawnError(description: process.errors)
        }
    }

    private static func compiler() -> String? {
        let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return ["clang", "cc", "gcc"].lazy.flatMap { name in directories.map { "\($0)/\(name)" } }
            .first { access($0, X_OK) == 0 }
    }

    /// What a gateway must be told to be watched.
    func settings(_ stage: Stage) -> [String: String?] {
        ["LD_PRELOAD": library, "SHIM_DIRECTORY": directory, "SHIM_PORT": "\(stage.ingressPort)"]
    }

    func order(_ order: Order) {
        _ = FileManager.default.createFile(atPath: "\(directory)/\(order.rawValue)", contents: nil)
    }

    func withdraw(_ order: Order) { unlink("\(directory)/\(order.rawValue)") }

    /// All calls so far, in their order.
    var calls: [Call] {
        let text = FileManager.default.contents(atPath: directory + "/calls") ?? Data()
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 3, let descriptor = Int(words[1]), let result = Int(words[2]) else { return nil }
            return switch words[0] {
            case "request": .request(descriptor)
            case "answer": .answer(descriptor)
            case "journal-write": .journalWrite
            case "sync-begins": .syncBegins
            case "sync-ends": .syncEnds(succeeded: result == 0)
            case "sync-fails": .syncFails
            case "no-space": .noSpace
            default: nil
            }
        }
    }
}
