package import Messaging

/// A file of the rules directory as it was found there.
package struct RulesFile: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        case bytes([UInt8])
        /// Larger than `sizeLimit`, and therefore not read.
        case tooLarge(bytes: Int)
        /// The reason the system gave.
        case unreadable(String)
    }

    /// What counts as a rules file.
    package static let fileExtension = ".yaml"
    /// The most bytes a rules file may have.
    package static let sizeLimit = 1 << 20

    /// Its name, as errors show it.
    package var name: String
    package var content: Content

    package init(name: String, content: Content) {
        self.name = name
        self.content = content
    }

    package init(name: String, text: String) {
        self.init(name: name, content: .bytes(Array(text.utf8)))
    }
}

/// What the administrators decided: rules, how replies are signed, and how the ladder works.
package struct RoutingRules: Hashable, Sendable {
    package var rules = RuleSet.empty
    /// In front of every reply of a landlord who has none of their own.
    package var signature = LandlordSignature.standard
    /// How long a conversation counts as one in which the landlord just spoke, in hours.
    package var landlordSpokeHours = 24
    /// Whether a tenant who may mean several landlords is asked; without, the message waits for an administrator.
    package var asks = true
    /// How long the answer is waited for, in hours.
    package var askTimeoutHours = 24
    package var afterTimeout = AfterTimeout.hold
    package var question = QuestionWording.standard
    /// What somebody hears whom no landlord has; nothing by default.
    package var unknownSenderReply: String?
    /// Before the same person hears it again, in hours.
    package var unknownSenderHours = 24
    /// Of the files they were read from: the same files give the same digest.
    package var digest: UInt64 = 0

    /// Where messages go whose sender did not say which landlord they are for.
    package enum AfterTimeout: Hashable, Sendable {
        /// They wait for an administrator.
        case hold
        /// To this landlord, if the sender is still a tenant of theirs; else they wait.
        case assign(UniqueID)
    }

    /// What holds where the files say nothing.
    package static let standard = RoutingRules()

    /// The hours a window may have: beyond a week, who spoke last says nothing about who is meant.
    package static let landlordSpokeHoursRange = 1...168
    /// Meta lets us answer for 24 hours; an answer to a question may come later.
    package static let askTimeoutHoursRange = 1...168
    /// Under an hour two machines that answer each other would talk all day.
    package static let unknownSenderHoursRange = 1...8760

    init() {}

    /// Reads all files of the rules directory, in the order of their names. Each setting may stand in one of them only.
    /// - Parameters:
    ///   - directory: its path, for the error when there is no file in it.
    ///   - isTimeZone: whether a name stands in the time zone database.
    /// - Throws: everything that is wrong, with file, line and column.
    package init(
        files: [RulesFile], directory: String, isTimeZone: @escaping (String) -> Bool
    ) throws(RulesErrors) {
        guard !files.isEmpty else {
            throw RulesErrors([
                RulesError(
                    file: directory, problem: "there is no *\(RulesFile.fileExtension) file in the rules directory",
                    hint: "Copy routing-rules/default.yaml there, or set GATEWAY_RULES_DIR to where your rules are.")
            ])
        }
        var reader = RulesReader(isTimeZone: isTimeZone)
        for file in files.sorted(by: { $0.name < $1.name }) { reader.read(file) }
        guard reader.errors.isEmpty else { throw RulesErrors(reader.errors) }
        self = reader.rules
    }

    /// What a directory that cannot be listed at all comes to.
    /// - Parameter reason: the system's words, such as `No such file or directory`.
    package static func unreadableDirectory(_ path: String, reason: String) -> RulesErrors {
        RulesErrors([
            RulesError(
                file: path, problem: "the rules directory cannot be read: \(reason)",
                hint: "Create it and let the gateway's user read it, or set GATEWAY_RULES_DIR to where your rules are.")
        ])
    }
}
