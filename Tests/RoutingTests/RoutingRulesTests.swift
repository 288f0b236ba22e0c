import Messaging
import Routing
import Testing

@Suite struct RoutingRulesTests {
    static func rules(_ text: String) throws(RulesErrors) -> RoutingRules {
        try RoutingRules(files: [RulesFile(name: "a.yaml", text: text)], directory: "routing-rules") {
            $0 == "Europe/London"
        }
    }

    static func errors(_ files: [RulesFile]) -> [RulesError] {
        do {
            _ = try RoutingRules(files: files, directory: "routing-rules") { $0 == "Europe/London" }
            return []
        } catch {
            return error.errors
        }
    }

    @Test("reads what is set, and keeps the standard for the rest")
    func reads() throws {
        let rules = try Self.rules("version: 1\nsignature: '{landlord}: '\nladder: {landlord_spoke_hours: 48}\n")
        #expect(rules.signature.template == "{landlord}: ")
        #expect(rules.landlordSpokeHours == 48)
        let bare = try Self.rules("version: 1\n")
        #expect(bare.signature == .standard && bare.landlordSpokeHours == 24)
    }

    @Test("settings may be spread over files, read in the order of their names")
    func spreadOverFiles() throws {
        let files = [
            RulesFile(name: "b.yaml", text: "version: 1\nladder:\n  landlord_spoke_hours: 12"),
            RulesFile(name: "a.yaml", text: "version: 1\nsignature: \"{landlord} writes: \""),
        ]
        let rules = try RoutingRules(files: files, directory: "routing-rules") { $0 == "Europe/London" }
        #expect(rules.signature.template == "{landlord} writes: " && rules.landlordSpokeHours == 12)
        #expect(
            try RoutingRules(files: files.reversed(), directory: "routing-rules") { $0 == "Europe/London" } == rules)
    }

    @Test("the digest tells files apart")
    func digests() throws {
        let one = try Self.rules("version: 1\n")
        #expect(try Self.rules("version: 1\n").digest == one.digest)
        #expect(try Self.rules("version: 1\n# a comment\n").digest != one.digest)
        #expect(one.digest != RoutingRules.standard.digest)
    }

    /// A text, and the one error it gets: place, offending text, a word of the problem.
    struct Mistake: CustomTestStringConvertible, Sendable {
        var text: String
        var line: Int?
        var column: Int?
        var offending: String?
        var problem: String

        init(_ text: String, _ line: Int?, _ column: Int?, _ offending: String?, _ problem: String) {
            (self.text, self.line, self.column, self.offending, self.problem) = (text, line, column, offending, problem)
        }

        var testDescription: String { String(text.prefix(60)) }
    }

    static let mistakes: [Mistake] = [
        Mistake("version: 1\nsignatur: x", 2, 1, "signatur", "unknown key in a rules file"),
        Mistake("version: 1\nladder:\n  landlord_spoke_hour: 3", 3, 3, "landlord_spoke_hour", "unknown key in ladder"),
        Mistake("version: 1\n? [a, b]\n: 1", 2, 3, nil, "unknown key"),
        Mistake("signature: '{landlord}'", 1, 1, nil, "'version' is missing"),
        Mistake("version: 2", 1, 10, "2", "'version' is out of range"),
        Mistake("version: \"1\"", 1, 10, "1", "'version' must be a whole number"),
        Mistake("version: 1.0", 1, 10, "1.0", "'version' must be a whole number"),
        Mistake("version:", 1, 9, "", "'version' must be a whole number"),
        Mistake("version: 1\nsignature: [a]", 2, 12, nil, "'signature' must be a text"),
        Mistake("version: 1\nsignature: 12", 2, 12, "12", "'signature' must be a text"),
        Mistake("version: 1\nsignature: yes", 2, 12, "yes", "'signature' must be a text"),
        Mistake("version: 1\nsignature:", 2, 11, "", "'signature' must be a text"),
        Mistake("version: 1\nsignature: From ZenRent", 2, 12, "From ZenRent", "does not contain {landlord}"),
        Mistake("version: 1\nsignature: \"{landlord}\\0\"", 2, 12, "{landlord}\\0", "control characters"),
        Mistake(
            "version: 1\nsignature: \"{landlord}\(String(repeating: "x", count: 120))\"", 2, 12, nil,
            "has 130 characters"),
        Mistake("version: 1\nladder: 24", 2, 9, "24", "ladder must be made of 'key: value' lines"),
        Mistake("version: 1\nladder:\n  landlord_spoke_hours: 0", 3, 25, "0", "out of range"),
        Mistake("version: 1\nladder:\n  landlord_spoke_hours: 169", 3, 25, "169", "out of range"),
        Mistake("version: 1\nladder:\n  landlord_spoke_hours: 24h", 3, 25, "24h", "must be a whole number"),
        Mistake(
            "version: 1\nladder:\n  landlord_spoke_hours: 99999999999999999999", 3, 25, "99999999999999999999",
            "must be a whole number"),
        Mistake("- version: 1", 1, 1, nil, "a rules file must be made of 'key: value' lines, not a list"),
        Mistake("just text", 1, 1, "just text", "not a single value"),
        Mistake("", 1, 1, nil, "the file is empty"),
        Mistake("# only a comment\n", 1, 1, nil, "the file is empty"),
        Mistake("version: 1\nversion: 1", 2, 1, "version", "twice"),
        Mistake(
            "version: 1\nladder:\n  landlord_spoke_hours: 1\n\n  'landlord_spoke_hours': 2", 5, 3,
            "landlord_spoke_hours", "twice"),
        Mistake("{version: 1, version: 1}", 1, 2, "version", "twice"),
        Mistake("version: 1\n---\nversion: 1", 2, 1, "---", "not YAML"),
        Mistake("version: 1\nsignature: From {landlord}: \"x\": y", 2, 27, nil, "not YAML"),
        Mistake("version: 1\n\tladder: x", 2, 1, "\\tladder: x", "not YAML"),
        Mistake("version: 1\nladder: {landlord_spoke_hours: 3", 2, 33, nil, "not YAML"),
        Mistake("version: 1\nsignature: \"\u{1}\"", 2, 13, nil, "character YAML does not allow"),
        Mistake("version: &v 1\nladder: *v", 1, 10, "&v", "anchors"),
        Mistake("version: 1\nladder: *v", 2, 9, "ladder: *v", "undefined alias"),
        Mistake("a: &a [x]\nb: &b [*a,*a]\n? *b\n: 1", 1, 4, "&a", "anchors"),
    ]

    @Test("each mistake gets one error with its place", arguments: mistakes)
    func mistakesHavePlaces(mistake: Mistake) throws {
        let errors = Self.errors([RulesFile(name: "a.yaml", text: mistake.text)])
        #expect(errors.count == 1, "\(errors)")
        let error = try #require(errors.first)
        #expect(error.file == "a.yaml")
        #expect(error.line == mistake.line && error.column == mistake.column, "\(error)")
        if let offending = mistake.offending { #expect(error.offendingText == offending) }
        #expect(error.problem.contains(mistake.problem), "\(error)")
        #expect(!error.hint.isEmpty && !error.description.contains("\n"))
    }

    @Test("an error reads as one line with place, cause and cure")
    func description() {
        let errors = Self.errors([RulesFile(name: "a.yaml", text: "version: 1\nsignatur: x")])
        #expect(
            errors.map(\.description) == [
                "a.yaml:2:1: unknown key in a rules file: \"signatur\". Known keys: version, signature, ladder, unknown_sender, rules."
            ])
    }

    @Test("all mistakes are reported at once, file by file")
    func reportsAll() {
        let errors = Self.errors([
            RulesFile(name: "b.yaml", text: "version: 1\nx: 1\nladder: {landlord_spoke_hours: -1}"),
            RulesFile(name: "a.yaml", text: "signature: x"),
        ])
        #expect(errors.map(\.file) == ["a.yaml", "a.yaml", "b.yaml", "b.yaml"])
    }

    @Test("a setting made in two files is refused, naming both")
    func definedTwice() throws {
        let text = "version: 1\nladder:\n  landlord_spoke_hours: 3"
        let errors = Self.errors([
            RulesFile(name: "a.yaml", text: text), RulesFile(name: "b.yaml", text: text),
            RulesFile(name: "c.yaml", text: text),
        ])
        #expect(errors.map(\.file) == ["b.yaml", "c.yaml"])
        #expect(errors.allSatisfy { $0.problem == "'ladder' is already set in a.yaml:3" && $0.line == 3 })
    }

    @Test("a directory without rules is named, with the cure")
    func emptyDirectory() throws {
        let error = try #require(Self.errors([]).first)
        #expect(error.file == "routing-rules" && error.hint.contains("GATEWAY_RULES_DIR"))
        #expect(
            RoutingRules.unreadableDirectory("/x", reason: "No such file or directory").description
                .hasPrefix("/x: the rules directory cannot be read: No such file or directory."))
    }

    @Test(
        "a file that was not or must not be read is one error",
        arguments: [
            (RulesFile.Content.tooLarge(bytes: 10_000_000), "the file has 10000000 bytes"),
            (.unreadable("Permission denied"), "cannot be read: Permission denied"),
        ])
    func unread(content: RulesFile.Content, problem: String) {
        let errors = Self.errors([RulesFile(name: "a.yaml", content: content)])
        #expect(errors.count == 1 && errors[0].problem.contains(problem))
    }

    @Test("a file of more than a mebibyte is refused, one of a mebibyte is read")
    func sizeLimit() {
        let comment =
            [UInt8](repeating: UInt8(ascii: "#"), count: RulesFile.sizeLimit - 11) + Array("\nversion: 1".utf8)
        #expect(Self.errors([RulesFile(name: "a.yaml", content: .bytes(comment))]).isEmpty)
        let errors = Self.errors([RulesFile(name: "a.yaml", content: .bytes(comment + [0x0A]))])
        #expect(errors.map(\.problem) == ["the file has 1048577 bytes, and at most 1048576 are read"])
    }

    @Test("a file that is not UTF-8 is named with the place of its first wrong byte")
    func notUTF8() {
        let bytes = Array("version: 1\n# caf".utf8) + [0xE9, 0x0A]
        let errors = Self.errors([RulesFile(name: "a.yaml", content: .bytes(bytes))])
        #expect(
            errors.count == 1 && errors[0].line == 2 && errors[0].column == 6 && errors[0].offendingText == "byte 0xe9")
    }

    @Test("a file that would grow without end, or nests without end, is refused at once")
    func bombs() {
        // Not arguments of the test: its log would print them.
        for text in [
            "a: &a [x,x,x,x,x,x,x,x,x]\n" + (0..<30).map { "b\($0): &b\($0) [*a,*a,*a,*a,*a,*a,*a]\n" }.joined(),
            "? &a [x]\n: 1\n? [*a, *a]\n: 2",
            String(repeating: "[", count: 100_000), String(repeating: "{a: ", count: 100_000),
            String(repeating: "- ", count: 100_000),
            (0..<2000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
        ] {
            let count = Self.errors([RulesFile(name: "a.yaml", text: text)]).count
            #expect(count == 1)
        }
    }

    @Test("a damaged file is read or refused, each time with a place in it")
    func damagedFiles() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let sound = Array(
            "version: 1\n# caf\u{E9}\nsignature: \"{landlord}: \"\nladder:\n  landlord_spoke_hours: 24\n".utf8)
        let signs = Array("{}[]:,-?!|>&*'\"%@` \n\t#~\r\\\0".utf8) + [0x80, 0xC3, 0xE2, 0xF0, 0xFE, 0xFF, 0x7F]
        for _ in 0..<3000 {
            var bytes = sound
            for _ in 0...Int.random(in: 0..<4, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                let sign = signs[Int.random(in: 0..<signs.count, using: &generator)]
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = sign
                case 1: bytes.insert(sign, at: place)
                default: bytes.remove(at: place)
                }
            }
            let lines = bytes.count { $0 == 0x0A || $0 == 0x0D } + 1
            for error in Self.errors([RulesFile(name: "a.yaml", content: .bytes(bytes))]) {
                let place = "seed \(seed): \(error) in \(String(decoding: bytes, as: UTF8.self))"
                #expect((1...lines).contains(error.line ?? 0) && error.column ?? 0 > 0, "\(place)")
            }
        }
    }

    @Test(
        "an anchor is found wherever a parser could find one",
        arguments: [
            "# a: |\n  b: &x 1", "a: b\n  \"c\nd: &x 1", "!!str \"a # b\": &x 1", "\"a\n \" : &x 1", "\"a\n# b\": &x 1",
            "{\"a\":&x 1}", "[&x 1]", "- &x 1", "? &x 1", "&x 1", "a: !!str &x b", "a:\t&x b", "a: b\r&x c",
            "a: b\u{85}&x c",
        ])
    func anchorsAreFound(text: String) {
        let errors = Self.errors([RulesFile(name: "a.yaml", text: text)])
        #expect(
            errors.count == 1 && errors[0].problem == "YAML anchors are not allowed" && errors[0].offendingText == "&x")
    }

    @Test(
        "signs that begin an anchor are allowed inside quotes, texts and comments",
        arguments: [
            "version: 1 # *not* R&D an alias\nsignature: \"*{landlord}* & co: \"",
            "version: 1\nsignature: From *{landlord}* & co",
            "version: 1\nsignature: 'don''t *panic* & co {landlord}'",
            "version: 1\nsignature: \"a \\\" *b {landlord}\"",
            "version: 1\nsignature: |\n  *{landlord}*\n",
            "version: 1\nsignature: >-\n  & {landlord} & R&D\n\n  *b*\n",
            "version: 1\nsignature: \"{landlord}\n  *continued* \"",
        ])
    func allowedSigns(text: String) throws {
        _ = try Self.rules(text)
    }
}
