import Dispatch
import Glibc
import Synchronization

/// Programs we start: without our environment, in a process group of their own, waited for on a thread of Dispatch's.
enum ChildProcess {
    struct Output: Sendable {
        /// 128 and more for a signal.
        let status: Int32
        /// Standard output and standard error together.
        let text: String
    }

    /// A descriptor that must close on exec exists for a moment before it is marked so.
    private static let spawning = Mutex<Void>(())
    private static let waiting = DispatchQueue(label: "child processes", attributes: .concurrent)

    /// Runs a program to its end.
    static func run(_ program: String, _ arguments: [String]) async throws(PrivatePostgresError) -> Output {
        let started = Result { () throws(PrivatePostgresError) in try spawnReading(program, arguments) }
        let (process, output) = try started.get()
        return await withCheckedContinuation { continuation in
            waiting.async {
                let text = readToEnd(output)
                continuation.resume(returning: Output(status: wait(process), text: text))
            }
        }
    }

    /// Starts a program that reads from the returned descriptor's pipe. When that descriptor closes, as it does when we
    /// end in whatever way, the program reads the end.
    static func spawnWatching(_ program: String, _ arguments: [String]) throws(PrivatePostgresError) -> Int32 {
        let spawned = spawning.withLock { _ -> Result<Int32, PrivatePostgresError> in
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return .failure(.system("pipe", program, errno)) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            defer { close(ends[0]) }
            let result = spawn(program, arguments, input: ends[0], output: -1)
            if case .failure(let error) = result {
                close(ends[1])
                return .failure(error)
            }
            return .success(ends[1])
        }
        return try spawned.get()
    }

    private static func spawnReading(
        _ program: String, _ arguments: [String]
    ) throws(PrivatePostgresError) -> (pid_t, Int32) {
        let spawned = spawning.withLock { _ -> Result<(pid_t, Int32), PrivatePostgresError> in
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return .failure(.system("pipe", program, errno)) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            defer { close(ends[1]) }
            let reading = ends[0]
            let result = spawn(program, arguments, input: -1, output: ends[1])
            if case .failure = result { close(reading) }
            return result.map { ($0, reading) }
        }
        return try spawned.get()
    }

    /// - Parameters:
    ///   - input: standard input; -1 is nothing.
    ///   - output: standard output and error; -1 is nowhere.
    private static func spawn(
        _ program: String, _ arguments: [String], input: Int32, output: Int32
    ) -> Result<pid_t, PrivatePostgresError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if input >= 0 {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        if output >= 0 {
            posix_spawn_file_actions_adddup2(&actions, output, 1)
        } else {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Sockets of ours are not all closed on exec, and one that lives on in a server would never seem closed.
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
        var words = copies([program] + arguments)
        var environment = copies(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"])
        defer { for word in words + environment { free(word) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, &actions, &attributes, &words, &environment)
        return code == 0 ? .success(process) : .failure(.system("cannot run", program, code))
    }

    /// Closes what is not standard input, output or errors. The C library has it, its Swift module does not show it.
    private static func closeTheRest(_ actions: inout posix_spawn_file_actions_t) {
        typealias AddCloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
        guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
        _ = unsafeBitCast(symbol, to: AddCloseFrom.self)(&actions, 3)
    }

    /// As C wants them: ended by a null, to be freed.
    private static func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        var copies: [UnsafeMutablePointer<CChar>?] = []
        for text in texts { copies.append(strdup(text)) }
        return copies + [nil]
    }

    private static func readToEnd(_ descriptor: Int32) -> String {
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count > 0 { text += buffer[..<count] } else if count == 0 || errno != EINTR { break }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func wait(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}
