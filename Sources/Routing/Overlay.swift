import Messaging

/// Entries that changed since the large part below them was built: a dictionary in pieces.
///
/// A copy shares all pieces, and changing an entry of the copy copies that entry's piece alone. So one more change costs
/// the same, near enough, whether ten or thirty thousand came before it.
struct Overlay<Key: OverlayKey, Value: Sendable>: Sendable {
    /// None until the first entry: nearly all tables have nothing here to look through.
    private var pieces: [[Key: Value]] = []
    private(set) var count = 0

    private static var pieceCount: Int { 256 }

    var isEmpty: Bool { count == 0 }

    subscript(key: Key) -> Value? {
        pieces.isEmpty ? nil : pieces[key.spread & (Self.pieceCount - 1)][key]
    }

    mutating func set(_ key: Key, to value: Value) {
        if pieces.isEmpty { pieces = Array(repeating: [:], count: Self.pieceCount) }
        let before = pieces[key.spread & (Self.pieceCount - 1)].updateValue(value, forKey: key)
        if case .none = before { count += 1 }
    }

    func forEach(_ body: (Key, Value) -> Void) {
        for piece in pieces {
            for (key, value) in piece { body(key, value) }
        }
    }
}

/// A key that says which piece of an overlay it belongs to.
protocol OverlayKey: Hashable, Sendable {
    /// Any number, of which the lowest bits count; equal keys have equal ones.
    var spread: Int { get }
}

extension OverlayKey {
    var spread: Int { hashValue }
}

extension PhoneKey: OverlayKey {
    /// Without a second hash, for every message looks here. The upper bits of the product depend on all digits.
    var spread: Int { Int(truncatingIfNeeded: (value &* 0x9E37_79B9_7F4A_7C15) >> 40) }
}

extension UniqueID: OverlayKey {}
extension IdentityIndex.Phone: OverlayKey {}
