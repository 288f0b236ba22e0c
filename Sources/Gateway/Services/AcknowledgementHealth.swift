package import Operations

/// Whether webhooks get their 200 under the policy `postgres`: only where everything works that recording needs.
package struct AcknowledgementHealth: Sendable {
    private let board: HealthBoard
    private let refusal: @Sendable () -> String?

    /// - Parameter refusal: why nobody was answered lately, as those who waited in vain know.
    package init(_ board: HealthBoard, refusal: @escaping @Sendable () -> String?) {
        self.board = board
        self.refusal = refusal
    }

    package var state: HealthState {
        if let refusal = refusal() { return .failed(reason: refusal) }
        // Stale routes will do, for then the database is asked; without any nothing is recorded.
        for (name, mustBeWell) in [("database", true), ("recording", true), ("routes", false)] {
            guard let reason = trouble(of: name, mustBeWell: mustBeWell) else { continue }
            return .failed(
                reason: "a webhook is acknowledged once PostgreSQL has recorded it (GATEWAY_ACK=postgres), and that "
                    + "waits for \(name): \(reason)")
        }
        return .ok
    }

    private func trouble(of name: String, mustBeWell: Bool) -> String? {
        switch board.state(of: name) {
        case .ok: nil
        case .degraded(let reason): mustBeWell ? reason : nil
        case .failed(let reason): reason
        case nil: "starting"
        }
    }
}
