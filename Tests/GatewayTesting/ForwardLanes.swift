package import Delivery
package import Messaging

/// Lanes of webhooks in memory that keep the rules of the real ones: in order, one run of a lane at a time, the claim's
/// name as the fence. They know no time: a pause and a lease are over when the test says so.
package final class ForwardLanes: ForwardQueue {
    package struct Outage: Error {}

    package struct Row: Hashable, Sendable {
        package let id: Int64
        package let webhook: ForwardedWebhook?
        package var attempts = 0
        package var ageSeconds: Int64 = 0
        package var hasFailed = false
    }

    private struct Standing {
        var rows: [Row] = []
        var claim: (name: String, head: Int64)?
        var isResting = false
    }

    package struct Dead: Hashable, Sendable {
        package let id: Int64
        package let error: String
    }

    private struct State {
        var lanes: [WebhookSource: Standing] = [:]
        var count: Int64 = 0
        var settlements: [ForwardSettlement] = []
        var dead: [Dead] = []
        var failures: [String: Int] = [:]
        var news = 0
    }

    private let state = Watched(State())

    package init() {}

    package var settlements: [ForwardSettlement] { state.value.settlements }
    package var dead: [Dead] { state.value.dead }
    package func rows(_ source: WebhookSource) -> [Row] { state.value.lanes[source]?.rows ?? [] }

    package func add(_ source: WebhookSource, _ text: String?, ageSeconds: Int64 = 0) {
        state.change { state in
            state.count += 1
            let id = state.count
            let webhook = text.map {
                ForwardedWebhook(
                    id: "journal/\(id)", source: source, signature: Array("sha256=\($0)".utf8), body: Array($0.utf8))
            }
            state.lanes[source, default: Standing()].rows.append(Row(id: id, webhook: webhook, ageSeconds: ageSeconds))
            state.news += 1
        }
    }

    /// The pause of every lane is over.
    package func endPauses() {
        state.change { state in
            for source in WebhookSource.allCases { state.lanes[source]?.isResting = false }
            state.news += 1
        }
    }

    /// Every lease is over: whoever held one has lost it.
    package func endLeases() {
        state.change { state in
            for source in WebhookSource.allCases { state.lanes[source]?.claim = nil }
            state.news += 1
        }
    }

    /// The next so many calls of `claim` or `settle` fail.
    package func fail(_ operation: String, times: Int) { state.change { $0.failures[operation] = times } }

    package func untilEmpty() async { await state.until { $0.lanes.values.allSatisfy(\.rows.isEmpty) } }
    package func untilResting(_ source: WebhookSource) async {
        await state.until { $0.lanes[source]?.isResting == true }
    }

    package func claim(
        _ source: WebhookSource, as claim: String, limit: ForwardLimit, leaseSeconds: Int
    ) async throws -> [ForwardJob<ForwardedWebhook>] {
        try check("claim")
        return state.change { state in
            guard let lane = state.lanes[source], lane.claim == nil, !lane.isResting, let head = lane.rows.first else {
                return []
            }
            state.lanes[source]?.claim = (claim, head.id)
            let run = head.hasFailed ? [head] : Array(lane.rows.prefix(limit.jobs))
            return run.map {
                ForwardJob(id: $0.id, attempt: $0.attempts + 1, ageSeconds: $0.ageSeconds, content: $0.webhook)
            }
        }
    }

    package func settle(_ settlement: ForwardSettlement) async throws {
        try check("settle")
        state.change { state in
            guard
                let source = WebhookSource.allCases.first(where: {
                    state.lanes[$0]?.claim?.name == settlement.claim
                        && state.lanes[$0]?.claim?.head == settlement.head
                })
            else { return }
            state.settlements.append(settlement)
            state.lanes[source]?.claim = nil
            state.lanes[source]?.rows.removeAll { settlement.done.contains($0.id) }
            guard let failed = settlement.failed,
                let index = state.lanes[source]?.rows.firstIndex(where: { $0.id == failed.job })
            else { return }
            switch failed.decision {
            case .again:
                state.lanes[source]?.rows[index].attempts += 1
                state.lanes[source]?.rows[index].hasFailed = true
                state.lanes[source]?.isResting = true
            case .setAside(let error):
                state.lanes[source]?.rows.remove(at: index)
                state.dead.append(Dead(id: failed.job, error: error))
            }
        }
    }

    package func jobsAvailable(atMostSeconds seconds: Int) async {
        await state.until { $0.news > 0 }
        state.change { $0.news = 0 }
    }

    private func check(_ operation: String) throws {
        let fails = state.change { state in
            guard let left = state.failures[operation], left > 0 else { return false }
            state.failures[operation] = left - 1
            return true
        }
        if fails { throw Outage() }
    }
}
