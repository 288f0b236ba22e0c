import Glibc
import Sandbox
import Testing

extension EndToEndTests {
    @Suite struct ForwardTests {
        @Test("Every accepted webhook is passed on once, in order, with the bytes and the signature it came with")
        func passesOn() async throws {
            try await Stage.run { stage in
                let handler = try await CaptureServer.start()
                _ = try await stage.start(["GATEWAY_FORWARD_URL": handler.url])
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 21)
                try await load.running { try await $0.acknowledged(300) }
                try await Account.settle(stage)
                let logged = try await stage.number("SELECT count(*) FROM gateway.webhook_log")
                try await eventually("every webhook to be passed on") { handler.requests.count >= logged }
                #expect(handler.requests.count == logged)
                try await check(handler.requests, stage)
                #expect(try await stage.number("SELECT count(*) FROM gateway.outbox") == 0)
            }
        }

        @Test(
            "Both sources at once: each arrives in its own order, in its own bytes, signed in the header it came with",
            arguments: WebhookSender.sessions)
        func bothSources(session: WebhookSender) async throws {
            try await Stage.run { stage in
                let handler = try await CaptureServer.start()
                _ = try await stage.start([
                    "GATEWAY_FORWARD_URL": handler.url, "VPS_WEBHOOK_SECRET": Stage.sessionSecret.reveal(),
                    "VPS_WEBHOOK_DIALECT": session.dialect.rawValue,
                ])
                try await stage.untilReady()
                let messages = (1...80).map { Script.text("wamid.both-\($0)", from: Crowd.phone($0)) }
                let events = (1...80).map { WebhookSender.event("BOTH\($0)", from: Crowd.phone($0)) }
                async let posted: Void = post(messages, as: .meta, to: stage)
                try await post(events, as: session, to: stage)
                try await posted
                try await eventually("every webhook to be passed on") {
                    let logged = try await stage.number("SELECT count(*) FROM gateway.webhook_log")
                    let queued = try await stage.number("SELECT count(*) FROM gateway.outbox")
                    return logged == 160 && queued == 0
                }
                for (source, sender, bodies) in [("meta", WebhookSender.meta, messages), ("vps", session, events)] {
                    let requests = handler.requests.filter { $0.headers["x-zenrent-webhook-source"] == source }
                    #expect(requests.map(\.body).elementsEqual(bodies), "\(source): the bytes, in the order they came")
                    let positions = requests.map { Int($0.id.split(separator: "/").last ?? "") ?? 0 }
                    #expect(zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 })
                    for request in requests {
                        let signatures = request.headers.filter { WebhookSender.headers.contains($0.key) }
                        #expect(signatures == [sender.header.lowercased(): sender.signature(of: request.body)])
                        #expect(
                            request.headers["x-webhook-hmac-algorithm"]
                                == (source == "vps" && session.dialect == .waha ? "sha512" : nil))
                    }
                }
                #expect(handler.requests.count == 160)
            }
        }

        private func post(_ bodies: [[UInt8]], as sender: WebhookSender, to stage: Stage) async throws {
            let connection = try await WebhookConnection.open(port: stage.ingressPort)
            for body in bodies { #expect(try await connection.post(body, as: sender).status == 200) }
            await connection.close()
        }

        @Test("A handler that is away holds up neither acknowledgements nor recording, and gets everything afterwards")
        func handlerAway() async throws {
            try await Stage.run { stage in
                let port = Stage.freePort()
                _ = try await stage.start(["GATEWAY_FORWARD_URL": "http://127.0.0.1:\(port)/hooks"])
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 22)
                try await load.running { load in
                    try await load.acknowledged(100)
                    try await eventually("the failure to show") {
                        try await stage.operations("/readyz").text.contains("meta webhooks are not passed on")
                    }
                    try await load.acknowledged(100)
                }
                #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0)
                try await Account.settle(stage)
                let logged = try await stage.number("SELECT count(*) FROM gateway.webhook_log")
                #expect(try await stage.number("SELECT count(*) FROM gateway.outbox") == logged)
                let handler = try await CaptureServer.start(port: port)
                // The pause has grown meanwhile; a person may end it.
                try await eventually("every webhook to be passed on") {
                    try await stage.execute("UPDATE gateway.outbox SET next_attempt_at = now() WHERE state = 'ready'")
                    return handler.requests.count >= logged
                }
                try await check(handler.requests, stage)
                try await stage.untilReady()
            }
        }

        @Test("After SIGKILL in the middle everything is passed on all the same, repetitions under their ids")
        func killed() async throws {
            try await Stage.run { stage in
                let handler = try await CaptureServer.start()
                let gateway = try await stage.start(["GATEWAY_FORWARD_URL": handler.url])
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 23)
                try await load.running { load in
                    try await load.acknowledged(50)
                    await handler.untilAsked(20)
                    #expect(try await gateway.end(by: SIGKILL) == .signal(SIGKILL))
                    // The lease of a run that was under way would hold for a while.
                    try await stage.execute("UPDATE gateway.outbox SET next_attempt_at = now()")
                    _ = try await stage.start(["GATEWAY_FORWARD_URL": handler.url])
                    try await load.acknowledged(50)
                }
                try await Account.settle(stage)
                let logged = try await stage.number("SELECT count(*) FROM gateway.webhook_log")
                try await eventually("every webhook to be passed on") {
                    Set(handler.requests.map(\.id)).count >= logged
                }
                try await check(handler.requests, stage)
            }
        }

        /// Each is authentic, is what the log has under its id, and none came before one in front of it was taken.
        private func check(_ requests: [CaptureServer.Captured], _ stage: Stage) async throws {
            let bodies = try await stage.texts(
                """
                SELECT j.journal_uuid || '/' || w.journal_pos || ' ' || encode(w.payload, 'hex')
                  FROM gateway.webhook_log w JOIN gateway.journals j USING (journal_id)
                """)
            var expected = Dictionary(
                uniqueKeysWithValues: bodies.map { $0.split(separator: " ") }.map { (String($0[0]), String($0[1])) })
            var last = 0
            var seen: Set<String> = []
            for request in requests {
                let signature = request.headers["x-hub-signature-256"]
                #expect(signature == MetaPayloads.signature(of: request.body, secret: Stage.appSecret))
                #expect(request.headers["x-zenrent-webhook-source"] == "meta")
                let digits = Array("0123456789abcdef")
                let hex = String(request.body.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
                if seen.insert(request.id).inserted { #expect(expected.removeValue(forKey: request.id) == hex) }
                let position = Int(request.id.split(separator: "/").last ?? "") ?? 0
                #expect(position <= last + 1, "\(request.id) after \(last)")
                last = max(last, position)
            }
            #expect(expected.isEmpty, "never passed on: \(expected.count)")
        }
    }
}
