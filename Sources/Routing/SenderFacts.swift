public import Messaging

/// What the database alone knows about a sender, as far as the ladder asks.
public struct SenderFacts: Hashable, Sendable {
    /// The sender's, and the one whose message is quoted.
    public var threads: [ThreadReference]
    /// The one that is open, and the one that a tapped option belongs to.
    public var questions: [AskedQuestion]

    public init(threads: [ThreadReference] = [], questions: [AskedQuestion] = []) {
        self.threads = threads
        self.questions = questions
    }
}

/// A question the sender was asked: which landlord is meant?
public struct AskedQuestion: Hashable, Sendable {
    public var id: UniqueID
    /// `false`: it was answered, or nobody answered it in time.
    public var isOpen: Bool
    /// As they were shown, in order.
    public var choices: [Choice]

    public struct Choice: Hashable, Sendable {
        public var landlordID: UniqueID
        /// For a choice that is a thread without a lease.
        public var conversationID: UniqueID?
        public var label: ChoiceLabel

        public init(landlordID: UniqueID, conversationID: UniqueID?, label: ChoiceLabel) {
            self.landlordID = landlordID
            self.conversationID = conversationID
            self.label = label
        }
    }

    public init(id: UniqueID, isOpen: Bool, choices: [Choice]) {
        self.id = id
        self.isOpen = isOpen
        self.choices = choices
    }

    /// The choice that a text names: by its number, or by the property or landlord if nobody else has the same.
    /// - Returns: from 1; `nil` for any other text.
    func choice(named text: String) -> Int? {
        // Longer than any label: a message, and no answer.
        guard text.utf8.count <= 512 else { return nil }
        let words = FoldedText(text).words
        guard !words.isEmpty else { return nil }
        if words.count == 1, let number = Int(words[0]) { return choices.indices.contains(number - 1) ? number : nil }
        let titles = QuestionForm(.standard, question: id, labels: choices.map(\.label)).options.map(\.title)
        let matching = choices.indices.filter { index in
            let label = choices[index].label
            return [label.property, label.landlord, titles[index]].contains { name in
                name.map { FoldedText($0).words == words } ?? false
            }
        }
        return matching.count == 1 ? matching[0] + 1 : nil
    }
}

/// What the ladder made of a message.
public struct Resolution: Hashable, Sendable {
    public var decision: RoutingDecision
    /// The question that the message answers.
    public var answer: ChoiceToken?
    /// One landlord is meant, by a lease in its days of grace or a thread that outlived its lease.
    public var isEnded: Bool

    public init(_ decision: RoutingDecision, answer: ChoiceToken? = nil, isEnded: Bool = false) {
        self.decision = decision
        self.answer = answer
        self.isEnded = isEnded
    }
}
