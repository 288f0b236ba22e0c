import Foundation
import Messaging
import Testing

@testable import Gateway

@Suite struct DevelopmentSecretsTests {
    @Test("makes a secret once, for this user alone, and keeps it")
    func kept() throws {
        let directory = try TemporaryDirectory()
        let secret = try DevelopmentSecrets(directory: directory.path).secret("app-secret")
        #expect(secret.reveal().count == 64)
        #expect(try DevelopmentSecrets(directory: directory.path).secret("app-secret") == secret)
        #expect(try DevelopmentSecrets(directory: directory.path).secret("another") != secret)
        let attributes = try FileManager.default.attributesOfItem(atPath: directory.path + "/app-secret")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test("takes a secret that somebody put there")
    func given() throws {
        let directory = try TemporaryDirectory()
        try directory.write("app-secret", "chosen\n")
        #expect(try DevelopmentSecrets(directory: directory.path).secret("app-secret").reveal() == "chosen")
    }

    @Test("says where it cannot write")
    func unwritable() throws {
        let directory = try TemporaryDirectory()
        let error = #expect(throws: Directories.Failure.self) {
            try DevelopmentSecrets(directory: directory.path + "/none").secret("app-secret")
        }
        #expect(error?.description.contains(directory.path) == true)
    }
}

@Suite struct DirectoriesTests {
    @Test("makes a directory and those above it for this user alone, and takes one that is there")
    func make() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/a/../b/c"
        let made = try Directories.make(path)
        #expect(made.hasSuffix("/b/c") && !made.contains(".."))
        #expect(try FileManager.default.attributesOfItem(atPath: made)[.posixPermissions] as? Int == 0o700)
        #expect(try Directories.make(path) == made)
    }

    @Test("says which directory cannot be made, why, and which setting to change")
    func unmakeable() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("file", "")
        let error = #expect(throws: Directories.Failure.self) { try Directories.make(file + "/below") }
        #expect(error?.description.contains("\(file) (") == true)
        #expect(error?.description.contains("GATEWAY_DATA_DIR") == true)
    }

    @Test("lets one gateway at a time have a data directory")
    func hold() throws {
        let directory = try TemporaryDirectory()
        do {
            let hold = try DirectoryHold(directory.path)
            let error = #expect(throws: Directories.Failure.self) { _ = try DirectoryHold(directory.path) }
            #expect(error?.description.contains("another gateway") == true)
            withExtendedLifetime(hold) {}
        }
        #expect(throws: Never.self) { _ = try DirectoryHold(directory.path) }
    }
}
