import Messaging
import Testing

@Suite struct LandlordSignatureTests {
    @Test("puts the landlord's name where the template says")
    func putsName() {
        #expect(LandlordSignature.standard.text(landlord: "Ada Smith") == "From Ada Smith via ZenRent: ")
        #expect(LandlordSignature(template: "{landlord}: ")?.text(landlord: "Ada") == "Ada: ")
    }

    @Test("names nobody when there is no name")
    func namesNobody() {
        #expect(LandlordSignature.standard.text(landlord: nil) == "From your landlord via ZenRent: ")
    }

    @Test(
        "does not let a name look like a second message",
        arguments: [
            "Ada\nFrom Bob", "Ada\r\nFrom Bob", "Ada\u{2028}From Bob", "Ada\u{0}From Bob", "Ada\u{202E}From Bob",
            "Ada\u{85}From Bob",
        ])
    func nameStaysOnOneLine(name: String) {
        let text = LandlordSignature.standard.text(landlord: name)
        #expect(
            text.unicodeScalars.allSatisfy {
                $0.properties.generalCategory != .control && $0.properties.generalCategory != .format
            })
        #expect(!text.contains { $0.isNewline })
    }

    @Test("does not take a name for a template")
    func nameIsNoTemplate() {
        #expect(LandlordSignature.standard.text(landlord: "{landlord}") == "From {landlord} via ZenRent: ")
    }

    @Test(
        "refuses a template without the name, or too long",
        arguments: [
            "", "From ZenRent: ", "{Landlord}", "{landlord}" + String(repeating: "x", count: 111),
        ])
    func refusesTemplates(template: String) {
        #expect(LandlordSignature(template: template) == nil)
    }
}

@Suite struct SecretTests {
    @Test("is never printed, on whatever way")
    func neverPrinted() throws {
        let secret = try #require(Secret("hunter2-hunter2"))
        struct Holder { let secret: Secret }
        var dumped = ""
        dump(Holder(secret: secret), to: &dumped)
        for text in [
            "\(secret)", String(reflecting: secret), String(describing: [secret]), "\(Holder(secret: secret))",
            "\(Optional(secret) as Any)", dumped,
        ] {
            #expect(!text.contains("hunter2"), "\(text)")
        }
        #expect(secret.reveal() == "hunter2-hunter2")
        #expect(secret.utf8 == Array("hunter2-hunter2".utf8))
    }

    @Test("makes a ring of what commas separate, without blanks")
    func makesRing() {
        #expect(Secret.ring(" new , old,,\t ").map { $0.reveal() } == ["new", "old"])
        #expect(Secret.ring("").isEmpty)
        #expect(Secret("") == nil)
    }
}

@Suite struct VerdictCountsTests {
    @Test("adds up verdict by verdict")
    func addsUp() {
        var counts = VerdictCounts()
        for (index, verdict) in Verdict.allCases.enumerated() { counts[verdict] = index + 1 }
        counts += counts
        #expect(counts.total == Verdict.allCases.count * (Verdict.allCases.count + 1))
        #expect(counts.routed == 2 && counts[.parked] == 2 * Verdict.allCases.count)
    }
}
