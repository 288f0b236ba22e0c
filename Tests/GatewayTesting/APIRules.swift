package import Messaging
package import Routing
import Synchronization

/// Rules as administrators reach them, in memory: files are read for real, nothing is replayed.
package final class APIRules: RulesControl {
    package struct Asked: Hashable, Sendable {
        package var files: [RulesFile]?
        package var last: Int?
        package var administrator: UniqueID?

        package init(files: [RulesFile]? = nil, last: Int? = nil, administrator: UniqueID? = nil) {
            self.files = files
            self.last = last
            self.administrator = administrator
        }
    }

    private let state = Mutex<(asked: [Asked], refusal: String?)>(([], nil))

    package init() {}

    /// What was asked for, in order.
    package var asked: [Asked] { state.withLock { $0.asked } }

    /// Why a reload or a replay fails from now on; `nil` = it does not.
    package var refusal: String? {
        get { state.withLock { $0.refusal } }
        set { state.withLock { $0.refusal = newValue } }
    }

    private func note(_ asked: Asked) { state.withLock { $0.asked.append(asked) } }

    private func read(_ files: [RulesFile]?) throws(RulesErrors) -> RoutingRules {
        guard let files else { return .standard }
        return try RoutingRules(files: files, directory: "request") { _ in true }
    }

    package func status() async -> RulesStatusReport {
        note(Asked())
        let moment = Timestamp(seconds: 1_780_000_000)
        return RulesStatusReport(
            directory: RulesCheckReport(directory: "rules", rules: .standard),
            gateways: [
                .init(
                    gateway: UniqueID(high: 9, low: 9), host: "h", process: 7, directory: "rules", generation: 3,
                    digest: "0000000000000001", rules: 2, loaded: (moment, "SIGHUP"), same: (moment, "SIGHUP"),
                    seenAt: moment, isRunning: true, directoryDigest: "0000000000000000",
                    lastFailure: .init(at: moment, by: "SIGHUP", errors: 1, firstError: "a.yaml:1:1: broken"))
            ])
    }

    package func check(_ files: [RulesFile]?) async -> RulesCheckReport {
        note(Asked(files: files))
        do throws(RulesErrors) {
            return RulesCheckReport(directory: "request", rules: try read(files))
        } catch {
            return RulesCheckReport(directory: "request", error)
        }
    }

    package func diff(_ files: [RulesFile]?, last: Int) async -> RulesDiffAnswer {
        note(Asked(files: files, last: last))
        if let refusal { return .unmade(reason: refusal) }
        do throws(RulesErrors) {
            let rules = try read(files)
            let diff = RulesDiff(before: .standard, after: rules)
            return .compared(
                RulesDiffReport(diff, before: .init(.standard, from: "live"), after: .init(rules, from: "request")))
        } catch {
            return .wrong(error)
        }
    }

    package func reload(by administrator: UniqueID) async -> RulesReloadAnswer {
        note(Asked(administrator: administrator))
        if let refusal { return .rejected(reason: refusal) }
        return .done(
            RulesReloadReport(outcome: "swapped", generation: 4, digest: "0000000000000002", summary: "2 rules"))
    }
}
