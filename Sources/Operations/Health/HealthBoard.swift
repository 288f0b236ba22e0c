import Synchronization

/// How a part of the gateway is.
package enum HealthState: Sendable, Hashable {
    case ok
    /// Works with less than it should have; says what and what to do.
    case degraded(reason: String)
    /// Does not work; says why and what to do.
    case failed(reason: String)
}

/// Where every part of the gateway says how it is, and where probes read whether webhooks can be acknowledged.
///
/// A part either reports changes through its `HealthReporter` or is asked by a closure at the moment of the probe.
package final class HealthBoard: Sendable {
    private enum Source {
        case reported(HealthState)
        case asked(@Sendable () -> HealthState)
    }

    private struct Entry {
        let name: String
        let blocksAcknowledging: Bool
        var source: Source
    }

    /// In the order of registration; the order of the answer, too.
    private let entries = Mutex<[Entry]>([])

    package init() {}

    /// Adds a part that reports by itself.
    /// - Parameters:
    ///   - blocksAcknowledging: whether webhooks cannot be acknowledged while it is `failed`.
    ///   - state: until the first report; a part that must first come up starts as `.failed(reason: "starting")`.
    package func register(
        _ name: String, blocksAcknowledging: Bool, state: HealthState = .failed(reason: "starting")
    ) -> HealthReporter {
        add(Entry(name: name, blocksAcknowledging: blocksAcknowledging, source: .reported(state)))
        return HealthReporter(name: name, board: self)
    }

    /// Adds a part that is asked; `read` must answer at once, from memory.
    package func register(
        _ name: String, blocksAcknowledging: Bool, read: @escaping @Sendable () -> HealthState
    ) {
        add(Entry(name: name, blocksAcknowledging: blocksAcknowledging, source: .asked(read)))
    }

    /// How one part is; `nil` where none of this name is registered.
    package func state(of name: String) -> HealthState? {
        let source = entries.withLock { entries in entries.first { $0.name == name }?.source }
        return switch source {
        case .reported(let state): state
        case .asked(let read): read()
        case nil: nil
        }
    }

    package func report() -> HealthReport {
        let entries = entries.withLock { $0 }
        return HealthReport(
            components: entries.map { entry in
                let state =
                    switch entry.source {
                    case .reported(let state): state
                    case .asked(let read): read()
                    }
                return HealthReport.Component(
                    name: entry.name, blocksAcknowledging: entry.blocksAcknowledging, state: state)
            })
    }

    /// `gateway_ready`, and `gateway_component_state` for each part: 0 is ok, 1 degraded, 2 failed.
    package func samples() -> [MetricSample] {
        let report = report()
        let ready = MetricSample("gateway_ready", .gauge, value: report.canAcknowledge ? 1 : 0)
        return [ready]
            + report.components.map {
                MetricSample(
                    "gateway_component_state", .gauge, labels: [("component", $0.name)], value: $0.state.metricValue)
            }
    }

    package static let descriptions = [
        MetricDescription("gateway_ready", "1 while webhooks can be acknowledged."),
        MetricDescription("gateway_component_state", "Health of a part: 0 ok, 1 degraded, 2 failed."),
    ]

    fileprivate func set(_ name: String, to state: HealthState) {
        entries.withLock { entries in
            guard let index = entries.firstIndex(where: { $0.name == name }) else { return }
            entries[index].source = .reported(state)
        }
    }

    private func add(_ entry: Entry) {
        entries.withLock { entries in
            precondition(!entries.contains { $0.name == entry.name }, "a part registers once: \(entry.name)")
            entries.append(entry)
        }
    }
}

/// The handle by which one part says how it is. Any thread may use it.
package struct HealthReporter: Sendable {
    private let name: String
    private let board: HealthBoard

    fileprivate init(name: String, board: HealthBoard) {
        self.name = name
        self.board = board
    }

    package func report(_ state: HealthState) { board.set(name, to: state) }
}

/// How everything was at one moment.
package struct HealthReport: Sendable, Hashable {
    package struct Component: Sendable, Hashable {
        package let name: String
        package let blocksAcknowledging: Bool
        package let state: HealthState
    }

    package let components: [Component]

    /// Whether a webhook that comes in now gets its 200.
    package var canAcknowledge: Bool {
        components.allSatisfy { !($0.blocksAcknowledging && $0.state.hasFailed) }
    }

    /// `ready`, `degraded` (acknowledges, but something is not ok) or `unready`.
    package var summary: String {
        if !canAcknowledge { return "unready" }
        return components.allSatisfy { $0.state == .ok } ? "ready" : "degraded"
    }

    /// One JSON object; `degraded` names what is not ok.
    package var json: String {
        let named = components.filter { $0.state != .ok }.map { JSONText.quoted($0.name) }
        let parts = components.map { component in
            var text = "{\"name\":\(JSONText.quoted(component.name)),\"state\":\"\(component.state.name)\""
            text += ",\"blocks_acknowledging\":\(component.blocksAcknowledging)"
            if let reason = component.state.reason { text += ",\"reason\":\(JSONText.quoted(reason))" }
            return text + "}"
        }
        return "{\"status\":\"\(summary)\",\"can_acknowledge\":\(canAcknowledge)"
            + ",\"degraded\":[\(named.joined(separator: ","))],\"components\":[\(parts.joined(separator: ","))]}\n"
    }
}

extension HealthState {
    var name: String {
        switch self {
        case .ok: "ok"
        case .degraded: "degraded"
        case .failed: "failed"
        }
    }

    var reason: String? {
        switch self {
        case .ok: nil
        case .degraded(let reason), .failed(let reason): reason
        }
    }

    var hasFailed: Bool {
        switch self {
        case .ok, .degraded: false
        case .failed: true
        }
    }

    var metricValue: Double {
        switch self {
        case .ok: 0
        case .degraded: 1
        case .failed: 2
        }
    }
}
