import Foundation
import Logging
import Messaging
import Testing

@testable import Gateway

@Suite struct SettingsReaderTests {
    private typealias Found = SettingsReader.Found

    @Test("takes a flag before the environment, that before the file, and the default last")
    func order() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("settings.json", #"{"gateway": {"ingress": {"port": 3}}}"#)
        let environment = ["GATEWAY_INGRESS_PORT": "2"]
        let flags = [SettingName.ingressPort: "1"]
        let all = try await SettingsReader(overrides: flags, environment: environment, file: file)
        #expect(try all.find(.ingressPort) == Found(value: "1", source: "flag"))
        let withoutFlag = try await SettingsReader(environment: environment, file: file)
        #expect(try withoutFlag.find(.ingressPort) == Found(value: "2", source: "environment"))
        let fileAlone = try await SettingsReader(environment: [:], file: file)
        #expect(try fileAlone.find(.ingressPort) == Found(value: "3", source: file))
        let nothing = try await SettingsReader(environment: [:])
        #expect(try nothing.find(.ingressPort) == Found(value: "8443", source: "default"))
        #expect(try nothing.find(.phoneNumberID) == nil)
    }

    @Test("passes over an empty value as if it were not there")
    func empty() async throws {
        let settings = try await SettingsReader(
            overrides: [.bind: ""], environment: ["GATEWAY_BIND": "", "META_APP_SECRET": ""])
        #expect(try settings.find(.bind) == Found(value: "0.0.0.0", source: "default"))
        #expect(try settings.secret(.metaAppSecret) == nil)
    }

    @Test("finds every setting by its name in the environment", arguments: SettingName.allCases)
    func names(name: SettingName) async throws {
        let settings = try await SettingsReader(environment: [name.rawValue: "value"])
        #expect(try settings.find(name) == Found(value: "value", source: "environment"))
    }

    @Test(
        "understands texts, numbers and truth values of files",
        arguments: [
            ("settings.json", #"{"gateway": {"ingress": {"port": 9443}, "bind": "::1", "event": {"loops": "2"}}}"#),
            ("settings.yaml", "gateway:\n  ingress: {port: 9443}\n  bind: '::1'\n  event:\n    loops: \"2\"\n"),
            ("settings.yml", "gateway: {ingress: {port: '9443'}, bind: \"::1\", event: {loops: 2}}\n"),
        ])
    func files(name: String, text: String) async throws {
        let directory = try TemporaryDirectory()
        let settings = try await SettingsReader(environment: [:], file: try directory.write(name, text, mode: 0o644))
        #expect(try settings.port(.ingressPort) == 9443)
        #expect(try settings.text(.bind) == "::1")
        #expect(try settings.count(.eventLoops, in: 1...256) == 2)
    }

    @Test(
        "says which file cannot be used, and quotes nothing of it",
        arguments: [
            ("a.json", #"{"meta": {"app": {"secret": "topsecret"#, "is not JSON"),
            ("a.json", #"["topsecret"]"#, "is not JSON"),
            ("a.yaml", "meta:\n  app_secret: topsecret: x\n", "is not YAML"),
            ("a.yaml", "- topsecret\n", "is not YAML"),
            ("a.yaml", "meta: [topsecret\n", "is not YAML"),
            ("a.yaml", "a: \u{7F}topsecret\u{1}\n", "is not YAML"),
        ])
    func brokenFiles(name: String, text: String, problem: String) async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write(name, text)
        let error = await #expect(throws: SettingsFileError.self) {
            _ = try await SettingsReader(environment: [:], file: file)
        }
        let description = try #require(error?.description)
        #expect(description.contains(file) && description.contains(problem))
        #expect(!description.contains("topsecret") && !description.contains("\n"))
    }

    @Test("says that a file is not there, or is a directory")
    func absentFile() async throws {
        let directory = try TemporaryDirectory()
        for (path, problem) in [(directory.path + "/none.yaml", "cannot be read"), (directory.path, "is a directory")] {
            let error = await #expect(throws: SettingsFileError.self) {
                _ = try await SettingsReader(environment: [:], file: path)
            }
            #expect(error?.description.contains(problem) == true)
        }
    }

    // MARK: Secrets

