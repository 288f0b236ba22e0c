import Glibc

/// Small files of a certificate directory: read whole with a limit, replaced whole.
enum CertificateStorage {
    /// Far above any chain, far below what hurts.
    static let fileBytesMax = 1 << 20

    struct Contents {
        var bytes: [UInt8]
        /// Permission bits of the file itself, links followed.
        var mode: mode_t
    }

    /// - Returns: `nil` if there is no such file.
    static func read(_ path: String) throws(CertificateError) -> Contents? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure(path, "cannot be read", cure: "let the gateway's user read it")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path, "cannot be read", cure: "check the disk") }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= fileBytesMax else {
            throw CertificateError(
                path, "is no file of at most \(fileBytesMax) bytes", cure: "put a PEM file there")
        }
        var bytes = [UInt8](repeating: 0, count: fileBytesMax + 1)
        var count = 0
        while count < bytes.count {
            let part = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count)
            }
            if part < 0, errno == EINTR { continue }
            guard part >= 0 else { throw failure(path, "cannot be read", cure: "check the disk") }
            if part == 0 { break }
            count += part
        }
        bytes.removeSubrange(count...)
        return Contents(bytes: bytes, mode: status.st_mode & 0o7777)
    }

    /// Replaces each file whole, in this order; a crash leaves every file either old or new.
    static func replace(
        _ files: [(name: String, text: String, mode: mode_t)], in directory: String
    ) throws(CertificateError) {
        try makeDirectory(directory)
        var temporary: [String] = []
        defer { for path in temporary { unlink(path) } }
        for file in files {
            let path = "\(directory)/.\(file.name).\(getpid()).new"
            unlink(path)
            temporary.append(path)
            try writeSynced(Array(file.text.utf8), to: path, mode: file.mode)
        }
        for (path, file) in zip(temporary, files) {
            let target = "\(directory)/\(file.name)"
            guard rename(path, target) == 0 else {
                throw failure(target, "cannot be replaced", cure: "let the gateway's user write to the directory")
            }
        }
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw failure(directory, "cannot be synced", cure: "check the disk, then run this again")
        }
    }

    private static func writeSynced(_ bytes: [UInt8], to path: String, mode: mode_t) throws(CertificateError) {
        let cure = "let the gateway's user write to the directory, and see that the disk has space"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure(path, "cannot be made", cure: cure) }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let part = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if part < 0, errno == EINTR { continue }
            guard part > 0 else { throw failure(path, "cannot be written", cure: cure) }
            written += part
        }
        // The umask may have taken bits away that readers of a certificate need.
        guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else {
            throw failure(path, "cannot be synced", cure: cure)
        }
    }

    /// Makes the directory and those above it.
    private static func makeDirectory(_ path: String) throws(CertificateError) {
        var prefix = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            prefix += (prefix.isEmpty || prefix == "/" ? "" : "/") + part
            guard mkdir(prefix, 0o755) == 0 || errno == EEXIST else {
                throw failure(prefix, "cannot be made", cure: "set GATEWAY_CERTS_DIR to a directory you may write to")
            }
        }
    }

    private static func failure(_ file: String, _ problem: String, cure: String) -> CertificateError {
        CertificateError(file, "\(problem) (\(String(cString: strerror(errno))))", cure: cure)
    }
}
