/// What a vCard tells of a person. All of it is the word of whoever sends it, and no identity of anybody's.
struct VCard {
    private(set) var name: String?
    private(set) var numbers: [String] = []

    init(_ card: String) {
        var property = ""
        for line in card.split(whereSeparator: \.isNewline) {
            // A line that begins with a space goes on with the one before.
            if let first = line.first, first == " " || first == "\t" {
                property += line.dropFirst()
            } else {
                take(property)
                property = String(line)
            }
        }
        take(property)
    }

    /// `item1.TEL;type=CELL;waid=447911000111:+44 7911 000111`: a group may stand before the name, parameters after it.
    private mutating func take(_ property: String) {
        guard let colon = property.firstIndex(of: ":") else { return }
        let words = property[..<colon].split(separator: ";", omittingEmptySubsequences: false)
        let value = property[property.index(after: colon)...]
        switch words[0].split(separator: ".").last?.uppercased() {
        case "FN": if !value.isEmpty { name = name ?? String(value) }
        case "TEL":
            let number = Self.without("tel:", value) ?? value
            let registered = words.dropFirst().lazy.compactMap { Self.without("waid=", $0) }.first
            if let known = number.isEmpty ? registered : number, !known.isEmpty { numbers.append(String(known)) }
        default: return
        }
    }

    /// What stands after a prefix, written in any case; `nil` where it does not stand there.
    private static func without(_ prefix: String, _ text: Substring) -> Substring? {
        text.prefix(prefix.count).lowercased() == prefix ? text.dropFirst(prefix.count) : nil
    }
}
