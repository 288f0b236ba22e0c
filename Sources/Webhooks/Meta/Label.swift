/// Words of a webhook made fit for a label: lower-case letters, digits and `_ : . -`, at most 64 characters.
enum Label {
    static let lengthMax = 64

    /// - Parameter value: `none` stands in for anything but a text that is not empty.
    static func text(_ prefix: StaticString, _ value: JSONValue?, lengthMax: Int = lengthMax) -> String {
        guard let text = value?.text, !text.isEmpty else { return prefix.description + "none" }
        let room = lengthMax - prefix.utf8CodeUnitCount
        let isFit = text.utf8.count <= room && text.utf8.allSatisfy { fit($0) == $0 }
        if isFit { return prefix.utf8CodeUnitCount == 0 ? text : prefix.description + text }
        return prefix.description + String(decoding: text.utf8.prefix(room).map(fit), as: UTF8.self)
    }

    private static func fit(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "_"),
            UInt8(ascii: "."), UInt8(ascii: "-"):
            byte
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        default: UInt8(ascii: "_")
        }
    }
}
