/// Text as a JSON string, so that no byte of it can end a line, colour a terminal or reorder what is read.
enum JSONText {
    static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        append(text, to: &bytes, bytesMax: .max)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `text` in quotes. What does not fit into `bytesMax` bytes (escapes counted, quotes not) ends with `…`.
    static func append(_ text: String, to bytes: inout [UInt8], bytesMax: Int) {
        bytes.append(UInt8(ascii: "\""))
        let start = bytes.count
        let ellipsis: [UInt8] = Array("…".utf8)
        // Where the text can be cut so that the ellipsis still fits.
        var cut = start
        for scalar in text.unicodeScalars {
            append(scalar, to: &bytes)
            if bytes.count - start <= bytesMax - ellipsis.count { cut = bytes.count }
            if bytes.count - start > bytesMax {
                bytes.removeSubrange(cut...)
                if bytesMax >= ellipsis.count { bytes += ellipsis }
                break
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func append(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
        switch scalar {
        case "\"": bytes += [UInt8(ascii: "\\"), UInt8(ascii: "\"")]
        case "\\": bytes += [UInt8(ascii: "\\"), UInt8(ascii: "\\")]
        case "\n": bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
        case "\r": bytes += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
        case "\t": bytes += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
        case " "..."~": bytes.append(UInt8(scalar.value))
        // Control bytes (C0, DEL, C1), line and paragraph separators, and what turns the direction of writing.
        case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{200E}"..."\u{200F}", "\u{2028}"..."\u{202E}",
            "\u{2066}"..."\u{2069}", "\u{FEFF}":
            let digits = Array("0123456789abcdef".utf8)
            bytes += [UInt8(ascii: "\\"), UInt8(ascii: "u")]
            for shift in [12, 8, 4, 0] { bytes.append(digits[Int(scalar.value >> UInt32(shift)) & 15]) }
        default: bytes += Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }
}
