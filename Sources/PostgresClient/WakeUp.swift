import Glibc

/// Something a thread in `poll` can be woken by, from anywhere: a pipe of its own.
final class WakeUp: Sendable {
    /// Readable once signalled.
    let descriptor: Int32
    private let writing: Int32

    init() throws(PostgresError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw PostgresError(.connectFailed, "no file descriptor is left: raise the limit of open files (ulimit -n)")
        }
        (descriptor, writing) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
    }

    deinit {
        Glibc.close(descriptor)
        Glibc.close(writing)
    }

    /// A full pipe is signalled already.
    func signal() {
        var byte: UInt8 = 1
        _ = write(writing, &byte, 1)
    }

    /// Takes back what was signalled so far.
    func clear() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(descriptor, &bytes, bytes.count) > 0 {}
    }
}
