/// Why certificates cannot be used or written: the file, what is wrong with it, and what to do.
package struct CertificateError: Error, Sendable, Hashable, CustomStringConvertible {
    package let file: String
    package let problem: String
    package let cure: String

    init(_ file: String, _ problem: String, cure: String) {
        self.file = file
        self.problem = problem
        self.cure = cure
    }

    package var description: String { "\(file): \(problem); \(cure)" }
}
