import Foundation
import Gateway
import Glibc
import NIOSSL
import Testing

extension EndToEndTests {
    @Suite struct ReloadTests {
        @Test("A broken rules file changes nothing and is named with its line; a good one swaps; no request fails")
        func rules() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    let gateway = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    try await twin.post("send", #"{"from":"447911123456","text":"kettle"}"#)
                    let alice = try await Landlord("Alice", of: stage)
                    let thread = try await eventual("Tom's thread") { try await alice.conversations().first }
                    let load = Load(port: stage.ingressPort, connections: 3, seed: 8)
                    try await load.running { load in
                        try await load.acknowledged(30)
                        for round in 1...5 {
                            try stage.write("\(Stage.rules)  surprise: \(round)\n", to: "rules/default.yaml")
                            gateway.send(SIGHUP)
                            try await eventually("the broken rules to be named") {
                                gateway.logged("rules not reloaded").filter { $0.contains("default.yaml:6") }.count
                                    == round
                            }
                            #expect(try await alice.reply("kettle \(round)", in: thread).status == 202)
                            _ = try await twin.sent("From Alice Archer via ZenRent: kettle \(round)")
                            try await load.acknowledged(10)
                        }
                        try stage.write(
                            Stage.rules.replacing("via ZenRent", with: "by way of ZenRent"), to: "rules/default.yaml")
                        gateway.send(SIGHUP)
                        try await eventually("the good rules to be read") { !gateway.logged("reloaded rules").isEmpty }
                        #expect(try await alice.reply("new kettle", in: thread).status == 202)
                        _ = try await twin.sent("From Alice Archer by way of ZenRent: new kettle")
                    }
                    #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0 && load.ledger.unconnected == 0)
                    try await Account.settle(stage)
                    var ledger = load.ledger
                    ledger.sent.formUnion(try await Account(stage).recorded.keys)
                    try await Account(stage).checkExactlyOnce(ledger)
                }
            }
        }

        @Test(
            "New connections get a swapped certificate, open ones keep theirs, a broken one is refused; no request fails"
        )
        func certificates() async throws {
            try await Stage.run { stage in
                let gateway = try await stage.start()
                let others = stage.directory + "/other-certs"
                try DevelopmentCertificates.write(to: others, now: Stage.now)
                let (first, second) = (try leaf(of: stage.directory + "/certs"), try leaf(of: others))
                #expect(first != second)
                let veteran = try await WebhookConnection.open(port: stage.ingressPort)
                #expect(try await shown(over: veteran) == first)
                let load = Load(port: stage.ingressPort, connections: 3, seed: 9)
                try await load.running { load in
                    try await load.acknowledged(30)
                    for name in [CertificateFiles.chainName, CertificateFiles.keyName] {
                        let pem = try String(contentsOfFile: others + "/" + name, encoding: .utf8)
                        try stage.write(pem, to: "certs/" + name)
                    }
                    gateway.send(SIGHUP)
                    try await eventually("the new certificate") { !gateway.logged("reloaded certificates").isEmpty }
                    #expect(try await shown(by: stage) == second)
                    #expect(try await shown(over: veteran) == first)

                    try stage.write(
                        "-----BEGIN CERTIFICATE-----\nkettle\n-----END CERTIFICATE-----\n", to: "certs/fullchain.pem")
                    gateway.send(SIGHUP)
                    let line = try await eventual("the refusal") { gateway.logged("certificates not reloaded").first }
                    #expect(line.contains("fullchain.pem"))
                    #expect(try await shown(by: stage) == second)
                    try await load.acknowledged(30)
                }
                await veteran.close()
                #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0 && load.ledger.unconnected == 0)
            }
        }

        @Test("SIGHUP does not end a gateway that is still starting")
        func whileStarting() async throws {
            try await Stage.run { stage in
                let gateway = try stage.spawn()
                try await eventually("the gateway to listen") { !gateway.logged("ingress listens").isEmpty }
                gateway.send(SIGHUP)
                try await eventually("the reload") { !gateway.logged("SIGHUP: reloading").isEmpty }
                try await stage.untilReady()
                #expect(gateway.exit == nil)
            }
        }

        private func leaf(of directory: String) throws -> [UInt8] {
            try NIOSSLCertificate.fromPEMFile(directory + "/" + CertificateFiles.chainName)[0].toDERBytes()
        }

        private func shown(by stage: Stage) async throws -> [UInt8] {
            let connection = try await WebhookConnection.open(port: stage.ingressPort)
            let certificate = try await shown(over: connection)
            await connection.close()
            return certificate
        }

        private func shown(over connection: WebhookConnection) async throws -> [UInt8] {
            let id = "wamid.tls-\(UInt64.random(in: .min ... .max))"
            #expect(try await connection.post(Script.text(id, from: Crowd.phone(0))).status == 200)
            return try await connection.certificate()
        }
    }
}

extension Stage {
    /// Replaces a file under the stage's directory; only its owner can read it.
    func write(_ text: String, to name: String) throws {
        let path = directory + "/" + name
        guard
            FileManager.default.createFile(
                atPath: path + ".new", contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]),
            rename(path + ".new", path) == 0
        else { throw GatewayProcess.SpawnError(description: "cannot write \(path)") }
    }
}