    @Test("reads a secret from a file that only its owner can read")
    func secretFile() async throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("secret", "  s3cret\n")
        let settings = try await SettingsReader(environment: ["META_APP_SECRET_FILE": path])
        #expect(try settings.secret(.metaAppSecret)?.reveal() == "s3cret")
        #expect(try settings.find(.metaAppSecret)?.source == "environment, from \(path)")
    }

    @Test("takes the secret itself before the file that could hold it")
    func secretBeforeFile() async throws {
        let settings = try await SettingsReader(
            environment: ["META_APP_SECRET": "direct", "META_APP_SECRET_FILE": "/nowhere"])
        #expect(try settings.secret(.metaAppSecret)?.reveal() == "direct")
    }

    @Test(
        "refuses a secret's file that others can read, that is empty or not there",
        arguments: [0o640, 0o604, 0o620, 0o601])
    func openSecretFile(mode: Int) async throws {
        let directory = try TemporaryDirectory()
        let open = try directory.write("open", "s3cret", mode: mode)
        let empty = try directory.write("empty", " \n")
        for (path, cure) in [(open, "chmod 600"), (empty, "is empty"), (directory.path + "/none", "cannot be read")] {
            let settings = try await SettingsReader(environment: ["META_APP_SECRET_FILE": path])
            let error = #expect(throws: SettingError.self) { try settings.secret(.metaAppSecret) }
            #expect(error?.name == .metaAppSecret)
            #expect(error?.problem.contains(cure) == true && error?.problem.contains(path) == true)
        }
    }

    @Test("refuses a secret in a configuration file that others can read, and takes the rest of it")
    func openConfigurationFile() async throws {
        let directory = try TemporaryDirectory()
        let text = "meta: {app: {secret: topsecret}}\ngateway: {bind: '::1'}\n"
        let open = try await SettingsReader(environment: [:], file: try directory.write("open.yaml", text, mode: 0o644))
        #expect(try open.text(.bind) == "::1")
        let error = #expect(throws: SettingError.self) { try open.secret(.metaAppSecret) }
        #expect(error?.problem.contains("chmod 600") == true)
        let closed = try await SettingsReader(environment: [:], file: try directory.write("closed.yaml", text))
        #expect(try closed.secret(.metaAppSecret)?.reveal() == "topsecret")
    }

    @Test("reads no file for a setting that is no secret")
    func plainSettingFile() async throws {
        let settings = try await SettingsReader(environment: ["GATEWAY_BIND_FILE": "/nowhere"])
        #expect(try settings.text(.bind) == "0.0.0.0")
    }

    @Test("lists every setting with its source, and no secret")
    func listing() async throws {
        let secrets = SettingName.allCases.filter(\.isSecret)
        var environment = Dictionary(uniqueKeysWithValues: secrets.map { ($0.rawValue, "topsecret") })
        environment["GATEWAY_BIND"] = "::1"
        let settings = try await SettingsReader(overrides: [.apiPort: "9444"], environment: environment)
        let lines = try settings.listing()
        #expect(!lines.contains { $0.contains("topsecret") })
        for name in secrets { #expect(lines.contains("\(name.rawValue)=***  (environment)")) }
        #expect(lines.contains("GATEWAY_BIND=::1  (environment)"))
        #expect(lines.contains("GATEWAY_API_PORT=9444  (flag)"))
        #expect(lines.contains("GATEWAY_OPS_PORT=9464  (default)"))
        #expect(!lines.contains { $0.hasPrefix("WHATSAPP_PHONE_NUMBER_ID") })
    }

    // MARK: Values

    @Test(
        "refuses a value that is none of its kind, and says what would be",
        arguments: [
            (SettingName.ingressPort, "65536", "a port"), (.ingressPort, "http", "a port"),
            (.ingressPort, "-1", "a port"),
            (.ingressPort, "8443.0", "a port"), (.bodyMaxBytes, "4MB", "4MiB"), (.headTimeout, "10", "15s"),
            (.eventLoops, "0", "from 1 to 256"), (.logLevel, "loud", "warning"),
            (.defaultCountryCode, "+44", "such as 44"),
            (.defaultCountryCode, "0", "such as 44"), (.defaultCountryCode, "1234", "such as 44"),
        ])
    func values(name: SettingName, text: String, wanted: String) async throws {
        let settings = try await SettingsReader(environment: [name.rawValue: text])
        let error = #expect(throws: SettingError.self) {
            switch name {
            case .bodyMaxBytes: _ = try settings.bytes(name, in: 1...1 << 40)
            case .headTimeout: _ = try settings.seconds(name, in: 1...3600)
            case .eventLoops: _ = try settings.count(name, in: 1...256)
            case .logLevel: _ = try settings.logLevel(fallback: .info)
            case .defaultCountryCode: _ = try settings.countryCode()
            default: _ = try settings.port(name)
            }
        }
        #expect(error?.name == name)
        #expect(error?.problem.contains("\"\(text)\"") == true && error?.problem.contains(wanted) == true)
    }

    @Test("logs at the level that was set, else at the command's own")
    func logLevel() async throws {
        let unset = try await SettingsReader(environment: [:])
        #expect(try unset.logLevel(fallback: .notice) == .notice)
        let set = try await SettingsReader(environment: ["GATEWAY_LOG_LEVEL": "info"])
        #expect(try set.logLevel(fallback: .notice) == .info)
    }

    @Test("reads a ring of secrets, newest first")
    func ring() async throws {
        let settings = try await SettingsReader(environment: ["META_APP_SECRET": "new, old,"])
        #expect(try settings.ring(.metaAppSecret).map { $0.reveal() } == ["new", "old"])
    }
}
