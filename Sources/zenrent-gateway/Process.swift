import Glibc
import Logging
import Metrics
import Operations

/// What is set once for the whole process.
enum Process {
    /// Peers that go away must not end us; many connections need many descriptors; a core file would hold secrets.
    static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    }

    static func bootstrapMetrics() -> PrometheusRegistry {
        let registry = PrometheusRegistry(
            descriptions: ProcessMetrics.descriptions + ReloadCoordinator.descriptions + HealthBoard.descriptions)
        registry.collect { ProcessMetrics.read() }
        MetricsSystem.bootstrap(registry)
        return registry
    }

    static func bootstrapLogging(level: Logger.Level) -> Logger {
        LoggingSystem.bootstrap { label in
            var handler = JSONLogHandler(label: label)
            handler.logLevel = level
            return handler
        }
        return Logger(label: "zenrent-gateway")
    }
}

enum Terminal {
    /// One write a line, so that lines of several threads do not mix.
    static func error(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// To standard output at once, also when it is a pipe.
    static func say(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }
}
