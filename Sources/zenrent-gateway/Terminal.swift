import ArgumentParser
import Glibc

enum Terminal {
    /// One write a line, so that lines of several threads do not mix.
    static func error(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// A line to standard output at once, also when it is a pipe. One that cannot be written is let go.
    static func say(_ text: String) { try? write(text + "\n") }

    /// A line on the terminal that the next one takes the place of; nothing where errors go to a file.
    static func progress(_ line: String) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        let bytes = Array("\r\u{1B}[2K\(line)".utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// Takes the line of `progress` away.
    static func endProgress() { progress("") }

    /// To standard output at once.
    /// - Throws: `ExitCode.failure` when nobody reads any more, as after `| head`.
    static func write(_ text: String) throws {
        let bytes = Array(text.utf8)
        try bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = Glibc.write(
                    STDOUT_FILENO, buffer.baseAddress?.advanced(by: written), buffer.count - written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw ExitCode.failure }
                written += count
            }
        }
    }
}
