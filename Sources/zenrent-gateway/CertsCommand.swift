import ArgumentParser
import Gateway

struct Certs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes and checks certificates.", discussion: "Example: zenrent-gateway certs dev",
        subcommands: [CertsDev.self, CertsCheck.self])
}

struct CertsDev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Makes a development authority and a certificate for this machine.",
        discussion: "Example: zenrent-gateway certs dev --host gateway.test")

    @OptionGroup var settings: SettingsOptions
    @Option(name: .customLong("host"), help: "Another name or address the certificate is for.") var hosts: [String] = []
    @Flag(help: "Write anew although a valid pair is there.") var force = false

    func run() async throws {
        let directory = try await settings.reader().text(.certificatesDirectory) ?? "certs"
        let outcome = try DevelopmentCertificates.write(
            to: directory, hosts: DevelopmentCertificates.defaultHosts + hosts, force: force, now: SystemTime.now())
        switch outcome {
        case .written: print("wrote fullchain.pem, privkey.pem and ca.pem to \(directory); trust ca.pem on machines that connect")
        case .kept: print("the pair in \(directory) is still good; --force writes it anew")
        }
    }
}

struct CertsCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Checks that the certificate files can be served.",
        discussion: "Exits 1 when they cannot.\n\nExample: zenrent-gateway certs check")

    @OptionGroup var settings: SettingsOptions

    func run() async throws {
        let directory = try await settings.reader().text(.certificatesDirectory) ?? "certs"
        print(try CertificateFiles.load(directory, now: SystemTime.now()).summary)
    }
}
