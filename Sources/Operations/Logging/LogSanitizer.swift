/// Masks phone numbers in what is about to be logged.
///
/// It is the second wall: nobody logs a whole number in the first place. Under keys that name a person's number any run
/// of 8 to 15 digits is masked, also when it is written with blanks and dashes. Elsewhere only `+` followed by 8 to 15
/// digits is, so that counters, message ids and UUIDs stay whole.
package enum LogSanitizer {
    private static let keys: Set<String> = ["phone", "from", "to", "sender", "recipient", "wa_id", "msisdn"]

    /// Whether values under this key are people's numbers. `phone_number_id` is none: it names one of our endpoints.
    package static func marksPhone(_ key: String) -> Bool {
        let key = key.lowercased()
        return keys.contains(key) || key.hasSuffix("phone") || key.hasSuffix("phone_number")
    }

    /// - Parameter marked: whether the text stands under a key that marks it as somebody's number.
    package static func masked(_ text: String, marked: Bool) -> String {
        guard marked || text.utf8.contains(plus) else { return text }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            guard let run = Run(in: bytes, at: index, marked: marked) else {
                result.append(bytes[index])
                index += 1
                continue
            }
            if run.isPhone {
                if run.hasPlus { result.append(plus) }
                result += run.digits.prefix(2) + Array("…".utf8) + run.digits.suffix(2)
            } else {
                result += bytes[run.range]
            }
            index = run.range.upperBound
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static let plus = UInt8(ascii: "+")

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    /// Digits that belong together, and whether they look like a phone number.
    private struct Run {
        var hasPlus = false
        var digits: [UInt8] = []
        var range: Range<Int>
        var isPhone = false

        /// - Returns: `nil` if no run starts at `start`.
        init?(in bytes: [UInt8], at start: Int, marked: Bool) {
            hasPlus = bytes[start] == plus
            var index = hasPlus ? start + 1 : start
            guard index < bytes.count, isDigit(bytes[index]) || (hasPlus && marked && bytes[index] == UInt8(ascii: "("))
            else {
                return nil
            }
            var end = index
            while index < bytes.count {
                if isDigit(bytes[index]) {
                    digits.append(bytes[index])
                    end = index + 1
                } else if !(marked && " -.()/".utf8.contains(bytes[index])) {
                    break
                }
                index += 1
            }
            guard end > start else { return nil }
            range = start..<end
            let bounded =
                (start == 0 || !(isLetter(bytes[start - 1]) || isDigit(bytes[start - 1])))
                && (end == bytes.count || !isLetter(bytes[end]))
            isPhone = bounded && (marked || hasPlus) && (8...15).contains(digits.count)
        }
    }
}
