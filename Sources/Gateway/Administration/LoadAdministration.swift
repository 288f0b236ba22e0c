import Foundation
import Messaging
import Sandbox

/// Load for a running gateway, or for another server that takes the same webhooks: `bench load`.
package struct LoadAdministration: Sendable {
    /// What is to be sent, as the command line has it.
    package struct Order: Sendable {
        package var rate: Int
        package var connections: Int
        package var warmUpSeconds: Int
        package var seconds: Int
        package var firstSender: Int
        package var senders: Int
        /// `nil`: the gateway of the settings, on this machine.
        package var url: String?
        package var authorityFile: String?
        /// Where to write the id and the time of each acknowledged message.
        package var receiptsFile: String?

        package init(
            rate: Int, connections: Int, warmUpSeconds: Int, seconds: Int, firstSender: Int, senders: Int,
            url: String?, authorityFile: String?, receiptsFile: String?
        ) {
            self.rate = rate
            self.connections = connections
            self.warmUpSeconds = warmUpSeconds
            self.seconds = seconds
            self.firstSender = firstSender
            self.senders = senders
            self.url = url
            self.authorityFile = authorityFile
            self.receiptsFile = receiptsFile
        }

        /// What is wrong with the figures, in one line; `nil` when nothing is.
        package var problem: String? {
            let limits: [(name: String, value: Int, range: ClosedRange<Int>)] = [
                ("--rate", rate, LoadConfiguration.rates),
                ("--connections", connections, LoadConfiguration.connectionCounts),
                ("--warm-up", warmUpSeconds, LoadConfiguration.warmUps),
                ("--seconds", seconds, LoadConfiguration.durations),
                ("--first-sender", firstSender, LoadConfiguration.firstSenders),
                ("--senders", senders, LoadConfiguration.senderCounts),
            ]
            return limits.first { !$0.range.contains($0.value) }.map { name, value, range in
                "\(name) is \(value); give a number from \(range.lowerBound) to \(range.upperBound)"
            }
        }
    }

    private let settings: SettingsReader

    package init(_ settings: SettingsReader) { self.settings = settings }

    /// Sends the whole load.
    /// - Throws: an error with its cure, when there was no load; what the server answered is in the summary.
    package func run(_ order: Order) async throws -> LoadSummary {
        if let problem = order.problem { throw AdministrationError(problem, cure: "see --help") }
        var configuration = LoadConfiguration(
            url: try order.url ?? "https://localhost:\(settings.port(.ingressPort))/api/webhooks/meta",
            secret: try secret(), trustRootFile: try order.authorityFile ?? developmentAuthority(), rate: order.rate,
            connections: order.connections, warmUpSeconds: order.warmUpSeconds, seconds: order.seconds,
            phone: MetaPhone(
                accountID: try settings.text(.businessAccountID) ?? Development.businessAccountID,
                phoneNumberID: try settings.text(.phoneNumberID) ?? Development.phoneNumberID,
                displayNumber: Development.displayNumber),
            firstSender: order.firstSender, senders: order.senders)
        configuration.keepsReceipts = order.receiptsFile != nil
        let generator = try LoadGenerator(configuration)
        if let file = order.receiptsFile { try write("", to: file) }
        let report = try await generator.run()
        if let file = order.receiptsFile {
            let lines = report.receipts.map { "\($0.messageID),\($0.at.microseconds)\n" }
            try write(lines.joined(), to: file)
        }
        return LoadSummary(report, of: configuration)
    }

    /// That of the settings, or of a `dev` under the data directory.
    private func secret() throws -> Secret {
        if let first = try settings.ring(.metaAppSecret).first { return first }
        let directory = (try settings.text(.dataDirectory) ?? "./var") + "/development"
        guard let kept = DevelopmentSecrets(directory: directory).kept("app-secret") else {
            throw SettingError(
                .metaAppSecret,
                "is not set, and no `dev` has made one under GATEWAY_DATA_DIR; set the secret by which "
                    + "the server checks its webhooks")
        }
        return kept
    }

    /// The authority that `certs dev` has made, if it has.
    private func developmentAuthority() throws -> String? {
        let file = (try settings.text(.certificatesDirectory) ?? "certs") + "/" + CertificateFiles.authorityName
        return FileManager.default.fileExists(atPath: file) ? file : nil
    }

    private func write(_ text: String, to file: String) throws {
        guard FileManager.default.createFile(atPath: file, contents: Data(text.utf8)) else {
            throw AdministrationError("cannot write \(file)", cure: "name a file in a directory of yours")
        }
    }
}
