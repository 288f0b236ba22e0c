import Foundation
import Glibc
import Synchronization

/// A process of the product's own binary.
///
/// It is killed when its owner lets go of it, and when the test process ends in whatever way: a shell that waits for the
/// end of a pipe sees to that.
final class GatewayProcess: Sendable {
    enum Exit: Sendable, Equatable {
        case status(Int32)
        case signal(Int32)
    }

    struct SpawnError: Error, CustomStringConvertible {
        let description: String
    }

    let processID: pid_t
    let errorFile: String
    let outputFile: String
    private let watch: Int32
    private let watcher: pid_t
    private let ended = Mutex<Exit?>(nil)
    private static let waiting = DispatchQueue(label: "children", attributes: .concurrent)

    /// - Parameters:
    ///   - environment: the whole of it.
    ///   - logs: where its output and errors go: `<logs>.out`, `<logs>.err`.
    init(_ arguments: [String], environment: [String: String], logs: String, program: String? = nil) throws {
        outputFile = logs + ".out"
        errorFile = logs + ".err"
        let program = try program ?? Self.binary()
        processID = try Self.spawn(program, arguments, environment, input: nil, output: outputFile, errors: errorFile)
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            kill(processID, SIGKILL)
            throw SpawnError(description: "pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        watch = ends[1]
        defer { close(ends[0]) }
        watcher = try Self.spawn(
            "/bin/sh", ["-c", "read line || kill -KILL \"$0\"", String(processID)], [:], input: ends[0],
            output: "/dev/null", errors: "/dev/null")
        Self.waiting.async { [self] in reap() }
    }

    deinit { close(watch) }

    /// How it ended, if it did.
    var exit: Exit? { ended.withLock { $0 } }

    /// Everything it said so far on standard error.
    var errors: String { Self.contents(errorFile) }
    var output: String { Self.contents(outputFile) }

    /// Its lines on standard error that are log lines with this text.
    func logged(_ text: String) -> [String] {
        errors.split(separator: "\n").filter { $0.hasPrefix("{") && $0.contains(text) }.map(String.init)
    }

    /// Nothing once it has ended: its number may be another's by then.
    func send(_ signal: Int32) {
        ended.withLock { ended in
            if ended == nil { kill(processID, signal) }
        }
    }

    /// Waits for its end.
    @discardableResult
    func end(within limit: Duration = .seconds(60)) async throws -> Exit {
        try await eventual("the end of the gateway", within: limit) { exit }
    }

    @discardableResult
    func end(by signal: Int32) async throws -> Exit {
        send(signal)
        return try await end()
    }

    private func reap() {
        var info = siginfo_t()
        while waitid(P_PID, id_t(processID), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        ended.withLock { ended in
            let status = Self.wait(processID)
            ended = status & 0x7F == 0 ? .status((status >> 8) & 0xFF) : .signal(status & 0x7F)
        }
        _ = write(watch, "\n", 1)
        _ = Self.wait(watcher)
    }

    private static func wait(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }

    private static func contents(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// The product's binary: beside the tests' own.
    static func binary() throws -> String {
        var places = [
            realpath("/proc/self/exe", nil).map { pointer in
                defer { free(pointer) }
                return String(cString: pointer)
            } ?? CommandLine.arguments[0]
        ]
        places += CommandLine.arguments.filter { $0.contains(".xctest") }
        for place in places {
            var directory = URL(fileURLWithPath: place)
            while directory.path != "/" {
                directory.deleteLastPathComponent()
                let candidate = directory.appendingPathComponent("zenrent-gateway").path
                var isDirectory = ObjCBool(false)
                if FileManager.default.fileExists(atPath: candidate, isDirectory: &isDirectory), !isDirectory.boolValue
                {
                    return candidate
                }
            }
        }
        throw SpawnError(description: "no zenrent-gateway beside \(places); build the product zenrent-gateway")
    }

    private static func spawn(
        _ program: String, _ arguments: [String], _ environment: [String: String], input: Int32?, output: String,
        errors: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // Sockets of other tests must not live on in the child: they would never seem closed.
        closeTheRest(&actions)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words = ([program] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, &actions, &attributes, &words, &variables)
        guard code == 0 else { throw SpawnError(description: "\(program): \(String(cString: strerror(code)))") }
        return process
    }
    /// Closes what is not standard input, output or errors. The C library has it, its Swift module does not show it.
    private static func closeTheRest(_ actions: inout posix_spawn_file_actions_t) {
        typealias AddCloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
        guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
        _ = unsafeBitCast(symbol, to: AddCloseFrom.self)(&actions, 3)
    }
}
