import Glibc

/// What the kernel says of this process, under the names Prometheus' own clients use.
package enum ProcessMetrics {
    package static let descriptions = [
        MetricDescription("process_cpu_seconds_total", "User and system time spent, in seconds."),
        MetricDescription("process_resident_memory_bytes", "Memory in RAM, in bytes."),
        MetricDescription("process_virtual_memory_bytes", "Address space, in bytes."),
        MetricDescription("process_open_fds", "Open file descriptors."),
        MetricDescription("process_max_fds", "Most file descriptors this process may open."),
        MetricDescription("process_start_time_seconds", "Start, in seconds since 1970."),
        MetricDescription("process_threads", "Threads of the process."),
    ]

    /// Reads `/proc/self`; what cannot be read is left out.
    package static func read() -> [MetricSample] {
        var samples: [MetricSample] = []
        if let stat = status() {
            samples += [
                MetricSample("process_cpu_seconds_total", .counter, value: stat.cpuSeconds),
                MetricSample("process_resident_memory_bytes", .gauge, value: stat.residentBytes),
                MetricSample("process_virtual_memory_bytes", .gauge, value: stat.virtualBytes),
                MetricSample("process_threads", .gauge, value: stat.threads),
            ]
            if let boot = bootTime {
                samples.append(
                    MetricSample("process_start_time_seconds", .gauge, value: boot + stat.startSecondsAfterBoot))
            }
        }
        if let open = openDescriptors() {
            samples.append(MetricSample("process_open_fds", .gauge, value: Double(open)))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            let most = limit.rlim_cur == .max ? Double.infinity : Double(limit.rlim_cur)
            samples.append(MetricSample("process_max_fds", .gauge, value: most))
        }
        return samples
    }

    struct Status {
        var cpuSeconds: Double
        var residentBytes: Double
        var virtualBytes: Double
        var threads: Double
        var startSecondsAfterBoot: Double
    }

    private static func status() -> Status? {
        contents("/proc/self/stat").flatMap {
            status(parsing: $0, ticksPerSecond: sysconf(Int32(_SC_CLK_TCK)), pageBytes: sysconf(Int32(_SC_PAGESIZE)))
        }
    }

    /// Reads the fields of proc(5) `stat`; the name in brackets may itself hold blanks and brackets.
    static func status(parsing text: String, ticksPerSecond: Int, pageBytes: Int) -> Status? {
        guard let bracket = text.lastIndex(of: ")"), ticksPerSecond > 0 else { return nil }
        let fields = text[text.index(after: bracket)...].split(whereSeparator: \.isWhitespace).map { Double($0) }
        // Field 3 (state) is the first here, so field n of the manual stands at n - 3.
        func field(_ number: Int) -> Double? { fields.count > number - 3 ? fields[number - 3] : nil }
        guard let user = field(14), let system = field(15), let threads = field(20), let start = field(22),
            let virtual = field(23), let pages = field(24)
        else { return nil }
        return Status(
            cpuSeconds: (user + system) / Double(ticksPerSecond), residentBytes: pages * Double(pageBytes),
            virtualBytes: virtual, threads: threads, startSecondsAfterBoot: start / Double(ticksPerSecond))
    }

    /// Seconds since 1970 when the kernel started.
    private static let bootTime: Double? = contents("/proc/stat").flatMap { text in
        text.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) }
    }

    private static func openDescriptors() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without "." and "..", and without the descriptor of this very directory.
        return max(0, count - 3)
    }

    /// A small file of procfs, which answers from memory.
    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        let sizeMax = 1 << 20
        while bytes.count < sizeMax {
            let count = withUnsafeTemporaryAllocation(byteCount: 8_192, alignment: 1) { buffer in
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                if count > 0 { bytes.append(contentsOf: buffer[..<count]) }
                return count
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
