package import Messaging

/// What an administrator wants explained, in their words: a message that was recorded, or what would become of one.
package struct ExplanationRequest: Hashable, Sendable {
    /// A message's id (the provider's or ours), a telephone number, or an account id.
    package var subject: String
    /// What the subject is, where its form does not tell.
    package var kind: ExplanationSubject.Kind?
    /// An endpoint of ours, by the provider's id or ours. The rest is of a message that was not written.
    package var endpoint: String?
    package var text: String?
    /// The provider's word.
    package var type: String?
    package var at: String?
    /// The provider's id of the message it quotes.
    package var quoted: String?
    /// What a tapped option carries back.
    package var tapped: String?
    /// Telephone numbers and account ids whole.
    package var isUnmasked = false

    package init(_ subject: String) { self.subject = subject }

    /// What is said of a message that was not written.
    package var given: [ExplanationError.Parameter] {
        let all: [(ExplanationError.Parameter, String?)] = [
            (.endpoint, endpoint), (.text, text), (.type, type), (.at, at), (.quoted, quoted), (.tapped, tapped),
        ]
        return all.filter { $0.1 != nil }.map(\.0)
    }
}

/// Who asks, for the audit log.
package struct ExplanationReader: Hashable, Sendable {
    /// `nil` at the command line.
    package var id: UniqueID?
    package var role: String

    package init(id: UniqueID?, role: String) {
        self.id = id
        self.role = role
    }
}

/// Why nothing is explained.
package enum ExplanationError: Error, Hashable, Sendable {
    /// Something of the request cannot be used.
    case invalid(Parameter, problem: String, cure: String)
    /// No such message is recorded.
    case unknownMessage
    /// The routing table was not loaded yet.
    case notReady
    /// The database cannot be asked; the reason is for the log.
    case unavailable(String)

    /// The parts of a request, as callers of the API and the command line name them.
    package enum Parameter: String, Sendable, CaseIterable {
        case subject = "of"
        case kind = "as"
        case endpoint = "to"
        case text
        case type
        case at
        case quoted = "quote"
        case tapped = "tap"
    }
}

/// Explains decisions of the ladder and the rules.
package protocol MessageExplainer: Sendable {
    /// With an audit line: what is read here is private.
    func explain(
        _ request: ExplanationRequest, for reader: ExplanationReader
    ) async throws(ExplanationError) -> Explanation
}

/// What a request is about.
package enum ExplanationSubject: Hashable, Sendable {
    /// A message by our id.
    case message(UniqueID)
    /// A message by the provider's id.
    case providerMessage(String)
    case phone(PhoneNumber)
    case account(String)

    package enum Kind: String, Sendable, CaseIterable {
        case message, phone, account
    }

    /// In bytes: longer ids are nobody's.
    private static let lengthMax = 512

    package init(
        parsing text: String, as kind: Kind?, defaultCountryCode: String
    ) throws(ExplanationError) {
        guard !text.isEmpty, text.utf8.count <= Self.lengthMax, !text.utf8.contains(0) else {
            throw .invalid(
                .subject, problem: "it is empty, or longer than \(Self.lengthMax) bytes",
                cure: "give a message's id, a telephone number or an account id")
        }
        switch kind ?? Self.kind(of: text) {
        case .message: self = UniqueID(text).map(Self.message) ?? .providerMessage(text)
        case .account: self = .account(text)
        case .phone:
            guard let number = PhoneNumber(parsing: text, defaultCountryCode: defaultCountryCode) else {
                throw .invalid(
                    .subject, problem: "it is not a telephone number",
                    cure: "write it with its country code, such as +44 20 7946 0000")
            }
            self = .phone(number)
        }
    }

    /// Our ids are messages'; digits and what people put between them are a number, and so is what begins with a plus
    /// sign; `US.13491208655302741918` and `US.ENT.…` are account ids; everything else is a message's id.
    private static func kind(of text: String) -> Kind {
        // One may have no letters.
        if UniqueID(text) != nil { return .message }
        let between: Set<Unicode.Scalar> = ["+", " ", "-", "(", ")", ".", "/"]
        let isNumber = text.unicodeScalars.allSatisfy { between.contains($0) || ("0"..."9").contains($0) }
        if isNumber || text.hasPrefix("+") { return .phone }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"):
                true
            default: false
            }
        }
        let hasCountry = parts[0].count == 2 && parts[0].allSatisfy { (0x41...0x5A).contains($0) }
        let isAccount =
            hasCountry && (2...3).contains(parts.count)
            && parts.dropFirst().allSatisfy { !$0.isEmpty && $0.allSatisfy(isAlphanumeric) }
        return isAccount ? .account : .message
    }
}
