import Intake
import Messaging
import Routing
import Testing

@Suite struct HealingHintsTests {
    private let phone = AccountIdentity(kind: .phone, scope: "", value: "447911000001")
    private let account = AccountIdentity(kind: .businessScopedID, scope: "p", value: "GB.1")

    @Test("of a change are its keys, account ids and landlords; a number's identity hints at its key")
    func delta() {
        var delta = RouteDelta(cursor: RouteCursor(snapshot: "1", epoch: "e"))
        delta.routes[PhoneKey(folding: 447_911_000_002)] = []
        delta.identities = [phone: [], account: []]
        delta.landlords[uid(1)] = .some(nil)
        let hints = HealingHints(delta)
        #expect(hints.keys == [PhoneKey(folding: 447_911_000_001), PhoneKey(folding: 447_911_000_002)])
        #expect(hints.accounts == [account] && hints.landlords == [uid(1)] && !hints.isEverything && !hints.isEmpty)
    }

    @Test("of a changed endpoint are everything")
    func endpoints() {
        var delta = RouteDelta(cursor: RouteCursor(snapshot: "1", epoch: "e"))
        delta.endpoints = [.shared]
        #expect(HealingHints(delta).isEverything)
    }

    @Test("of a full load are everything, of a change without news nothing")
    func extremes() {
        #expect(HealingHints(nil) == .everything)
        #expect(HealingHints(RouteDelta(cursor: RouteCursor(snapshot: "1", epoch: "e"))).isEmpty)
    }
}
