import Testing

@testable import Routing

/// What is refused about files as a whole, however they came.
@Suite struct RulesFilesTests {
    private func error(_ files: [RulesFile]) -> String? {
        do {
            _ = try RoutingRules(files: files, directory: "rules", isTimeZone: { _ in true })
            return nil
        } catch {
            return error.errors.count == 1 ? error.description : "\(error.errors.count) errors"
        }
    }

    @Test("two files of one name are one error")
    func twice() {
        let file = RulesFile(name: "a.yaml", text: "version: 1\n")
        #expect(error([file, file])?.contains("two files of this name") == true)
    }

    @Test("more files or bytes than anybody writes are one error")
    func tooMuch() {
        let many = (0...RulesFile.filesMax).map { RulesFile(name: "\($0).yaml", text: "version: 1\n") }
        #expect(error(many)?.contains("1001 rules files") == true)
        #expect(error(Array(many.dropFirst())) == nil)
        let mebibyte = "version: 1\n" + String(repeating: "#", count: RulesFile.sizeLimit - 11)
        let large = (0..<17).map { RulesFile(name: "\($0).yaml", text: mebibyte) }
        #expect(error(large)?.contains("at most 1000 with 16777216 bytes") == true)
    }

    @Test("more mistakes than anybody mends are not all kept")
    func mistakes() {
        let text = "version: 1\nrules: [" + String(repeating: "7,", count: 20_000) + "7]\n"
        let files = ["a.yaml", "b.yaml"].map { RulesFile(name: $0, text: text) }
        let errors = #expect(throws: RulesErrors.self) {
            _ = try RoutingRules(files: files, directory: "rules", isTimeZone: { _ in true })
        }
        #expect(errors?.errors.count == RulesReader.errorsMax + 1)
        #expect(errors?.errors.last?.problem.contains("the rest is not named") == true)
    }

    @Test("a thousand errors read as fifty lines and how many more there are")
    func manyErrors() {
        let errors = RulesErrors((0..<1000).map { RulesError(file: "a.yaml", line: $0, problem: "p", hint: "h") })
        let lines = errors.description.split(separator: "\n")
        #expect(lines.count == 51 && lines.last?.contains("950 more errors") == true)
    }
}
