import Foundation
import Logging
import Messaging
import Operations
import Routing
import Synchronization
import Testing

@testable import Gateway

@Suite struct RulesLoaderTests {
    private static func rules(hours: Int) -> String { "version: 1\nladder:\n  landlord_spoke_hours: \(hours)\n" }

    @Test("swaps the rules whole, and counts a generation only for a change")
    func reload() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        try directory.write("b.yaml", "version: 1\nsignature: \"{landlord}: \"\n")
        try directory.write("notes.txt", "no rules")
        let loader = try RulesLoader(directory: directory.path)
        #expect(loader.rules.landlordSpokeHours == 5 && loader.rules.signature.template == "{landlord}: ")
        #expect(try await loader.reload().generation == 1)
        try directory.write("a.yaml", Self.rules(hours: 6))
        #expect(try await loader.reload().generation == 2)
        #expect(loader.rules.landlordSpokeHours == 6)
    }

    @Test("keeps the rules in force when a file is wrong, and says where")
    func broken() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        let loader = try RulesLoader(directory: directory.path)
        try directory.write("a.yaml", "version: 1\nladder:\n  landlord_spoke_hours: never\n")
        let errors = await #expect(throws: RulesErrors.self) { try await loader.reload() }
        #expect(errors?.description.hasPrefix("a.yaml:3:25: ") == true)
        #expect(loader.rules.landlordSpokeHours == 5)
        try directory.write("a.yaml", Self.rules(hours: 7))
        #expect(try await loader.reload().generation == 2)
        #expect(loader.rules.landlordSpokeHours == 7)
    }

    @Test("keeps the rules in force when the directory is emptied or taken away")
    func gone() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("a.yaml", Self.rules(hours: 5))
        let loader = try RulesLoader(directory: directory.path)
        try FileManager.default.removeItem(atPath: file)
        await #expect(throws: RulesErrors.self) { try await loader.reload() }
        try FileManager.default.removeItem(atPath: directory.path)
        let errors = await #expect(throws: RulesErrors.self) { try await loader.reload() }
        #expect(errors?.description.contains("No such file or directory") == true)
        #expect(loader.rules.landlordSpokeHours == 5)
    }

    @Test("tells what changes before it swaps, and to the rules that are live until then")
    func compares() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        let lines = LoggedLines()
        let loader = try RulesLoader(directory: directory.path, logger: lines.logger)
        try directory.write("a.yaml", Self.rules(hours: 6))
        _ = try await loader.reload(by: [.signal]) { live, candidate in
            #expect(live.generation == 1 && live.rules.landlordSpokeHours == 5)
            #expect(candidate.generation == 2 && candidate.rules.landlordSpokeHours == 6)
            #expect(loader.generation == 1)
            var diff = RulesDiff(before: live.rules, after: candidate.rules)
            (diff.replayed, diff.changed, diff.counts) = (9, 2, [.destination: 2])
            return .made(diff)
        }
        #expect(loader.generation == 2)
        let line = try #require(lines.all.first { $0.contains("rules are about to change") })
        #expect(line.contains("changed=2") && line.contains("replayed=9") && line.contains("changed_destination=2"))
        #expect(line.contains("changed_actions=0") && line.contains("ladder.landlord_spoke_hours"))
    }

    @Test("swaps all the same when nothing could be compared, and says why not")
    func unmade() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        let lines = LoggedLines()
        let loader = try RulesLoader(directory: directory.path, logger: lines.logger)
        try directory.write("a.yaml", Self.rules(hours: 6))
        #expect(try await loader.reload { _, _ in .unmade(reason: "away") }.generation == 2)
        #expect(lines.all.contains { $0.contains("diff=not made: away") })
        #expect(loader.rules.landlordSpokeHours == 6)
    }

    @Test("compares nothing where nothing changed, or something is wrong")
    func notCompared() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        let loader = try RulesLoader(directory: directory.path)
        let compare: RulesLoader.Comparison = { _, _ in
            Issue.record("compared")
            return .unmade(reason: "")
        }
        _ = try await loader.reload(comparing: compare)
        try directory.write("a.yaml", "version: 7\n")
        await #expect(throws: RulesErrors.self) { try await loader.reload(comparing: compare) }
    }

    @Test("keeps who loaded the rules, what failed last, and every load until it is on record")
    func standing() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        let admin = UniqueID(high: 1, low: 2)
        let loader = try RulesLoader(directory: directory.path, now: { Timestamp(seconds: 1000) })
        #expect(loader.standing.loadedBy == "start" && loader.standing.failure == nil)
        try directory.write("a.yaml", "version: 7\nladder: 1\n")
        await #expect(throws: RulesErrors.self) { try await loader.reload(by: [.signal]) }
        try directory.write("a.yaml", Self.rules(hours: 6))
        let actor = ReloadActor(name: "administrator", id: admin)
        _ = try await loader.reload(by: [.signal, actor])
        _ = try await loader.reload(by: [.signal])
        let standing = loader.standing
        #expect(standing.loadedBy == "SIGHUP, administrator" && standing.loadedAt == Timestamp(seconds: 1000))
        #expect(standing.failure?.errors == 2 && standing.failure?.by == "SIGHUP")
        #expect(standing.failure?.first.hasPrefix("a.yaml:1:10: ") == true)
        #expect(standing.events.map(\.outcome) == ["swapped", "rejected", "swapped", "unchanged"])
        #expect(standing.events.map(\.actorID) == [nil, nil, admin, nil])
        loader.drop(Array(standing.events.prefix(3)))
        #expect(loader.standing.events.map(\.outcome) == ["unchanged"])
        for _ in 0..<200 { _ = try await loader.reload() }
        #expect(loader.standing.events.count == 100)
    }

    @Test("refuses a rule that forwards to an endpoint no setting defines, at the start and at a reload")
    func downstreams() async throws {
        func rules(_ name: String) -> String {
            "version: 1\nrules:\n  - name: a\n    then: [tag: x, forward: \(name)]\n"
        }
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", rules("crm"))
        let errors = #expect(throws: RulesErrors.self) { _ = try RulesLoader(directory: directory.path) }
        #expect(errors?.description.hasPrefix("a.yaml:4:29: no setting defines this endpoint: \"crm\". ") == true)
        #expect(errors?.description.contains("GATEWAY_DOWNSTREAMS=") == true)
        let loader = try RulesLoader(directory: directory.path, downstreams: ["crm", "desk"])
        try directory.write("a.yaml", rules("crn"))
        let typo = await #expect(throws: RulesErrors.self) { try await loader.reload() }
        #expect(typo?.description.hasSuffix("GATEWAY_DOWNSTREAMS defines: crm, desk.") == true)
        #expect(loader.rules.rules.rules.map(\.actions) == [[.tag("x"), .forward("crm")]])
        let check = try await RulesAdministration(
            try await SettingsReader(
                environment: [
                    "GATEWAY_RULES_DIR": directory.path, "GATEWAY_DOWNSTREAMS": "desk=https://x.example",
                ])
        ).check()
        #expect(check.errors.map(\.line) == [4] && check.errors.map(\.text) == ["crn"])
    }

    @Test("reads no file beyond its limit")
    func large() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", "version: 1\n" + String(repeating: "#\n", count: RulesFile.sizeLimit / 2))
        let errors = #expect(throws: RulesErrors.self) { _ = try RulesLoader(directory: directory.path) }
        #expect(errors?.errors.first?.file == "a.yaml")
    }

    @Test("names every mistake of every file for `rules check`, and what holds when there is none")
    func check() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", "version: 2\nsignature: \"nobody\"\n")
        try directory.write("b.yaml", "version: 1\nladders: {}\n")
        let settings = try await SettingsReader(environment: ["GATEWAY_RULES_DIR": directory.path])
        let wrong = try await RulesAdministration(settings).check()
        #expect(wrong.rules == nil)
        #expect(wrong.errors.map(\.file) == ["a.yaml", "a.yaml", "b.yaml"])
        #expect(wrong.errors.allSatisfy { $0.line != nil && $0.column != nil && $0.text != nil && !$0.hint.isEmpty })
        try directory.write("a.yaml", Self.rules(hours: 9))
        try directory.write("b.yaml", "version: 1\n")
        let right = try await RulesAdministration(settings).check()
        #expect(right.errors.isEmpty && right.rules?.landlordSpokeHours == 9)
        #expect(right.rules?.signature == LandlordSignature.standard.template)
    }
}

/// What was logged, a line each with its metadata.
final class LoggedLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LoggedLines
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            let pairs = all.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
            lines.lines.withLock { $0.append("\(event.level) \(event.message) \(pairs)") }
        }
    }
}
