/// What the tenant of several landlords is asked, in the words of the rules files.
public struct QuestionWording: Hashable, Sendable {
    /// The question itself.
    public var text: String
    /// On the button that opens a list.
    public var button: String
    /// Below a numbered list that is too long for buttons and rows.
    public var numberHint: String

    /// Of `text` and `numberHint`, in UTF-16 code units: the options need room in the same message.
    public static let textLengthMax = 300
    /// Of `button`: Meta's.
    public static let buttonLengthMax = 20

    public static let standard = QuestionWording(
        text: "Who is this message for?", button: "Choose", numberHint: "Please answer with the number.")

    public init(text: String, button: String, numberHint: String) {
        self.text = text
        self.button = button
        self.numberHint = numberHint
    }
}

/// What an option shows: a property and its landlord's name, and nothing that is private.
public struct ChoiceLabel: Hashable, Sendable {
    public var property: String?
    public var landlord: String?

    /// Characters that could pass for another line, or turn the text around, become spaces.
    public init(property: String?, landlord: String?) {
        self.property = property.map(Self.plain).flatMap { $0.isEmpty ? nil : $0 }
        self.landlord = landlord.map(Self.plain).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// All of it on one line, for the option of this number.
    func line(_ number: Int) -> String {
        let parts = [property, landlord].compactMap { $0 }
        return "\(number). " + (parts.isEmpty ? "–" : parts.joined(separator: " – "))
    }

    private static func plain(_ text: String) -> String {
        let shown = text.unicodeScalars.map { scalar -> Character in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: " "
            default: Character(scalar)
            }
        }
        return String(shown).split(separator: " ").joined(separator: " ")
    }
}

/// What a tapped option carries back: the question and which of its choices. It says nothing about landlords or leases,
/// and counts only for the person who was asked.
public struct ChoiceToken: Hashable, Sendable {
    public let question: UniqueID
    /// From 1.
    public let choice: Int

    private static let prefix = "zrq."

    public init(question: UniqueID, choice: Int) {
        self.question = question
        self.choice = choice
    }

    public var text: String { "\(Self.prefix)\(question).\(choice)" }

    /// - Returns: `nil` for what is no token of ours.
    public init?(_ text: String) {
        guard text.utf8.count <= 64, text.hasPrefix(Self.prefix) else { return nil }
        let parts = text.dropFirst(Self.prefix.utf8.count).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let question = UniqueID(String(parts[0])), let choice = Int(parts[1]),
            (1...QuestionForm.choicesMax).contains(choice)
        else { return nil }
        self.init(question: question, choice: choice)
    }
}

/// A question as WhatsApp shows it: up to three buttons, up to ten rows of a list, or a numbered text.
///
/// Lengths are Meta's, counted in UTF-16 code units, the strictest reading of its "characters".
public struct QuestionForm: Hashable, Sendable {
    public enum Shape: Hashable, Sendable {
        case buttons
        case list
        /// Answered by writing the number.
        case numbered
    }

    public struct Option: Hashable, Sendable {
        /// A `ChoiceToken`.
        public var id: String
        public var title: String
        /// Of a list's row.
        public var description: String?
    }

    public let shape: Shape
    public let body: String
    /// On the button that opens a list.
    public let button: String
    /// In the order of the choices.
    public let options: [Option]

    /// More landlords than anybody rents from: beyond this a message waits for an administrator.
    public static let choicesMax = 100
    static let buttonsMax = 3
    static let rowsMax = 10
    static let buttonTitleMax = 20
    static let rowTitleMax = 24
    static let rowDescriptionMax = 72
    static let buttonBodyMax = 1024
    static let textMax = 4096

    /// - Parameter labels: 1 to `choicesMax`, as they are to be shown.
    public init(_ wording: QuestionWording, question: UniqueID, labels: [ChoiceLabel]) {
        let text = wording.text.cut(toUTF16: QuestionWording.textLengthMax)
        switch labels.count {
        case ...Self.buttonsMax:
            shape = .buttons
            // A title is short; what it leaves out stands above the buttons.
            body = Self.lines(text, labels, lengthMax: Self.buttonBodyMax)
        case ...Self.rowsMax:
            shape = .list
            body = text
        default:
            shape = .numbered
            let hint = "\n" + wording.numberHint.cut(toUTF16: QuestionWording.textLengthMax)
            body = Self.lines(text, labels, lengthMax: Self.textMax - hint.utf16.count) + hint
        }
        button = wording.button.cut(toUTF16: QuestionWording.buttonLengthMax)
        let isList = labels.count > Self.buttonsMax
        let titles = Self.titles(labels, lengthMax: isList ? Self.rowTitleMax : Self.buttonTitleMax)
        options = labels.indices.map { index in
            let hasOther = labels[index].property != nil ? labels[index].landlord : nil
            return Option(
                id: ChoiceToken(question: question, choice: index + 1).text, title: titles[index],
                description: isList ? hasOther.map { $0.cut(toUTF16: Self.rowDescriptionMax) } : nil)
        }
    }

    /// What each option is called where there is little room: the property, or the landlord. Where two would read the
    /// same, all are numbered.
    private static func titles(_ labels: [ChoiceLabel], lengthMax: Int) -> [String] {
        let names = labels.map { $0.property ?? $0.landlord ?? "" }
        let titles = names.map { $0.cut(toUTF16: lengthMax) }
        guard Set(titles).count < titles.count || titles.contains("") else { return titles }
        return names.enumerated().map { "\($0 + 1). \($1)".cut(toUTF16: lengthMax) }
    }

    private static func lines(_ text: String, _ labels: [ChoiceLabel], lengthMax: Int) -> String {
        let room = (lengthMax - text.utf16.count) / max(labels.count, 1) - 1
        let lines = labels.enumerated().map { $1.line($0 + 1).cut(toUTF16: room) }
        return ([text] + lines).joined(separator: "\n")
    }
}

extension String {
    /// Its beginning, cut between characters and marked with an ellipsis, where it is longer than so many UTF-16 code
    /// units.
    func cut(toUTF16 lengthMax: Int) -> String {
        guard utf16.count > lengthMax else { return self }
        var kept = ""
        var length = 1
        for character in self {
            length += character.utf16.count
            if length > lengthMax { break }
            kept.append(character)
        }
        while kept.last == " " { kept.removeLast() }
        return kept + "…"
    }
}
