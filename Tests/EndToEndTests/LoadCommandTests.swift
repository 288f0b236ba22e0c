import Foundation
import Testing

extension EndToEndTests {
    @Suite struct LoadCommandTests {
        private struct Summary: Decodable {
            let sent: Int
            let acknowledged: Int
            let refused: [String: Int]
            let broken: Int
            let unanswered: Int
            let unsent: Int
        }

        private static func load(
            _ stage: Stage, _ options: [String] = [], _ change: [String: String?] = [:]
        ) async throws -> (summary: Summary?, exit: GatewayProcess.Exit, errors: String) {
            let standard = ["--rate", "200", "--connections", "4", "--seconds", "2", "--warm-up", "0", "--json"]
            let process = try stage.spawn(["bench", "load"] + standard + options, change)
            let exit = try await process.end()
            let summary = try? JSONDecoder.snakeCase.decode(Summary.self, from: Data(process.output.utf8))
            return (summary, exit, process.errors)
        }

        @Test("a load is acknowledged whole, and each webhook of it is recorded as one message")
        func whole() async throws {
            try await Stage.run { stage in
                _ = try await stage.start()
                try await stage.untilReady()
                let receipts = stage.directory + "/receipts"
                let (summary, exit, errors) = try await Self.load(stage, ["--receipts", receipts])
                #expect(exit == .status(0), "\(errors)")
                #expect(summary?.sent == 400)
                #expect(summary?.acknowledged == 400)
                #expect(summary?.refused == [:])
                try await Account.settle(stage)
                let recorded = try await stage.texts(
                    "SELECT wamid FROM gateway.whatsapp_messages WHERE wamid NOT LIKE 'wamid.last-%'")
                let lines = try String(contentsOfFile: receipts, encoding: .utf8).split(separator: "\n")
                let receipted = lines.compactMap { $0.split(separator: ",").first.map(String.init) }
                #expect(receipted.count == 400)
                #expect(Set(receipted) == Set(recorded))
            }
        }

        @Test("refusals are counted by status, and fail the command")
        func refused() async throws {
            try await Stage.run { stage in
                _ = try await stage.start()
                let (summary, exit, _) = try await Self.load(stage, [], ["META_APP_SECRET": "another-secret"])
                #expect(exit == .status(1))
                #expect(summary?.acknowledged == 0)
                #expect(summary?.refused == ["401": 400])
                #expect(summary?.broken == 0)
            }
        }

        @Test("without a server, or with an authority that did not sign for it, the command says so and fails")
        func unreachable() async throws {
            try await Stage.run { stage in
                let (none, absent, said) = try await Self.load(stage)
                #expect(none == nil)
                #expect(absent == .status(1))
                #expect(said.contains("no TLS connection to https://localhost:\(stage.ingressPort)/api/webhooks/meta"))

                _ = try await stage.start()
                let empty = ["GATEWAY_CERTS_DIR": stage.directory]
                let (untrusted, refused, why) = try await Self.load(stage, [], empty)
                #expect(untrusted == nil)
                #expect(refused == .status(1))
                #expect(why.contains("--ca"))
            }
        }

        @Test(
            "a wrong command line is named, with what would be right",
            arguments: [(["--rate", "0"], "--rate is 0"), (["--first-sender", "12"], "--first-sender is 12")])
        func commandLine(options: [String], complaint: String) async throws {
            try await Stage.run { stage in
                let (_, exit, errors) = try await Self.load(stage, options)
                #expect(exit == .status(64))
                #expect(errors.contains(complaint))
            }
        }
    }
}

extension JSONDecoder {
    fileprivate static var snakeCase: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }
}
