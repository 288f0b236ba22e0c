import Messaging

/// A telephone number of the world, by number. What WhatsApp writes and what landlords type differ; the oracle knows
/// neither spelling, so it cannot share a mistake in folding them.
struct Number: Hashable, Comparable, CustomStringConvertible {
    let index: Int

    static func < (a: Number, b: Number) -> Bool { a.index < b.index }
    var description: String { "n\(index)" }

    /// The digits WhatsApp sends: most are British; every ninth is Mexican, every ninth Brazilian, where WhatsApp's
    /// digits are not those one dials.
    var waID: String {
        switch index % 9 {
        case 7: "5215500\(padded(6))"
        case 8: "551180\(padded(6))"
        default: "447900\(padded(6))"
        }
    }

    /// What a landlord types, in one of four ways.
    func typed(_ style: Int) -> String {
        switch index % 9 {
        case 7: return style % 2 == 0 ? "+52 55 00\(padded(6))" : "00521 5500 \(padded(6))"
        case 8: return style % 2 == 0 ? "+55 11 9 80\(padded(6))" : "0055 (11) 80\(padded(6))"
        default: break
        }
        return switch style % 4 {
        case 0: "+44 (0) 7900 \(padded(6))"
        case 1: "07900 \(padded(6))"
        case 2: "0044 7900-\(padded(6))"
        default: "7900\(padded(6))"
        }
    }

    private func padded(_ width: Int) -> String {
        let digits = String(index)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

/// A row of the landlord application's tables, by kind and number.
struct RowID: Hashable, Comparable, CustomStringConvertible {
    enum Kind: UInt64 { case landlord = 1, property, tenant, lease, reply }
    let kind: Kind
    let index: Int

    static func < (a: RowID, b: RowID) -> Bool { (a.kind.rawValue, a.index) < (b.kind.rawValue, b.index) }
    var description: String { "\(kind) \(index)" }

    /// The id the row has in the database; ordered as the numbers are.
    var uuid: UniqueID { UniqueID(high: kind.rawValue << 32 | 0x4000, low: 0x8000_0000_0000_0000 | UInt64(index)) }

    init(_ kind: Kind, _ index: Int) {
        self.kind = kind
        self.index = index
    }

    init(_ uuid: UniqueID) {
        kind = Kind(rawValue: uuid.high >> 32) ?? .landlord
        index = Int(uuid.low & 0x7FFF_FFFF_FFFF_FFFF)
    }
}

/// A message of the world, by number; what the provider calls it.
struct MessageName: Hashable, Comparable, CustomStringConvertible {
    let index: Int
    static func < (a: MessageName, b: MessageName) -> Bool { a.index < b.index }
    var description: String { "m\(index)" }
    var wamid: String { "wamid.W\(index)" }
}

/// Where messages come in. The last one is a landlord's own: it has a realm of its own.
struct Place: Hashable, CustomStringConvertible {
    let index: Int
    var description: String { "place \(index)" }

    static let main = Place(index: 0)
    static let second = Place(index: 1)
    /// Nobody knows it until the middle of the story.
    static let late = Place(index: 2)
    /// The first landlord's own number.
    static let owned = Place(index: 3)
    static let all = [main, second, late, owned]

    var phoneNumberID: String { "10000000000000\(index)" }
    /// Identities learnt here are worth something here: one realm for the platform, one for the landlord's own number.
    var realm: Int { self == .owned ? 1 : 0 }
    var owner: RowID? { self == .owned ? RowID(.landlord, 0) : nil }
}

/// A day, counted from the first of 1970.
typealias Day = Int

/// A moment of the world, in seconds since 1970. Meta's clock has no finer ones.
typealias Moment = Int64

extension Moment {
    var day: Day { Day(self / 86_400) }
}
