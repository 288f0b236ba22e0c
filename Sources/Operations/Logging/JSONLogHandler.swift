import Glibc
package import Logging
package import Messaging
import Synchronization

/// Writes each event as one JSON object on one line: `time`, `level`, `label`, `message`, `error`, `metadata`.
///
/// No byte of an event can end the line or steer a terminal, phone numbers are masked (`LogSanitizer`), and a line has
/// at most 16 KiB: what is cut ends with `…`, and `"truncated":true` says that metadata was left out.
package struct JSONLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let output: LogOutput
    private let now: @Sendable () -> Timestamp

    package init(
        label: String, level: Logger.Level = .info, metadataProvider: Logger.MetadataProvider? = nil,
        output: LogOutput = .standardError, now: @escaping @Sendable () -> Timestamp = JSONLogHandler.wallClock
    ) {
        self.label = label
        self.logLevel = level
        self.metadataProvider = metadataProvider
        self.output = output
        self.now = now
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let given = event.metadata { all.merge(given) { _, new in new } }
        var line = JSONLogLine()
        line.begin(
            time: now().rfc3339, level: event.level.rawValue, label: label, message: event.message.description)
        if let error = event.error { line.add(error: String(describing: error)) }
        output.write(line.finished(with: all))
    }

    @Sendable
    package static func wallClock() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}

/// Where finished lines go.
package struct LogOutput: Sendable {
    /// Takes a whole line, its line feed included.
    package let write: @Sendable ([UInt8]) -> Void

    package init(write: @escaping @Sendable ([UInt8]) -> Void) { self.write = write }

    /// The process' standard error. Lines of several threads never mix.
    package static let standardError = LogOutput.descriptor(STDERR_FILENO)

    /// A descriptor that stays open. A reader that takes nothing for 100 ms loses the line, not the process its pace.
    package static func descriptor(_ descriptor: Int32) -> LogOutput {
        let lock = DescriptorLock()
        return LogOutput { line in
            lock.mutex.withLock { _ in writeAll(line, to: descriptor) }
        }
    }

    private final class DescriptorLock: Sendable {
        let mutex = Mutex(())
    }

    private static func writeAll(_ line: [UInt8], to descriptor: Int32) {
        line.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
                if count > 0 {
                    written += count
                } else if errno == EAGAIN {
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    guard poll(&waiting, 1, 100) > 0 else { return }
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
