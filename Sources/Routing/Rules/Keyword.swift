/// Words a message is recognised by, whatever their case and accents.
package struct Keyword: Hashable, Sendable {
    package enum Match: String, Sendable, CaseIterable {
        /// The words are the whole message; punctuation around them does not count.
        case exact
        /// The words stand somewhere in the message, one after the other.
        case word
        /// The message begins with these letters: `stop` finds `stopped, please`.
        case prefix
    }
    package var match: Match
    /// Folded, never empty.
    package var words: [String]

    /// - Returns: `nil` for a text without a letter or digit.
    package init?(_ match: Match, _ text: String) {
        let words = FoldedText(text).words
        guard !words.isEmpty else { return nil }
        self.match = match
        self.words = words
    }

    /// Whether it is found in a message.
    func isFound(in text: FoldedText) -> Bool {
        switch match {
        case .exact: return text.words == words
        case .prefix:
            guard text.words.count >= words.count else { return false }
            return text.words.starts(with: words.dropLast())
                && text.words[words.count - 1].utf8.starts(with: words[words.count - 1].utf8)
        case .word:
            guard text.words.count >= words.count else { return false }
            return (0...text.words.count - words.count).contains { text.words[$0...].starts(with: words) }
        }
    }
}

/// A text as words are compared: its runs of letters and digits, in lower case and without accents.
package struct FoldedText: Hashable, Sendable {
    /// Of a longer message the first of them.
    package static let wordsMax = 1024
    package let words: [String]

    package init(_ text: String) {
        var words: [String] = []
        // Bytes of the word that is being read: appending to a text costs several times as much.
        var word: [UInt8] = []
        func end() {
            if !word.isEmpty { words.append(String(decoding: word, as: UTF8.self)) }
            word.removeAll(keepingCapacity: true)
        }
        for scalar in text.unicodeScalars {
            switch LetterFolding.fold(scalar) {
            case .byte(let byte): word.append(byte)
            case .letter(let folded): word.append(contentsOf: folded.utf8)
            case .letters(let folded): word.append(contentsOf: folded.utf8)
            case .symbol:
                end()
                words.append(String(scalar))
            case .mark: continue
            case .separator: end()
            }
            if words.count >= Self.wordsMax { break }
        }
        end()
        self.words = words.count > Self.wordsMax ? Array(words.prefix(Self.wordsMax)) : words
    }
}

/// Takes case and accents off letters.
enum LetterFolding {
    enum Folded {
        /// A letter or digit of ASCII.
        case byte(UInt8)
        case letter(Unicode.Scalar)
        /// One that becomes several: `ß`.
        case letters(String)
        /// A pictograph: a word by itself, for rules may ask for one.
        case symbol
        /// An accent of its own behind a letter, and what cannot be seen.
        case mark
        case separator
    }

    static func fold(_ scalar: Unicode.Scalar) -> Folded {
        if scalar.isASCII {
            let value = UInt8(truncatingIfNeeded: scalar.value)
            switch value {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .byte(value)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): return .byte(value | 0x20)
            // Written in one word: don't, O'Brien.
            case UInt8(ascii: "'"): return .mark
            default: return .separator
            }
        }
        if scalar == "\u{2019}" { return .mark }
        if let plain = plainLetters[scalar] { return .letters(plain) }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .format: return .mark
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
            .letterNumber, .otherNumber:
            let lower = properties.lowercaseMapping
            return lower.unicodeScalars.count == 1 ? .letter(lower.unicodeScalars.first ?? scalar) : .letters(lower)
        case .otherSymbol: return .symbol
        default: return .separator
        }
    }

    /// Letters with accents, and the plain ones they are written over. Made with the language's own rule that a letter
    /// and its accents equal the letter with the accents on it.
    private static let plainLetters: [Unicode.Scalar: String] = {
        var composed: [String: String] = [:]
        let marks = (UInt32(0x300)...0x345).compactMap(Unicode.Scalar.init)
        let inner: [Unicode.Scalar] = ["\u{302}", "\u{306}", "\u{31B}", "\u{308}", "\u{304}", "\u{307}", "\u{323}"]
        for letter in "abcdefghijklmnopqrstuvwxyzαεηιουωυρ".unicodeScalars {
            for upper in [false, true] {
                let base = upper ? letter.properties.uppercaseMapping : String(letter)
                for mark in marks {
                    composed[base + String(mark)] = String(letter)
                    for first in inner { composed[base + String(first) + String(mark)] = String(letter) }
                }
            }
        }
        var plain: [Unicode.Scalar: String] = [:]
        for range in [UInt32(0xC0)...0x24F, 0x370...0x3FF, 0x1E00...0x1EFF, 0x1F00...0x1FFF] {
            for scalar in range.lazy.compactMap(Unicode.Scalar.init) { plain[scalar] = composed[String(scalar)] }
        }
        for (letters, base) in [
            ("ßẞ", "ss"), ("æÆ", "ae"), ("œŒ", "oe"), ("øØ", "o"), ("łŁ", "l"), ("đĐð", "d"), ("þÞ", "th"), ("ı", "i"),
            ("ς", "σ"),
        ] {
            for scalar in letters.unicodeScalars { plain[scalar] = base }
        }
        return plain
    }()
}
