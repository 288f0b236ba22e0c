import FoundationEssentials

/// What `--json` prints.
package enum AdministrationText {
    /// One line of JSON. Names are in snake case and sorted, so that the same answer is the same text.
    package static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
