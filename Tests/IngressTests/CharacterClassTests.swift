import Testing

@testable import Ingress

@Suite("CharacterClass")
struct CharacterClassTests {
    @Test("Each class holds exactly the characters the RFCs list")
    func holdsExactly() {
        let alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        let tokens = Set((alphanumeric + "!#$%&'*+-.^_`|~").utf8)
        let targets = Set((alphanumeric + "-._~!$&'()*+,;=:@/?%").utf8)
        let hosts = Set((alphanumeric + "-._~!$&'()*+,;=:[]%").utf8)
        for byte in UInt8.min...UInt8.max {
            #expect(CharacterClass.isToken(byte) == tokens.contains(byte), "\(byte)")
            #expect(CharacterClass.isTarget(byte) == targets.contains(byte), "\(byte)")
            #expect(CharacterClass.isHost(byte) == hosts.contains(byte), "\(byte)")
            #expect(CharacterClass.isFieldValue(byte) == (byte == 9 || (byte >= 32 && byte != 127)), "\(byte)")
        }
    }
}
