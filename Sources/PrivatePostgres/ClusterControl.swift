import Glibc
import Logging

// Making, starting, adopting and stopping.
extension PrivatePostgres {
    /// Makes the cluster if there is none, and starts it, or adopts the server that runs on it.
    @discardableResult
    package func start() async throws(PrivatePostgresError) -> Start {
        try layout.prepare(owner)
        let binaries = try ServerBinaries.find(majorVersion: layout.majorVersion)
        if layout.majorVersion == nil { try await initialize(binaries) }
        if try await adopt(binaries) {
            logger.info("private PostgreSQL adopted", metadata: ["home": "\(home)"])
            return .adopted
        }
        try await writeSettings()
        try await startServer(binaries)
        logger.info("private PostgreSQL started", metadata: ["home": "\(home)"])
        return .started
    }

    /// The children of a server that was killed may take a moment to end; until then a new one refuses their memory.
    private func startServer(_ binaries: ServerBinaries) async throws(PrivatePostgresError) {
        let seconds = String(options.startTimeoutSeconds)
        for attempt in 1... {
            rename(layout.log, layout.log + ".1")
            let output = try await owner.run(
                binaries.path("pg_ctl"), ["-D", layout.data, "-l", layout.log, "-w", "-t", seconds, "start"])
            if output.status == 0 { return }
            let said = ClusterLayout.contents(layout.log) ?? ""
            guard said.contains("still in use"), attempt < 50 else {
                throw PrivatePostgresError(
                    "the private PostgreSQL did not start: \(said.lastLines); see \(layout.log)"
                )
            }
            try await pause()
        }
    }

    private func pause() async throws(PrivatePostgresError) {
        do { try await Task.sleep(for: .milliseconds(100)) } catch {
            throw PrivatePostgresError("cancelled while the private PostgreSQL was starting or stopping")
        }
    }

    /// Stops the server: open transactions are rolled back. One that does not run is fine.
    package func stop() async throws(PrivatePostgresError) {
        guard runningServer() != nil else { return }
        let binaries = try ServerBinaries.find(majorVersion: layout.majorVersion)
        let output = try await owner.run(
            binaries.path("pg_ctl"), ["-D", layout.data, "-m", "fast", "-w", "-t", "60", "stop"])
        guard output.status == 0 || runningServer() == nil else {
            throw PrivatePostgresError("the private PostgreSQL did not stop: \(output.text.lastLines)")
        }
        logger.info("private PostgreSQL stopped", metadata: ["home": "\(home)"])
    }

    /// In a directory beside the final one, so that an `initdb` that was killed leaves nothing that looks like a
    /// cluster.
    private func initialize(_ binaries: ServerBinaries) async throws(PrivatePostgresError) {
        logger.info("making a private PostgreSQL cluster", metadata: ["home": "\(home)"])
        let unfinished = home + "/data.new"
        _ = try await owner.run("/bin/rm", ["-rf", unfinished])
        // A new segment of the log is filled with zeros first: of 16 MiB, the default, that holds up everybody's syncs.
        var arguments = ["-D", unfinished, "-U", Self.superuser, "-A", "trust", "-E", "UTF8", "--locale=C"]
        arguments.append("--wal-segsize=1")
        if options.durability == .none { arguments.append("--no-sync") }
        let output = try await owner.run(binaries.path("initdb"), arguments)
        guard output.status == 0 else { throw PrivatePostgresError("initdb: \(output.text.lastLines)") }
        guard rename(unfinished, layout.data) == 0 else { throw .system("rename", unfinished, errno) }
    }

    /// Whether a server runs on this data directory; one that is on its way up or down is waited for. One that was
    /// killed still looks ready for a moment, so that it must answer, too.
    private func adopt(_ binaries: ServerBinaries) async throws(PrivatePostgresError) -> Bool {
        let deadline = ContinuousClock.now + .seconds(options.startTimeoutSeconds)
        while ContinuousClock.now < deadline {
            guard let server = runningServer() else {
                try disownStaleServer()
                return false
            }
            if server.isReady, try await answers(server, binaries) {
                guard server.sockets != layout.sockets else { return true }
                try await stop()
                return false
            }
            try await pause()
        }
        throw PrivatePostgresError(
            "the server in \(layout.data) has neither answered nor gone in \(options.startTimeoutSeconds) s; see "
                + "\(layout.log), or end the process that \(layout.postmasterFile) names, and start again"
        )
    }

