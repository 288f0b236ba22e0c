package import Messaging

/// What administrators may do about the rules of a running gateway.
package protocol RulesControl: Sendable {
    /// By which rules the gateways decide.
    func status() async -> RulesStatusReport

    /// Whether rules can be used.
    /// - Parameter files: `nil` = those of the gateway's directory, as it is now.
    func check(_ files: [RulesFile]?) async -> RulesCheckReport

    /// What other rules would change. Writes and sends nothing.
    /// - Parameters:
    ///   - files: as for `check`.
    ///   - last: how many recorded messages are replayed, `RulesDiff.messagesMax` at most.
    func diff(_ files: [RulesFile]?, last: Int) async -> RulesDiffAnswer

    /// Loads the gateway's directory, as SIGHUP does.
    func reload(by administrator: UniqueID) async -> RulesReloadAnswer
}

package enum RulesDiffAnswer: Sendable {
    case compared(RulesDiffReport)
    /// The other rules cannot be used.
    case wrong(RulesErrors)
    /// No messages could be read.
    case unmade(reason: String)
}

package enum RulesReloadAnswer: Sendable {
    case done(RulesReloadReport)
    /// Everything is as it was; the reason names file and line.
    case rejected(reason: String)
}
