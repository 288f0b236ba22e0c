import Glibc

/// What the system says of a file.
struct FileStatus {
    let isDirectory: Bool
    /// The lower twelve bits of its mode.
    let permissions: UInt32

    /// - Returns: `nil` when it cannot be looked at.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Of an open file.
    init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
        permissions = UInt32(status.st_mode & 0o7777)
    }

    /// Whether somebody beside its owner has a right to it.
    var isOpenToOthers: Bool { permissions & 0o077 != 0 }
}
