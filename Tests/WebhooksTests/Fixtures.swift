import Foundation
import Testing

@testable import Webhooks

/// The sample files under `Tests/Fixtures`.
enum Fixtures {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures")

    static let metaSamples = files(in: "meta-samples")
    static let wahaSamples = files(in: "waha-samples")
    static let jsonTestSuite = files(in: "json-test-suite/test_parsing")

    /// What `script/fuzz` starts from.
    static let fuzzingCorpus = files(in: "../../fuzzing/corpus", ending: "")

    static func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: root.appending(path: path)))
    }

    private static func files(in directory: String, ending suffix: String = ".json") -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.appending(path: directory).path)) ?? []
        return names.filter { suffix.isEmpty || $0.hasSuffix(suffix) }.sorted().map { directory + "/" + $0 }
    }
}

extension JSONValue {
    /// Whether this says the same as what Foundation read.
    func means(_ other: Any) -> Bool {
        switch other {
        case let other as [String: Any]:
            let names = Set(members.map { $0.key.text })
            return isObject && names.count == other.count
                && members.allSatisfy { member in
                    guard let text = member.key.text, let expected = other[text] else { return false }
                    // An earlier member of the same name does not count.
                    return self.last(named: text)?.index != member.value.index || member.value.means(expected)
                }
        case let other as [Any]:
            let elements = Array(elements)
            return isArray && elements.count == other.count && zip(elements, other).allSatisfy { $0.means($1) }
        case let other as String: return isString && text == other
        case let other as NSNumber:
            if isNumber {
                let value = Double(scalarText ?? "") ?? .nan
                return abs(value - other.doubleValue) <= abs(value) * 1e-12
            }
            return String(decoding: slice, as: UTF8.self) == (other.boolValue ? "true" : "false")
        default: return isNull && other is NSNull
        }
    }

    private func last(named name: String) -> JSONValue? {
        members.reduce(nil) { $1.key.text == name ? $1.value : $0 }
    }
}

/// Throws what the scanner throws.
func scan(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { bytes in try withJSONDocument(bytes) { _ in } }
}

func accepts(_ bytes: [UInt8]) -> Bool {
    (try? scan(bytes)) != nil
}
