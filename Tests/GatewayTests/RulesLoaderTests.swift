import Foundation
import Messaging
import Operations
import Routing
import Testing

@testable import Gateway

@Suite struct RulesLoaderTests {
    private static func rules(hours: Int) -> String { "version: 1\nladder:\n  landlord_spoke_hours: \(hours)\n" }

    @Test("swaps the rules whole, and counts a generation only for a change")
    func reload() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        try directory.write("b.yaml", "version: 1\nsignature: \"{landlord}: \"\n")
        try directory.write("notes.txt", "no rules")
        let loader = try RulesLoader(directory: directory.path)
        #expect(loader.rules.landlordSpokeHours == 5 && loader.rules.signature.template == "{landlord}: ")
        #expect(try loader.reload().generation == 1)
        try directory.write("a.yaml", Self.rules(hours: 6))
        #expect(try loader.reload().generation == 2)
        #expect(loader.rules.landlordSpokeHours == 6)
    }

    @Test("keeps the rules in force when a file is wrong, and says where")
    func broken() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.rules(hours: 5))
        let loader = try RulesLoader(directory: directory.path)
        try directory.write("a.yaml", "version: 1\nladder:\n  landlord_spoke_hours: never\n")
        let errors = #expect(throws: RulesErrors.self) { try loader.reload() }
        #expect(errors?.description.hasPrefix("a.yaml:3:25: ") == true)
        #expect(loader.rules.landlordSpokeHours == 5)
        try directory.write("a.yaml", Self.rules(hours: 7))
        #expect(try loader.reload().generation == 2)
        #expect(loader.rules.landlordSpokeHours == 7)
    }

    @Test("keeps the rules in force when the directory is emptied or taken away")
    func gone() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("a.yaml", Self.rules(hours: 5))
        let loader = try RulesLoader(directory: directory.path)
        try FileManager.default.removeItem(atPath: file)
        #expect(throws: RulesErrors.self) { try loader.reload() }
        try FileManager.default.removeItem(atPath: directory.path)
        let errors = #expect(throws: RulesErrors.self) { try loader.reload() }
        #expect(errors?.description.contains("No such file or directory") == true)
        #expect(loader.rules.landlordSpokeHours == 5)
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
        let wrong = try RulesAdministration(settings).check()
        #expect(wrong.rules == nil)
        #expect(wrong.errors.map(\.file) == ["a.yaml", "a.yaml", "b.yaml"])
        #expect(wrong.errors.allSatisfy { $0.line != nil && $0.column != nil && $0.text != nil && !$0.hint.isEmpty })
        try directory.write("a.yaml", Self.rules(hours: 9))
        try directory.write("b.yaml", "version: 1\n")
        let right = try RulesAdministration(settings).check()
        #expect(right.errors.isEmpty && right.rules?.landlordSpokeHours == 9)
        #expect(right.rules?.signature == LandlordSignature.standard.template)
    }
}
