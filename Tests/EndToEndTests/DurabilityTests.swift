import NIOCore
import Synchronization
import Testing

extension EndToEndTests {
    /// What a kill loop cannot show: the page cache outlives the process, so a sync that is missing is not missed.
    @Suite struct DurabilityTests {
        @Test("Between a webhook and its answer the journal is written and synced, in this order")
        func order() async throws {
            try await Stage.run { stage in
                let system = try await SystemCalls(stage)
                _ = try await stage.start(system.settings(stage))
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                #expect(try await connection.post(Script.text("wamid.first", from: Crowd.phone(1))).status == 200)

                for number in 1...20 {
                    let before = system.calls.count
                    let isHeld = number % 4 == 0
                    if isHeld { system.order(.holdSync) }
                    let answer = try await connection.send(Script.text("wamid.\(number)", from: Crowd.phone(1)))
                    let isAnswered = Flag(answer)
                    try await eventually("a sync, or an answer without one") {
                        isAnswered.value || system.calls.dropFirst(before).contains(.syncBegins)
                    }
                    if isHeld { #expect(!isAnswered.value, "answered while the sync was not done") }
                    system.withdraw(.holdSync)
                    #expect(try await answer.get().status == 200)
                    try check(Array(system.calls.dropFirst(before)))
                }
                await connection.close()
            }
        }

        /// From the request's last bytes to the answer's first.
        private func check(_ calls: [SystemCalls.Call]) throws {
            let descriptor = try #require(
                calls.compactMap { call -> Int? in
                    if case .request(let descriptor) = call { descriptor } else { nil }
                }.first)
            let answered = try #require(calls.firstIndex(of: .answer(descriptor)))
            let request = try #require(calls[..<answered].lastIndex(of: .request(descriptor)))
            let written = try #require(
                calls[request..<answered].firstIndex(of: .journalWrite), "no write before the answer")
            #expect(
                calls[written..<answered].contains(.syncEnds(succeeded: true)),
                "no completed sync between the journal's write and the answer: \(calls)")
        }

        @Test(
            "After a sync that failed nothing is acknowledged, those waiting get 503, and the gateway ends with a failure"
        )
        func failedSync() async throws {
            try await Stage.run { stage in
                let system = try await SystemCalls(stage)
                let gateway = try await stage.start(system.settings(stage))
                var connections: [WebhookConnection] = []
                for number in 0..<6 {
                    let connection = try await WebhookConnection.open(port: stage.ingressPort)
                    #expect(
                        try await connection.post(Script.text("wamid.good-\(number)", from: Crowd.phone(2))).status
                            == 200)
                    connections.append(connection)
                }
                let before = system.calls.count
                system.order(.holdSync)
                var answers: [EventLoopFuture<WebhookConnection.Answer>] = []
                for (number, connection) in connections.enumerated() {
                    answers.append(try await connection.send(Script.text("wamid.bad-\(number)", from: Crowd.phone(3))))
                }
                try await eventually("all requests to be read, and one of them to be synced") {
                    let calls = system.calls.dropFirst(before)
                    let descriptors = Set(calls.compactMap { if case .request(let it) = $0 { it } else { nil } })
                    return descriptors.count == 6 && calls.contains(.syncBegins)
                }
                system.order(.failSync)
                system.withdraw(.holdSync)
                for answer in answers {
                    let answer = try await answer.get()
                    #expect(answer.status == 503 && answer.retryAfter != nil)
                }
                #expect(try await gateway.end() == .status(1))
                let last = gateway.errors.split(separator: "\n").last ?? ""
                #expect(last.hasPrefix("zenrent-gateway: the journal could not be written"), "\(last)")
                system.withdraw(.failSync)

                // What was refused is posted again, as Meta does.
                _ = try await stage.start(system.settings(stage))
                for number in 0..<6 { try await Account.post("wamid.bad-\(number)", to: stage) }
                try await Account.settle(stage)
                let account = try await Account(stage)
                #expect(account.recorded.filter { $0.key.hasPrefix("wamid.bad-") }.map(\.value) == [1, 1, 1, 1, 1, 1])
                #expect(account.recorded.filter { $0.key.hasPrefix("wamid.good-") }.map(\.value) == [1, 1, 1, 1, 1, 1])
            }
        }

        @Test("A full disk is answered with 503 and Retry-After, and webhooks are taken again once there is space")
        func fullDisk() async throws {
            try await Stage.run { stage in
                let system = try await SystemCalls(stage)
                let gateway = try await stage.start(system.settings(stage))
                let load = Load(port: stage.ingressPort, connections: 4, seed: 17)
                try await load.running { load in
                    try await load.acknowledged(50)
                    system.order(.noSpace)
                    try await eventually("refusals") { load.ledger.refusals[503, default: 0] >= 20 }
                    let connection = try await WebhookConnection.open(port: stage.ingressPort)
                    let answer = try await connection.post(Script.text("wamid.no-space", from: Crowd.phone(3)))
                    #expect(answer.status == 503 && answer.retryAfter == "5")
                    #expect(gateway.exit == nil)
                    system.withdraw(.noSpace)
                    try await load.acknowledged(100)
                    #expect(try await connection.post(Script.text("wamid.space", from: Crowd.phone(3))).status == 200)
                }
                #expect(Set(load.ledger.refusals.keys) == [503] && load.ledger.lost == 0)
                try await Account.settle(stage)
                var ledger = load.ledger
                ledger.sent.formUnion(["wamid.no-space", "wamid.space"])
                ledger.acknowledged.insert("wamid.space")
                try await Account(stage).checkExactlyOnce(ledger)
                try await Account.checkVerdicts(stage)
            }
        }
    }
}

/// Whether a future has come to its end.
final class Flag: Sendable {
    private let isSet = Atomic(false)

    init(_ future: EventLoopFuture<WebhookConnection.Answer>) {
        future.whenComplete { [self] _ in isSet.store(true, ordering: .releasing) }
    }

    var value: Bool { isSet.load(ordering: .acquiring) }
}