    private func answers(_ server: RunningServer, _ binaries: ServerBinaries) async throws(PrivatePostgresError) -> Bool
    {
        try await owner.run(binaries.path("pg_isready"), ["-h", server.sockets, "-q", "-t", "1"]).status == 0
    }

    private struct RunningServer {
        let sockets: String
        let isReady: Bool
    }

    /// From `postmaster.pid`, if the process it names works in this data directory. After a crash another process may
    /// have got that number, and the server would not dare to start.
    private func runningServer() -> RunningServer? {
        guard let text = ClusterLayout.contents(layout.postmasterFile) else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let process = lines.first.flatMap({ pid_t($0) }), process > 0, kill(process, 0) == 0 || errno == EPERM
        else {
            return nil
        }
        guard let directory = Self.resolved("/proc/\(process)/cwd"), directory == Self.resolved(layout.data) else {
            return nil
        }
        // Line 5 is the socket directory, line 8 the state.
        return RunningServer(
            sockets: lines.count > 4 ? String(lines[4]) : "", isReady: lines.count > 7 && lines[7].hasPrefix("ready"))
    }

    /// Puts a number no process can have into a `postmaster.pid` that nobody runs under. The rest stays: by it the
    /// server finds out whether children of the last one still live.
    private func disownStaleServer() throws(PrivatePostgresError) {
        guard let text = ClusterLayout.contents(layout.postmasterFile), let end = text.firstIndex(of: "\n") else {
            return
        }
        try write("\(Self.impossibleProcess)" + text[end...], to: layout.postmasterFile)
        unlink(layout.sockets + "/.s.PGSQL.5432.lock")
    }

    /// One more than Linux's largest.
    private static let impossibleProcess = (1 << 22) + 1

    private static func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Written before each start, so that they are those of this version of the program.
    private func writeSettings() async throws(PrivatePostgresError) {
        try write("local all all trust\n", to: layout.data + "/pg_hba.conf")
        let lines = settings.map { name, value in
            "\(name) = '\(value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''"))'\n"
        }
        try write(lines.joined(), to: layout.data + "/postgresql.conf")
    }

    private var settings: [(String, String)] {
        let durable = options.durability == .full ? "on" : "off"
        return [
            ("listen_addresses", ""), ("unix_socket_directories", layout.sockets), ("port", "5432"),
            ("max_connections", String(options.connectionsMax)),
            ("shared_buffers", "\(options.sharedBuffersMegabytes)MB"), ("effective_cache_size", "1GB"),
            ("work_mem", "16MB"), ("maintenance_work_mem", "128MB"),
            ("fsync", durable), ("synchronous_commit", durable), ("full_page_writes", durable),
            ("max_wal_size", "4GB"), ("checkpoint_timeout", "15min"), ("random_page_cost", "1.1"),
            // The recording statement's plan is short-lived and large: compiling it costs more than running it.
            ("jit", "off"),
            // The outbox and the checkpoint row are rewritten all the time.
            ("autovacuum_naptime", "5s"),
            // Written pages go to the disk as they come: gathered by the kernel they would go all at once, and the
            // journal on the same disk would wait behind them for its syncs.
            ("backend_flush_after", "256kB"), ("bgwriter_flush_after", "256kB"),
            ("timezone", "UTC"), ("log_timezone", "UTC"), ("datestyle", "iso, ymd"),
            ("log_line_prefix", "%m [%p] "),
            // Without DETAIL, which shows the values of rows.
            ("log_error_verbosity", "terse"),
        ]
    }

    private func write(_ text: String, to path: String) throws(PrivatePostgresError) {
        guard let file = fopen(path, "we") else { throw .system("cannot write", path, errno) }
        let count = fwrite(text, 1, text.utf8.count, file)
        guard fclose(file) == 0, count == text.utf8.count else { throw .system("cannot write", path, errno) }
    }
}
