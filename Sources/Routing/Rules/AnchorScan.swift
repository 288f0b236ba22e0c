/// Finds YAML anchors before a parser sees them.
///
/// Without an anchor no alias means anything, and without aliases a document is as large as it looks. The scan errs on
/// the side of finding: what it takes for an anchor inside an unquoted text can be written in quotes.
enum AnchorScan {
    struct Place: Hashable {
        var line: Int
        var column: Int
        var text: String
    }

    /// The first anchor or alias outside quoted texts, block texts and comments.
    static func firstAnchor(in text: String) -> Place? {
        var quote: Unicode.Scalar?
        var blockIndent: Int?
        var lines = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            lines += 1
            let scalars = Array(line.unicodeScalars)
            let indent = scalars.prefix { $0 == " " }.count
            if let block = blockIndent {
                if indent > block || scalars.allSatisfy({ $0 == " " || $0 == "\t" }) { continue }
                blockIndent = nil
            }
            if let column = firstAnchor(in: scalars, quote: &quote) {
                let word = scalars[column...].prefix { $0 != " " && $0 != "," && $0 != "]" && $0 != "}" }
                var shown = String.UnicodeScalarView()
                shown.append(contentsOf: word)
                return Place(line: lines, column: column + 1, text: String(shown))
            }
            if quote == nil, beginsBlockText(scalars) { blockIndent = indent }
        }
        return nil
    }

    private static func firstAnchor(in line: [Unicode.Scalar], quote: inout Unicode.Scalar?) -> Int? {
        // A token may begin where nothing or an indicator stands before it; inside a word these signs mean themselves.
        var mayBegin = true
        var column = 0
        while column < line.count {
            let scalar = line[column]
            if let open = quote {
                if open == "\"", scalar == "\\" { column += 1 } else if scalar == open { quote = nil }
            } else if mayBegin, scalar == "\"" || scalar == "'" {
                quote = scalar
            } else if scalar == "#", column == 0 || line[column - 1] == " " || line[column - 1] == "\t" {
                return nil
            } else if mayBegin, scalar == "&" || scalar == "*" {
                return column
            } else if scalar != " ", scalar != "\t" {
                mayBegin = ":-?,[{".unicodeScalars.contains(scalar)
            }
            column += 1
        }
        return nil
    }

    /// `key: |`, `- >-`: what is further in than this line is text.
    private static func beginsBlockText(_ line: [Unicode.Scalar]) -> Bool {
        var end = line.count
        while end > 0, line[end - 1] == " " || line[end - 1] == "\t" { end -= 1 }
        while end > 0, "+-0123456789".unicodeScalars.contains(line[end - 1]) { end -= 1 }
        guard end > 2, line[end - 1] == "|" || line[end - 1] == ">", line[end - 2] == " " else { return false }
        let flow = line.contains("{") || line.contains("[")
        return !flow && (line[end - 3] == ":" || line[end - 3] == "-")
    }
}
