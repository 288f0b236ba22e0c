import ArgumentParser
import Gateway
import Messaging

struct Certs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "Makes and checks certificates.",
        discussion: "Example: zenrent-gateway certs dev",
        subcommands: [CertsDev.self, CertsCheck.self])
}

struct CertsDev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Makes a development authority and a certificate for this machine.",
        discussion: """
            Writes fullchain.pem, privkey.pem and ca.pem into GATEWAY_CERTS_DIR; never over a certificate of another authority.

            Exit codes: 0 a good pair is there; 1 it could not be written.

            Example: zenrent-gateway certs dev --host gateway.test
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(name: .customLong("host"), help: "Another name or address the certificate is for.") var hosts: [String] = []
    @Flag(help: "Write anew although a valid pair is there.") var force = false
    @OptionGroup var output: OutputOptions

    private struct Answer: Encodable {
        let directory: String
        let written: Bool
    }

    func run() async throws {
        let directory = try await settings.reader().text(.certificatesDirectory) ?? "certs"
        let outcome = try DevelopmentCertificates.write(
            to: directory, hosts: DevelopmentCertificates.defaultHosts + hosts, force: force, now: SystemTime.now())
        try output.print(Answer(directory: directory, written: outcome == .written)) {
            outcome == .written
                ? "wrote fullchain.pem, privkey.pem and ca.pem to \(directory); trust ca.pem on machines that connect"
                : "the pair in \(directory) is still good; --force writes it anew"
        }
    }
}

struct CertsCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Checks that the certificate files can be served.",
        discussion: """
            Exit codes: 0 they can; 1 they cannot.

            Example: zenrent-gateway certs check
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var output: OutputOptions

    private struct Answer: Encodable {
        let fingerprint: String
        let names: [String]
        let notAfter: String
        let isDevelopment: Bool
    }

    func run() async throws {
        let directory = try await settings.reader().text(.certificatesDirectory) ?? "certs"
        let files = try CertificateFiles.load(directory, now: SystemTime.now())
        let answer = Answer(
            fingerprint: files.fingerprint, names: files.names, notAfter: files.notAfter.rfc3339,
            isDevelopment: files.isDevelopment)
        try output.print(answer) { files.summary }
    }
}
