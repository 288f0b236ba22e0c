import Messaging
import Testing

@Suite struct PhoneNumberTests {
    @Test(
        "reads what people type",
        arguments: [
            ("0044 7911 123456", 447_911_123_456),
            ("+44 (0) 7911 123456", 447_911_123_456),
            ("0044 (0)7911 123456", 447_911_123_456),
            ("07911 123456", 447_911_123_456),
            ("(07911) 123-456", 447_911_123_456),
            ("7911123456", 447_911_123_456),
            ("447911123456", 447_911_123_456),
            ("+447911123456", 447_911_123_456),
            ("\u{202A}+44 7911 123456\u{202C}", 447_911_123_456),
            ("+44\u{A0}7911\u{2009}123\u{202F}456", 447_911_123_456),
            ("+44.7911/123456", 447_911_123_456),
            ("\u{FF0B}４４７９１１１２３４５６", 447_911_123_456),
            ("٠٧٩١١١٢٣٤٥٦", 447_911_123_456),
            ("+44\u{2011}7911\u{2013}123456", 447_911_123_456),
            ("5215512345678", 5_215_512_345_678),
            ("+5491123456789", 5_491_123_456_789),
            ("+390612345678", 390_612_345_678),
            ("+12025550123", 12_025_550_123),
            ("+999999999999999", 999_999_999_999_999),
        ] as [(String, UInt64)])
    func readsWhatPeopleType(text: String, digits: UInt64) {
        #expect(PhoneNumber(parsing: text)?.digits == digits)
    }

    @Test(
        "refuses what is no single number",
        arguments: [
            "", " ", "+", "n/a", "none", "123", "+123", "+0123456789", "0000 7911 123456",
            "07911 123456 / 07911 654321",
            "07911123456 ext 4", "+44 7911 +123456", "++447911123456", "+4479111234567890", "4479111234567890123",
            "447911123456@lid", "07911\n123456",
        ])
    func refusesWhatIsNoNumber(text: String) {
        #expect(PhoneNumber(parsing: text) == nil)
    }

    @Test("uses the default country for national forms only")
    func usesDefaultCountryForNationalForms() {
        #expect(PhoneNumber(parsing: "030 1234567", defaultCountryCode: "49")?.digits == 49_301_234_567)
        #expect(PhoneNumber(parsing: "+44 7911 123456", defaultCountryCode: "49")?.digits == 447_911_123_456)
        #expect(PhoneNumber(parsing: "447911123456", defaultCountryCode: "49")?.digits == 447_911_123_456)
    }

    @Test(
        "holds 8 to 15 digits",
        arguments: [
            (9_999_999, false), (10_000_000, true), (999_999_999_999_999, true), (1_000_000_000_000_000, false),
            (0, false),
        ] as [(UInt64, Bool)])
    func holdsEightToFifteenDigits(digits: UInt64, isNumber: Bool) {
        #expect((PhoneNumber(digits: digits) != nil) == isNumber)
    }

    @Test("shows others the country and two digits")
    func masks() {
        #expect(PhoneNumber(digits: 447_911_123_456)?.masked == "+44…56")
    }
}

@Suite struct PhoneKeyTests {
    @Test(
        "folds the forms of one number together, and no others",
        arguments: [
            (5_215_512_345_678, 525_512_345_678),  // Mexico, as WhatsApp registers it
            (525_512_345_678, 525_512_345_678),  // Mexico, as dialled
            (5_491_123_456_789, 541_123_456_789),  // Argentina, a mobile from abroad
            (541_123_456_789, 541_123_456_789),
            (5_511_987_654_321, 551_187_654_321),  // Brazil with the ninth digit
            (551_187_654_321, 551_187_654_321),
            (5_511_887_654_321, 5_511_887_654_321),  // thirteen digits, but not a ninth digit
            (5_221_234_567_890, 5_221_234_567_890),  // Mexico, thirteen digits without the 1
            (447_911_123_456, 447_911_123_456),
            (52_155_123_456, 52_155_123_456),  // too short to fold
        ] as [(UInt64, UInt64)])
    func folds(digits: UInt64, key: UInt64) throws {
        #expect(try #require(PhoneNumber(digits: digits)).key == PhoneKey(folded: key))
    }

    @Test("folding a folded key changes nothing")
    func foldingIsIdempotent() {
        var generator = SystemRandomNumberGenerator()
        for country in [521, 549, 55, 52, 54, 44, 1] as [UInt64] {
            for _ in 0..<1000 {
                var digits = country
                while digits < 100_000_000_000 || (digits < 1_000_000_000_000 && Bool.random(using: &generator)) {
                    digits = digits * 10 + UInt64.random(in: 0...9, using: &generator)
                }
                let key = PhoneKey(folding: digits)
                let again = PhoneKey(folding: key.value)
                #expect(again == key, "\(digits)")
            }
        }
    }
}
