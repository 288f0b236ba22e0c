import Testing

@testable import Messaging

@Suite struct UniqueIDTests {
    @Test("reads what it writes")
    func roundTrip() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<1000 {
            let id = UniqueID(high: generator.next(), low: generator.next())
            #expect(UniqueID(id.description) == id)
            #expect(UniqueID(id.description.uppercased()) == id)
            #expect(UniqueID(bytes: id.bytes) == id)
        }
    }

    @Test("writes the form of RFC 9562")
    func writesStandardForm() {
        let id = UniqueID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)
        #expect(id.description == "00112233-4455-6677-8899-aabbccddeeff")
        #expect(id.bytes.first == 0 && id.bytes.last == 0xFF && id.bytes.count == 16)
    }

    @Test(
        "refuses every other form",
        arguments: [
            "", "00112233445566778899aabbccddeeff", "{00112233-4455-6677-8899-aabbccddeeff}",
            "00112233-4455-6677-8899-aabbccddeefg", "00112233-4455-6677-8899-aabbccddeef",
            "0011223-34455-6677-8899-aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeeff ", "00112233-4455-6677-8899-aabbccddé",
        ])
    func refusesOtherForms(text: String) {
        #expect(UniqueID(text) == nil)
    }

    @Test("sorts by the time it was made at")
    func sortsByTime() {
        var generator = SystemRandomNumberGenerator()
        let early = UniqueID.make(at: Timestamp(seconds: 1_700_000_000), using: &generator)
        let late = UniqueID.make(at: Timestamp(microseconds: 1_700_000_000_001_000), using: &generator)
        #expect(early < late)
        #expect(early.high >> 16 == 1_700_000_000_000)
    }

    @Test("carries version 7 and the RFC's variant, whatever the random bits", arguments: [0, UInt64.max])
    func carriesVersionAndVariant(random: UInt64) {
        let id = UniqueID(at: Timestamp(seconds: 1), random: (random, random))
        #expect(id.high >> 12 & 0xF == 7)
        #expect(id.low >> 62 == 0b10)
    }

    @Test("those of one generator ascend, in one millisecond and when its clock is set back")
    func ascends() {
        var generator = IdentifierGenerator()
        let moment = Timestamp(seconds: 1_700_000_000)
        let moments =
            Array(repeating: moment, count: 1000) + [moment.advanced(bySeconds: -5)]
            + [moment.advanced(bySeconds: 5)]
        let ids = moments.map { generator.nextID(at: $0) }
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 })
        #expect(ids.allSatisfy { $0.high >> 12 & 0xF == 7 && $0.low >> 62 == 0b10 })
        #expect(ids.dropLast().allSatisfy { $0.high >> 16 == 1_700_000_000_000 })
        #expect(ids.last.map { $0.high >> 16 } == 1_700_000_005_000)
    }

    @Test(
        "counts on beyond its random bits",
        arguments: [
            (UInt64(0x7000), UInt64(0x8000_0000_0000_0000), UInt64(0x7000), UInt64(0x8000_0000_0000_0001)),
            (0x7000, 0xBFFF_FFFF_FFFF_FFFF, 0x7001, 0x8000_0000_0000_0000),
            (0x7FFF, 0xBFFF_FFFF_FFFF_FFFF, 0x1_7000, 0x8000_0000_0000_0000),
        ])
    func countsOn(high: UInt64, low: UInt64, nextHigh: UInt64, nextLow: UInt64) {
        #expect(UniqueID(high: high, low: low).successor(by: 1) == UniqueID(high: nextHigh, low: nextLow))
    }

    @Test("takes a moment before 1970 for 1970")
    func momentBefore1970() {
        #expect(UniqueID(at: Timestamp(seconds: -5), random: (0, 0)).high == 0x7000)
    }

    @Test("takes sixteen bytes, not more or fewer", arguments: [0, 15, 17])
    func takesSixteenBytes(count: Int) {
        #expect(UniqueID(bytes: [UInt8](repeating: 1, count: count)) == nil)
    }
}

@Suite struct MessageReferenceTests {
    @Test("reads back what travels with a message")
    func roundTrip() {
        let reference = MessageReference(
            id: UniqueID(high: 1, low: 2), sentAt: Timestamp(microseconds: 1_772_357_400_123_456))
        #expect(reference.callbackData == "00000000-0000-0001-0000-000000000002,1772357400123456")
        #expect(MessageReference(callbackData: reference.callbackData) == reference)
    }

    @Test(
        "refuses what others wrote into the field",
        arguments: [
            "", ",", "order-17", "00000000-0000-0001-0000-000000000002", "00000000-0000-0001-0000-000000000002,",
            "00000000-0000-0001-0000-000000000002,soon", "x,1",
            "00000000-0000-0001-0000-000000000002,99999999999999999999",
        ])
    func refusesForeignText(text: String) {
        #expect(MessageReference(callbackData: text) == nil)
    }
}
