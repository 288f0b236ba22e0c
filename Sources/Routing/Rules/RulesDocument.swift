import Yams

/// A rules file as a tree of YAML, after everything that could hide in YAML was refused: other encodings, anchors and
/// aliases (with which a few lines can grow to gigabytes), several documents, a key twice.
struct RulesDocument {
    let root: Node
    private let bytes: [UInt8]
    private let name: String

    init(_ file: RulesFile) throws(RulesError) {
        let (bytes, text) = try Self.text(of: file)
        if let anchor = Self.firstAnchor(in: text) {
            throw RulesError(
                file: file.name, line: anchor.line, column: anchor.column, offendingText: anchor.text,
                problem: "YAML anchors are not allowed",
                hint: "Write the value out where it is needed; in a text, leave a blank behind the &.")
        }
        self.bytes = bytes
        self.name = file.name
        self.root = try Self.compose(text, file: file.name)
    }

    /// FNV-1a over names and contents, one file after the other.
    func digest(after previous: UInt64) -> UInt64 {
        var hash = previous == 0 ? 0xCBF2_9CE4_8422_2325 : previous
        for byte in Array(name.utf8) + [0] + bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }

    private static func text(of file: RulesFile) throws(RulesError) -> (bytes: [UInt8], text: String) {
        switch file.content {
        case .unreadable(let reason):
            throw RulesError(
                file: file.name, problem: "the file cannot be read: \(reason)",
                hint: "Make it a file that the gateway's user can read, or give it another ending than "
                    + "\(RulesFile.fileExtension).")
        case .tooLarge(let size):
            throw tooLarge(file.name, size)
        case .bytes(let bytes):
            guard bytes.count <= RulesFile.sizeLimit else { throw tooLarge(file.name, bytes.count) }
            guard let text = String(validating: bytes, as: UTF8.self) else { throw notUTF8(file.name, bytes) }
            return (bytes, text)
        }
    }

    /// The first thing that could be an anchor, before the parser sees it: without anchors no alias means anything, and
    /// a document is as large as it looks. Quotes and comments are searched, too: telling them apart is the parser's
    /// art, and a mistake in it would let an anchor through.
    private static func firstAnchor(in text: String) -> (line: Int, column: Int, text: String)? {
        let separators = Set(" \t,[]{}:\"'?-!|>".unicodeScalars)
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let scalars = Array(line.unicodeScalars)
            for (place, scalar) in scalars.enumerated() where scalar == "&" {
                let name = scalars[(place + 1)...].prefix { isAnchorName($0) }
                guard !name.isEmpty, place == 0 || separators.contains(scalars[place - 1]) else { continue }
                return (number + 1, place + 1, "&" + String(String.UnicodeScalarView(name)))
            }
        }
        return nil
    }

    private static func isAnchorName(_ scalar: Unicode.Scalar) -> Bool {
        ("0"..."9").contains(scalar) || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
            || scalar == "-"
    }

    private static func tooLarge(_ file: String, _ size: Int) -> RulesError {
        RulesError(
            file: file, problem: "the file has \(size) bytes, and at most \(RulesFile.sizeLimit) are read",
            hint: "Split it, or remove what is no rule.")
    }

    private static func notUTF8(_ file: String, _ bytes: [UInt8]) -> RulesError {
        // Everything before the first broken byte survives a repair; what follows is replaced.
        var valid = 0
        var line = 1
        var column = 1
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            let units = Array(String(scalar).utf8)
            guard bytes[valid...].starts(with: units) else { break }
            valid += units.count
            (line, column) = scalar == "\n" ? (line + 1, 1) : (line, column + 1)
        }
        return RulesError(
            file: file, line: line, column: column, offendingText: "byte 0x" + String(bytes[valid], radix: 16),
            problem: "the file is not UTF-8", hint: "Save it as UTF-8.")
    }

    private static func compose(_ text: String, file: String) throws(RulesError) -> Node {
        do {
            if let root = try Parser(yaml: text, encoding: .utf8).singleRoot() { return root }
        } catch let error as YamlError {
            throw RulesError(error, file: file, text: text)
        } catch {
            throw RulesError(file: file, problem: "the file cannot be parsed", hint: "It must be YAML.")
        }
        throw RulesError(
            file: file, line: 1, column: 1, problem: "the file is empty",
            hint: "Begin it with: version: 1; or remove it.")
    }
}

extension RulesError {
    /// What the YAML parser objects to, with the place and the line it stands in.
    fileprivate init(_ error: YamlError, file: String, text: String) {
        let yamlHint = "Check indentation and quotes; text with ': ', '#' or '{' in it needs double quotes."
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            let place = Self.place(mark, in: text)
            self.init(
                file: file, line: place.line, column: place.column, offendingText: place.text,
                problem: "this is not YAML: \(problem)", hint: yamlHint)
        case .duplicatedKeysInMapping(let keys, let context):
            let key = keys.first ?? ""
            let place = Self.secondPlace(of: key, after: context.mark, in: text)
            self.init(
                file: file, line: place.line, column: place.column, offendingText: key,
                problem: "the key is there twice", hint: "Keep one; the first is in line \(context.mark.line).")
        case .reader(let problem, let offset, _, _):
            let before = text.prefix(offset ?? 0)
            let line = before.count { $0.isNewline } + 1
            let column =
                (before.lastIndex(where: \.isNewline).map { before[before.index(after: $0)...] } ?? before)
                .unicodeScalars.count + 1
            self.init(
                file: file, line: line, column: column,
                problem: "the file contains a character YAML does not allow: \(problem)", hint: "Remove it.")
        default:
            self.init(file: file, problem: "the file cannot be parsed", hint: "It must be YAML.")
        }
    }

    /// A place with the line it is in. What the parser misses at the end of the file it reports in the line after it.
    private static func place(_ mark: Mark, in text: String) -> (line: Int, column: Int, text: String) {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard mark.line > lines.count, let last = lines.last else {
            return (mark.line, mark.column, String(lines[mark.line - 1]))
        }
        return (lines.count, last.unicodeScalars.count + 1, String(last))
    }

    /// The parser names the first of two equal keys; the second, which is the one too many, stands below it, as far in.
    private static func secondPlace(of key: String, after first: Mark, in text: String) -> (line: Int, column: Int) {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated().dropFirst(first.line) {
            let indent = line.unicodeScalars.prefix { $0 == " " }.count
            guard indent == first.column - 1 else { continue }
            let rest = line.dropFirst(indent)
            for form in [key, "\"\(key)\"", "'\(key)'"] where rest.hasPrefix(form) {
                if rest.dropFirst(form.count).drop(while: { $0 == " " }).first == ":" {
                    return (index + 1, first.column)
                }
            }
        }
        return (first.line, first.column)
    }
}
