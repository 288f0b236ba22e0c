import Foundation
import Glibc
import Messaging
import Routing
import Testing

@testable import Gateway

/// Directories that cannot be rules: one clear error each.
@Suite struct RulesDirectoryTests {
    private func errors(_ directory: String) -> [RulesError] {
        do {
            _ = try RulesLoader(directory: directory)
            return []
        } catch {
            return error.errors
        }
    }

    @Test("a directory that is not there, or is a file")
    func missing() throws {
        let directory = try TemporaryDirectory()
        let missing = errors(directory.path + "/nowhere")
        #expect(missing.count == 1 && missing[0].description.contains("No such file or directory"))
        let file = try directory.write("a.yaml", "version: 1\n")
        #expect(errors(file).map { $0.description.contains("Not a directory") } == [true])
    }

    @Test("a directory without a rules file")
    func empty() throws {
        let directory = try TemporaryDirectory()
        try directory.write("readme.txt", "version: 1\n")
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].file == directory.path && errors[0].hint.contains("GATEWAY_RULES_DIR"))
    }

    @Test("a file that cannot be read")
    func unreadable() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path + "/a.yaml", withIntermediateDirectories: false)
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].file == "a.yaml" && errors[0].problem.contains("cannot be read"))
    }

    @Test("a pipe, a device and a link to nowhere are no files, and nobody waits for them")
    func noFiles() throws {
        let directory = try TemporaryDirectory()
        #expect(mkfifo(directory.path + "/pipe.yaml", 0o600) == 0)
        #expect(symlink("/dev/zero", directory.path + "/zero.yaml") == 0)
        #expect(symlink("nowhere", directory.path + "/link.yaml") == 0)
        let errors = errors(directory.path)
        #expect(errors.map(\.file) == ["link.yaml", "pipe.yaml", "zero.yaml"])
        #expect(errors[0].problem.contains("No such file") && errors[1].problem.contains("it is no file"))
        #expect(errors[2].problem.contains("it is no file"))
    }

    @Test("a link to a file is that file, with its limit")
    func links() throws {
        let directory = try TemporaryDirectory()
        let elsewhere = try TemporaryDirectory()
        let large = try elsewhere.write("large", String(repeating: "#\n", count: RulesFile.sizeLimit))
        let good = try elsewhere.write("good", "version: 1\n")
        #expect(symlink(good, directory.path + "/good.yaml") == 0)
        #expect(errors(directory.path).isEmpty)
        #expect(symlink(large, directory.path + "/large.yaml") == 0)
        #expect(errors(directory.path).map(\.file) == ["large.yaml"])
    }

    @Test("more files than anybody writes are one error, and not read")
    func many() throws {
        let directory = try TemporaryDirectory()
        for number in 0...RulesFile.filesMax { try directory.write("\(number).yaml", "version: 1\n") }
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].file == directory.path && errors[0].problem.contains("1001 rules files"))
    }

    @Test("a setting that two files make is one error")
    func settingTwice() throws {
        let directory = try TemporaryDirectory()
        for name in ["a.yaml", "b.yaml"] { try directory.write(name, "version: 1\nladder: {ask: false}\n") }
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].file == "b.yaml" && errors[0].problem.contains("a.yaml:2"))
    }

    @Test("a file of ten megabytes is not read at all")
    func large() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", "version: 1\n" + String(repeating: "# all is well\n", count: 750_000))
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].problem.contains("at most 1048576"))
    }

    @Test("a file whose aliases would grow to gigabytes")
    func bomb() throws {
        let directory = try TemporaryDirectory()
        var lines = ["version: 1", "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
        for level in 1..<10 {
            lines.append(
                "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", "))]")
        }
        try directory.write("a.yaml", lines.joined(separator: "\n"))
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].line == 2 && errors[0].column == 5 && errors[0].offendingText == "&a0")
    }

    @Test("files that nest as deep as the parser follows are refused on the thread that reads them, too")
    func deep() async throws {
        for depth in [900, 990, 1000, 5000] {
            for text in [
                "version: 1\nrules: " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth),
                "version: 1\nrules:\n" + (1..<depth).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
            ] {
                let directory = try TemporaryDirectory()
                try directory.write("a.yaml", text)
                guard
                    case .failure(let error) = await RulesFiles.load(
                        directory: directory.path, generation: 1, downstreams: nil)
                else {
                    Issue.record("\(depth) levels are read")
                    continue
                }
                #expect(error.errors.count == 1)
            }
        }
    }

    @Test("a name that two rules have, in two files")
    func duplicate() throws {
        let directory = try TemporaryDirectory()
        let rule = "version: 1\nrules:\n  - name: same\n    then: [hold]\n"
        try directory.write("a.yaml", rule)
        try directory.write("b.yaml", rule)
        let errors = errors(directory.path)
        #expect(errors.count == 1 && errors[0].file == "b.yaml" && errors[0].line == 3 && errors[0].column == 11)
        #expect(errors[0].problem.contains("a.yaml:3"))
    }
}

