import Glibc
import Journal

/// Holds a directory for this process alone, until the value goes away or the process ends, however it ends.
struct DirectoryLock: ~Copyable {
    private let descriptor: Int32

    init(directory: String) throws(JournalError) {
        let path = directory + "/journal.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw JournalError(
                .unreadable,
                "cannot open \(path): \(String(cString: strerror(errno))); is GATEWAY_DATA_DIR writable for this user?")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = Self.holder(descriptor)
            close(descriptor)
            throw JournalError(
                .locked,
                "the journal in \(directory) is held by another gateway\(holder.map { " (process \($0))" } ?? ""); "
                    + "stop it, or give this one another GATEWAY_DATA_DIR")
        }
        let pid = String(getpid()) + "\n"
        ftruncate(descriptor, 0)
        _ = pid.withCString { pwrite(descriptor, $0, strlen($0), 0) }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    private static func holder(_ descriptor: Int32) -> Int32? {
        var buffer = [CChar](repeating: 0, count: 16)
        guard pread(descriptor, &buffer, 15, 0) > 0 else { return nil }
        return Int32(atoi(buffer))
    }
}
