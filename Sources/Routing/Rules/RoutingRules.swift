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
    /// The most files there may be, and the most bytes all of them may have.
    package static let filesMax = 1000
    package static let totalSizeLimit = 16 << 20

    /// Its name, as errors show it.
    package var name: String
    package var content: Content

    package init(name: String, content: Content) {
        self.name = name
        self.content = content
    }

    /// Bytes that were read.
    package var size: Int {
        if case .bytes(let bytes) = content { bytes.count } else { 0 }
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
    /// The digest as people compare it.
    package var digestText: String {
        let digits = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

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
    ///   - downstreams: names of the endpoints that `forward` may name; `nil` = they are not compared.
    ///   - isTimeZone: whether a name stands in the time zone database.
    /// - Throws: everything that is wrong, with file, line and column.
    package init(
        files: [RulesFile], directory: String, downstreams: Set<String>? = nil,
        isTimeZone: @escaping (String) -> Bool
    ) throws(RulesErrors) {
        guard !files.isEmpty else {
            throw RulesErrors([
                RulesError(
                    file: directory, problem: "there is no *\(RulesFile.fileExtension) file in the rules directory",
                    hint: "Copy routing-rules/default.yaml there, or set GATEWAY_RULES_DIR to where your rules are.")
            ])
        }
        let size = files.reduce(0) { $0 + $1.size }
        guard files.count <= RulesFile.filesMax, size <= RulesFile.totalSizeLimit else {
            throw Self.tooMuch(directory, files: files.count, bytes: size)
        }
        if let twice = Self.firstTwice(files) {
            throw RulesErrors([
                RulesError(
                    file: twice, problem: "there are two files of this name", hint: "Give each a name of its own.")
            ])
        }
        var reader = RulesReader(downstreams: downstreams, isTimeZone: isTimeZone)
        for file in files.sorted(by: { $0.name < $1.name }) { reader.read(file) }
        guard reader.errors.isEmpty else { throw RulesErrors(reader.errors) }
        self = reader.rules
    }

    /// What more files, or larger ones, than anybody writes by hand come to.
    package static func tooMuch(_ path: String, files: Int, bytes: Int) -> RulesErrors {
        RulesErrors([
            RulesError(
                file: path,
                problem: "there are \(files) rules files with \(bytes) bytes, and at most \(RulesFile.filesMax) with "
                    + "\(RulesFile.totalSizeLimit) bytes are read",
                hint: "Remove what is no rule; long lists of people belong in the database.")
        ])
    }

    /// A directory has no two files of a name; what somebody sends may.
    private static func firstTwice(_ files: [RulesFile]) -> String? {
        var names: Set<String> = []
        return files.first { !names.insert($0.name).inserted }?.name
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
