/// A telephone number in E.164: country code and subscriber number, at most 15 digits, no plus sign.
///
/// `gateway.e164_digits` and `gateway.phone_key` in the database give the same answers; a test holds them together.
@frozen
public struct PhoneNumber: Hashable, Sendable {
    /// The digits to dial, as a number: `447911123456`.
    public let digits: UInt64

    /// - Returns: `nil` outside 8 to 15 digits (E.164 sets the upper limit, practice the lower).
    @inlinable
    public init?(digits: UInt64) {
        guard (10_000_000...999_999_999_999_999).contains(digits) else { return nil }
        self.digits = digits
    }

    /// The key routes are filed under; see `PhoneKey`.
    @inlinable
    public var key: PhoneKey { PhoneKey(folding: digits) }

    /// For logs and screens of people who need not know it: country code and the last two digits.
    public var masked: String {
        let text = String(digits)
        return "+\(text.prefix(2))…\(text.suffix(2))"
    }
}

/// A phone number folded so that the form people dial and the form WhatsApp registers meet.
///
/// Mexico (`52 1` + 10), Argentina (`54 9` + 10) and Brazil (ninth digit of a mobile, whose old number began with 6 to 9) are written in two ways. The key
/// is for lookup alone: it is never dialled. Source: Meta's note on rewritten numbers, see `docs/decisions`.
@frozen
public struct PhoneKey: Hashable, Sendable, Comparable {
    public let value: UInt64

    /// A key that was folded before, as the database stores it.
    @inlinable
    public init(folded value: UInt64) { self.value = value }

    @inlinable
    public init(folding n: UInt64) {
        switch n {
        case 5_210_000_000_000...5_219_999_999_999: value = 520_000_000_000 + n % 10_000_000_000
        case 5_490_000_000_000...5_499_999_999_999: value = 540_000_000_000 + n % 10_000_000_000
        case 5_500_000_000_000...5_599_999_999_999
        where n / 100_000_000 % 10 == 9 && n / 10_000_000 % 10 >= 6:
            value = n / 1_000_000_000 * 100_000_000 + n % 100_000_000
        default: value = n
        }
    }

    @inlinable
    public static func < (a: PhoneKey, b: PhoneKey) -> Bool { a.value < b.value }
}

extension PhoneNumber {
    /// Reads what people type: `+44 (0) 7911 123456`, `0044 7911 123456`, `07911 123456`, `7911123456`, a `wa_id`.
    ///
    /// Spaces, dashes, dots, slashes, brackets, invisible marks and foreign decimal digits are understood.
    /// - Parameter defaultCountryCode: digits used for national forms only, such as `"44"`.
    /// - Returns: `nil` for letters, extensions, two numbers in one field, too few or too many digits.
    public init?(parsing text: some StringProtocol, defaultCountryCode: String = "44") {
        guard let cleaned = Cleaned(text) else { return nil }
        var digits = cleaned.digits[...]
        var international = cleaned.hasPlus
        if !international, digits.starts(with: [0, 0]) {
            digits = digits.dropFirst(2)
            international = true
        }
        guard (5...18).contains(digits.count) else { return nil }
        if international {
            if let zero = cleaned.bracketedZero, zero >= digits.startIndex { digits.remove(at: zero) }
        } else {
            let code = defaultCountryCode.utf8.map { $0 &- UInt8(ascii: "0") }
            if digits.first == 0 {
                digits = (code + digits.dropFirst())[...]
            } else if digits.count <= 10, !(digits.starts(with: code) && digits.count > 9) {
                digits = (code + digits)[...]
            }
        }
        guard digits.first != 0, (8...15).contains(digits.count) else { return nil }
        self.init(digits: digits.reduce(0) { $0 * 10 + UInt64($1) })
    }

    /// A number's digits without what people and phones put between them.
    private struct Cleaned {
        var digits: [UInt8] = []
        var hasPlus = false
        /// Where the zero of `(0)` stands among the digits: it is dialled at home only.
        var bracketedZero: Int?

        init?(_ text: some StringProtocol) {
            var bracket: Int?
            for scalar in text.unicodeScalars {
                switch scalar {
                case "+", "\u{FF0B}":
                    guard digits.isEmpty, !hasPlus else { return nil }
                    hasPlus = true
                case "(": bracket = digits.count
                case ")":
                    if let start = bracket, digits.count == start + 1, digits[start] == 0, bracketedZero == nil {
                        bracketedZero = start
                    }
                    bracket = nil
                case " ", "\t", "-", ".", "/", "\u{A0}", "\u{2009}", "\u{202F}", "\u{2010}"..."\u{2015}",
                    "\u{200B}"..."\u{200F}", "\u{202A}"..."\u{202E}", "\u{2060}"..."\u{2069}", "\u{FEFF}":
                    continue
                default:
                    guard let digit = Self.decimal(scalar) else { return nil }
                    digits.append(digit)
                    guard digits.count <= 20 else { return nil }
                }
            }
        }

        private static func decimal(_ scalar: Unicode.Scalar) -> UInt8? {
            for zero: UInt32 in [0x30, 0x0660, 0x06F0, 0x0966, 0xFF10]
            where scalar.value >= zero && scalar.value < zero + 10 {
                return UInt8(scalar.value - zero)
            }
            return nil
        }
    }
}
