/// Why a command could not do what it was asked: what happened, and what to do, in one line.
package struct AdministrationError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ problem: String, cure: String) { description = "\(problem); \(cure)" }
}
