import Foundation
import Glibc
import Logging
import PrivatePostgres
import Testing

extension EndToEndTests {
    @Suite struct DevelopmentTests {
        @Test("dev brings up everything, the commands beside it tell its story, and Ctrl-C stops what it started")
        func story() async throws {
            try await Stage.run { stage in
                let change: [String: String?] = [
                    "DATABASE_URL": nil, "META_APP_SECRET": nil, "META_WEBHOOK_VERIFY_TOKEN": nil,
                    "WHATSAPP_PHONE_NUMBER_ID": nil, "WHATSAPP_BUSINESS_ACCOUNT_ID": nil,
                    "SANDBOX_PORT": "\(Stage.freePort())",
                ]
                let home = try PrivatePostgres(dataDirectory: stage.directory + "/data", logger: Logger(label: "test"))
                    .home
                defer { try? FileManager.default.removeItem(atPath: home) }
                let development = try stage.spawn(["dev"], change)
                try await eventually("dev to say what to try", within: .seconds(120)) {
                    if let exit = development.exit {
                        throw GatewayProcess.SpawnError(description: "\(exit): \(development.errors)")
                    }
                    return development.output.contains("curl")
                }
                try await stage.untilReady()

                func said(_ arguments: [String]) async throws -> String {
                    let command = try stage.spawn(arguments, change)
                    #expect(try await command.end() == .status(0), "\(arguments): \(command.errors)")
                    return command.output
                }
                for sender in ["447911123456", "447700900003", "447700999999"] {
                    _ = try await said(["twin", "send", "--from", sender, "--text", "The kettle is broken"])
                }
                let alice = try await Landlord("Alice", of: stage)
                let thread = try await eventual("Alice to see the thread") { try await alice.conversations().first }
                #expect(try await alice.messages(in: thread).map(\.body) == ["The kettle is broken"])
                #expect(try await alice.reply("A new one comes", in: thread).status == 202)
                try await eventually("the answer to be read") {
                    try await alice.messages(in: thread).contains { $0.direction == "outgoing" && $0.status == "read" }
                }
                _ = try await said(
                    ["twin", "send", "--via", "vps", "--from", "447911123456", "--text", "The kettle, again"])
                try await eventually("Alice to see what came by the session") {
                    try await alice.messages(in: thread).contains { $0.body == "The kettle, again" }
                }
                #expect(try await said(["dev", "token", "--landlord", "alice"]).split(separator: ".").count == 3)
                let route = try await said(["routes", "lookup", "447911123456"])
                #expect(route.contains("a11ce000"), "\(route)")
                let held = try await said(["inbox", "held"])
                #expect(held.split(separator: "\n").count >= 1, "\(held)")
                #expect(try await said(["inbox", "unclaimed"]).isEmpty == false)

                let server = home + "/data/postmaster.pid"
                #expect(FileManager.default.fileExists(atPath: server))
                #expect(try await development.end(by: SIGINT) == .status(0))
                #expect(!FileManager.default.fileExists(atPath: server), "PostgreSQL runs on")
                #expect(development.output.contains("Stopped"))
            }
        }
    }
}