/// What cannot be rules is refused the same at every door: start, check, diff and reload.
@Suite struct RulesDoorsTests {
    enum Bad: CaseIterable {
        case missing, empty, unreadable, duplicate, large, bomb

        func make(in directory: String) throws {
            func write(_ name: String, _ text: String) throws {
                try text.write(toFile: directory + "/" + name, atomically: false, encoding: .utf8)
            }
            switch self {
            case .missing: try FileManager.default.removeItem(atPath: directory)
            case .empty: break
            case .unreadable:
                try FileManager.default.createDirectory(
                    atPath: directory + "/a.yaml", withIntermediateDirectories: false)
            case .duplicate:
                for name in ["a.yaml", "b.yaml"] {
                    try write(name, "version: 1\nrules: [{name: same, then: [hold]}]\n")
                }
            case .large: try write("a.yaml", String(repeating: "# all is well\n", count: 750_000))
            case .bomb: try write("a.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
            }
        }
    }

    @Test(arguments: Bad.allCases)
    func oneErrorEach(_ bad: Bad) async throws {
        let directory = try TemporaryDirectory()
        try bad.make(in: directory.path)
        let start = #expect(throws: RulesErrors.self) { _ = try RulesLoader(directory: directory.path) }
        let error = try #require(start?.errors.first)
        #expect(start?.errors.count == 1 && !error.hint.isEmpty)
        // No database is needed, or asked, to refuse rules.
        let settings = try await SettingsReader(environment: [
            "GATEWAY_RULES_DIR": directory.path, "DATABASE_URL": "postgres://u@127.0.0.1:1/x",
        ])
        let rules = try RulesAdministration(settings)
        let checked = await rules.check()
        #expect(checked.errors.map(\.summary) == [error.description] && checked.errorCount == 1)
        guard case .wrong(let refused) = try await rules.diff(candidate: nil, base: nil, last: 10) else {
            Issue.record("compared")
            return
        }
        #expect(refused == checked)
        let live = try TemporaryDirectory()
        try live.write("a.yaml", "version: 1\n")
        let loader = try RulesLoader(directory: live.path)
        try FileManager.default.removeItem(atPath: live.path)
        try FileManager.default.createDirectory(atPath: live.path, withIntermediateDirectories: true)
        try bad.make(in: live.path)
        let reload = await #expect(throws: RulesErrors.self) { try await loader.reload() }
        #expect(reload?.errors.count == 1 && loader.generation == 1)
        #expect(loader.standing.failure?.first == reload?.errors.first?.description)
    }
}

/// The files that come with the gateway.
@Suite struct ShippedRulesTests {
    private static let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "routing-rules").path

    private func matched(_ text: String, state: RouteState = .known) throws -> [String] {
        let inForce = try RulesLoader(directory: Self.directory).inForce
        let subject = RuleSubject(
            channel: .whatsApp, endpoint: "1", state: state, type: "text", text: text, at: Timestamp(seconds: 0))
        return inForce.rules.rules.matches(subject) { inForce.secondsFromUTC($0, subject.at) }.map(\.name)
    }

    @Test("they say what they are made for")
    func settings() throws {
        let rules = try RulesLoader(directory: Self.directory).rules
        #expect(rules.asks && rules.landlordSpokeHours == 24 && rules.afterTimeout == .hold)
        #expect(rules.unknownSenderReply == nil)
        #expect(rules.question == .standard && rules.signature == .standard)
    }

    @Test(
        "words in several languages are found, and what only looks like them is not",
        arguments: [
            ("STOP", ["stop"]), ("Stop!", ["stop"]), ("arrêter", ["stop"]), ("ARRETER", ["stop"]), ("Стоп.", ["stop"]),
            ("توقف", ["stop"]), ("停止", ["stop"]), ("abmelden", ["stop"]), ("start", ["start"]),
            ("please stop by tomorrow", []), ("The bus stop", []), ("cancel", []),
            ("There is a GAS LEAK in the kitchen", ["emergency"]), ("Es brennt!", ["emergency"]),
            ("Feuer", ["emergency"]), ("il y a une fuite de gaz", ["emergency"]), ("Пожар!", ["emergency"]),
            ("The gas bill, no leak", []), ("Good morning", []),
        ] as [(String, [String])])
    func words(text: String, rules: [String]) throws { #expect(try matched(text) == rules) }

    @Test(
        "what is commented out becomes rules when the # goes", arguments: ["office-hours.yaml", "unknown-sender.yaml"])
    func commented(name: String) throws {
        let text = try String(contentsOfFile: Self.directory + "/" + name, encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let first = try #require(lines.firstIndex { $0.hasPrefix("version: 1") })
        let live = lines[first...].map { $0.hasPrefix("# ") ? String($0.dropFirst(2)) : String($0) }
        let directory = try TemporaryDirectory()
        try directory.write(name, live.joined(separator: "\n"))
        let rules = try RulesLoader(directory: directory.path).rules
        #expect(!rules.rules.isEmpty)
        #expect((rules.unknownSenderReply != nil) == (name == "unknown-sender.yaml"))
    }
}
