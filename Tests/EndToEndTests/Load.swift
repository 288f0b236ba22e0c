import Gateway
import GatewayTesting
import Messaging
import Sandbox
import Synchronization
import Testing

/// What a load has sent and how it was answered.
struct Ledger: Sendable {
    /// By wamid: everything that ever left.
    var sent: Set<String> = []
    /// By wamid: what was answered with 200.
    var acknowledged: Set<String> = []
    var acknowledgedWebhooks = 0
    /// How often each other status came.
    var refusals: [Int: Int] = [:]
    /// Requests whose connection ended before the answer, and connections that were not made.
    var lost = 0
    var unconnected = 0
}

/// Posts webhooks as Meta does, over several keep-alive connections: texts, batches, statuses, and one in ten again on
/// purpose. What is not answered with 200 is posted again before anything else of its sender.
final class Load: Sendable {
    private let port: Int
    private let state = Mutex(Ledger())
    private let isStopped = Atomic(false)
    private let connections: Int
    /// How many webhooks may be begun in all.
    private let allowed: Watched<Int>
    private let begun = Atomic(0)
    private let makeScript: @Sendable (_ worker: Int) -> any WebhookScript

    convenience init(port: Int, connections: Int = 4, seed: UInt64) {
        self.init(port: port, connections: connections) { Script(worker: $0, workers: connections, seed: seed) }
    }

    /// - Parameters:
    ///   - allowed: how many webhooks are posted before more are allowed.
    ///   - script: what each connection posts, by its number.
    init(
        port: Int, connections: Int, allowed: Int = .max,
        script: @escaping @Sendable (_ worker: Int) -> any WebhookScript
    ) {
        self.port = port
        self.connections = connections
        self.allowed = Watched(allowed)
        makeScript = script
    }

    var ledger: Ledger { state.withLock { $0 } }

    /// Lets those that wait and so many more webhooks be posted, and no more before the next call.
    func allow(_ more: Int) { allowed.change { $0 = begun.load(ordering: .relaxed) + more } }

    /// Runs while the body runs; the webhooks that are under way then are settled.
    func running<Result>(_ body: (Load) async throws -> Result) async throws -> Result {
        let workers = (0..<connections).map { index in Task { await work(index) } }
        do {
            let result = try await body(self)
            await stop(workers)
            return result
        } catch {
            isStopped.store(true, ordering: .relaxed)
            for worker in workers { worker.cancel() }
            for worker in workers { await worker.value }
            throw error
        }
    }

    private func stop(_ workers: [Task<Void, Never>]) async {
        isStopped.store(true, ordering: .relaxed)
        allowed.change { $0 = .max }
        for worker in workers { await worker.value }
    }

    /// Waits until so many more webhooks were acknowledged.
    func acknowledged(_ more: Int) async throws {
        let target = ledger.acknowledgedWebhooks + more
        try await eventually("\(more) more acknowledged webhooks") { ledger.acknowledgedWebhooks >= target }
    }

    // MARK: One connection

    private func work(_ index: Int) async {
        var script = makeScript(index)
        var connection: WebhookConnection?
        while await mayBegin() {
            let webhook = script.next()
            state.withLock { $0.sent.formUnion(webhook.wamids) }
            var isSettled = false
            while !isSettled, !Task.isCancelled {
                (isSettled, connection) = await attempt(webhook, over: connection)
                // A gateway that is down stays down when the load ends, too.
                if !isSettled, isStopped.load(ordering: .relaxed) { return }
            }
        }
        await connection?.close()
    }

    /// Waits for leave to post the next webhook; `false` when the load ends.
    private func mayBegin() async -> Bool {
        let number = begun.add(1, ordering: .relaxed).oldValue
        await allowed.until { number < $0 }
        return !isStopped.load(ordering: .relaxed) && !Task.isCancelled
    }

    private func attempt(
        _ webhook: Script.Webhook, over open: WebhookConnection?
    ) async -> (isSettled: Bool, WebhookConnection?) {
        var connection = open
        if connection == nil {
            connection = try? await WebhookConnection.open(port: port)
            if connection == nil {
                state.withLock { $0.unconnected += 1 }
                // Meta would wait for longer.
                try? await Task.sleep(for: .milliseconds(5))
                return (false, nil)
            }
        }
        do {
            let answer = try await connection?.post(webhook.body)
            let isAcknowledged = answer?.status == 200
            state.withLock { ledger in
                if isAcknowledged {
                    ledger.acknowledged.formUnion(webhook.wamids)
                    ledger.acknowledgedWebhooks += 1
                } else {
                    ledger.refusals[answer?.status ?? 0, default: 0] += 1
                }
            }
            return (isAcknowledged, answer?.isLast == true ? nil : connection)
        } catch {
            state.withLock { $0.lost += 1 }
            return (false, nil)
        }
    }
}

/// The webhooks of one connection, one after the other. It has senders of its own, so that each sender's order is known.
protocol WebhookScript {
    mutating func next() -> Script.Webhook
}

/// Texts and statuses of people who stay who they are.
struct Script: WebhookScript {
    struct Webhook: Sendable {
        let body: [UInt8]
        /// Of the messages in it; none for a status.
        let wamids: [String]
    }

    static let phone = MetaPhone(
        accountID: Development.businessAccountID, phoneNumberID: Development.phoneNumberID,
        displayNumber: Development.displayNumber)

    private let senders: [String]
    private var generator: SeededGenerator
    private var sequence = 0
    private var earlier: [Webhook] = []
    private let payloads = MetaPayloads(phone: phone)
    private let name: String

    init(worker: Int, workers: Int, seed: UInt64) {
        senders = (0..<Crowd.count).filter { $0 % workers == worker }.map { Crowd.phone($0) }
        generator = SeededGenerator(seed: seed &+ UInt64(worker))
        name = String(seed, radix: 36) + "-\(worker)"
    }

    mutating func next() -> Webhook {
        let webhook: Webhook
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<10 where !earlier.isEmpty: return earlier.randomElement(using: &generator) ?? earlier[0]
        case 10..<15: webhook = messages(Int.random(in: 2...5, using: &generator))
        case 15..<20: webhook = unknownStatus()
        default: webhook = messages(1)
        }
        earlier.append(webhook)
        if earlier.count > 50 { earlier.removeFirst(25) }
        return webhook
    }

    private mutating func messages(_ count: Int) -> Webhook {
        let messages = (0..<count).map { _ in message() }
        return Webhook(body: payloads.batch(messages: messages, updatesPerChange: 2), wamids: messages.map(\.id))
    }

    private mutating func message() -> TenantMessage {
        sequence += 1
        return TenantMessage(
            from: senders.randomElement(using: &generator), id: "wamid.\(name)-\(sequence)", sentAt: Stage.now,
            content: .text("\(Discretion.bodyMark) \(sequence)"), name: "Crowd")
    }

    private mutating func unknownStatus() -> Webhook {
        sequence += 1
        let report = StatusReport(
            messageID: "wamid.\(name)-unknown-\(sequence)", status: "delivered", at: Stage.now,
            recipient: senders.randomElement(using: &generator))
        return Webhook(body: payloads.webhook(report), wamids: [])
    }
}
