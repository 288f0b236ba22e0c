import FoundationEssentials
package import Messaging
import PostgresClient
import PostgresStore

/// What waits for an administrator: held and unclaimed messages, parked updates, people in doubt. Works as the gateway's own login.
package struct InboxAdministration: Sendable {
    /// A message that waits. Its text is shown to nobody here.
    package struct WaitingMessage: Encodable, Hashable, Sendable {
        package let id: String
        /// RFC 3339.
        package let sentAt: String
        package let type: String
        /// Masked.
        package let phone: String?
        /// The end of the sender's account id.
        package let account: String?
        package let candidates: [WaitingCandidate]
    }

    /// A landlord it could be for.
    package struct WaitingCandidate: Codable, Hashable, Sendable {
        package let landlord: String
        package let landlordName: String?
        package let tenant: String?
        package let tenantName: String?
        package let lease: String?
        package let propertyAddress: String?
    }

    /// An update that could not be processed.
    package struct ParkedUpdate: Encodable, Hashable, Sendable {
        package let id: Int64
        package let reason: String
        package let detail: String?
        package let source: String
        /// RFC 3339.
        package let receivedAt: String
        /// How often the same one came.
        package let times: Int
        /// How often it was tried.
        package let attempts: Int
    }

    /// Two people who may be one.
    package struct Conflict: Encodable, Hashable, Sendable {
        package struct Person: Encodable, Hashable, Sendable {
            package let id: String
            /// Masked.
            package let phones: [String]
            /// How many account ids.
            package let accounts: Int
            /// The names of those they have threads with.
            package let landlords: [String]
        }

        package let id: String
        package let reason: String
        /// How often the two were seen together.
        package let times: Int
        /// RFC 3339.
        package let createdAt: String
        package let personA: Person
        package let personB: Person
    }

    private let address: DatabaseSession.Address

    /// - Throws: `SettingError` when there is no database to connect to.
    package init(_ settings: SettingsReader) async throws { address = try await DatabaseSession.address(settings) }

    /// Messages that could be for several landlords, newest first.
    package func held(limit: Int) async throws -> [WaitingMessage] { try await waiting(.held, limit) }

    /// Messages from people whom no landlord has, newest first.
    package func unclaimed(limit: Int) async throws -> [WaitingMessage] { try await waiting(.unclaimed, limit) }

    private func waiting(_ kind: PostgresInbox.Waiting, _ limit: Int) async throws -> [WaitingMessage] {
        try await withInbox { inbox in try await inbox.messages(kind, limit: limit).map(Self.waitingMessage) }
    }

    private static func waitingMessage(_ message: PostgresInbox.Message) -> WaitingMessage {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let json = Data((message.candidatesJSON ?? "[]").utf8)
        return WaitingMessage(
            id: "\(message.id)", sentAt: message.sentAt.rfc3339, type: message.type, phone: message.phone?.masked,
            account: message.accountID.map { "…\($0.suffix(4))" },
            candidates: (try? decoder.decode([WaitingCandidate].self, from: json)) ?? [])
    }

    /// Newest first.
    package func parked(limit: Int) async throws -> [ParkedUpdate] {
        try await withInbox { inbox in
            try await inbox.parked(limit: limit).map {
                ParkedUpdate(
                    id: $0.id, reason: $0.reason, detail: $0.detail, source: $0.source,
                    receivedAt: $0.receivedAt.rfc3339,
                    times: $0.times, attempts: $0.attempts)
            }
        }
    }

    /// Gives all that a message's sender has waiting to a landlord, with an audit line.
    /// - Returns: how many messages moved.
    package func assign(message: UniqueID, landlord: UniqueID, tenant: UniqueID?) async throws -> Int {
        try await withInbox { inbox in
            do {
                return try await inbox.assign(
                    message: message, landlord: landlord, tenant: tenant, actor: Operator.name)
            } catch let error as PostgresError where error.sqlState == "ZR404" || error.sqlState == "ZR006" {
                throw AdministrationError(
                    error.message, cure: "see `zenrent-gateway inbox held` and `zenrent-gateway inbox unclaimed`")
            }
        }
    }

    /// Moves one message of a tenant, that went to the wrong thread, into the thread of one of their leases. With an
    /// audit line.
    /// - Returns: `false` when it is there already.
    package func reassign(message: UniqueID, lease: UniqueID) async throws -> Bool {
        try await withInbox { inbox in
            do {
                return try await inbox.reassign(message: message, lease: lease, actor: Operator.name)
            } catch let error as PostgresError where error.sqlState == "ZR404" {
                throw AdministrationError(
                    error.message, cure: "give the id of a message in a thread; `inbox assign` moves waiting ones")
            } catch let error as PostgresError where error.sqlState == "ZR006" {
                throw AdministrationError(
                    error.message, cure: "see `zenrent-gateway routes lookup` for the leases of a number")
            }
        }
    }

    /// Asks the running gateway to try parked updates again.
    /// - Parameter ids: `nil` = all.
    /// - Returns: how many were asked for.
    package func redrive(_ ids: [Int64]?) async throws -> Int {
        try await withInbox { try await $0.redrive(ids, actor: Operator.name) }
    }

    /// Conflicts that are open, newest first.
    package func conflicts(limit: Int) async throws -> [Conflict] {
        try await withInbox { inbox in
            try await inbox.conflicts(limit: limit).map {
                Conflict(
                    id: "\($0.id)", reason: $0.reason, times: $0.times, createdAt: $0.createdAt.rfc3339,
                    personA: Self.person($0.personA), personB: Self.person($0.personB))
            }
        }
    }

    private static func person(_ person: PostgresInbox.Conflict.Person) -> Conflict.Person {
        Conflict.Person(
            id: "\(person.id)", phones: person.phones, accounts: person.accounts, landlords: person.landlords)
    }

    /// Settles a conflict for good, with an audit line.
    package func close(conflict: UniqueID, merging isMerge: Bool) async throws {
        try await withInbox { inbox in
            do {
                try await inbox.close(conflict: conflict, merging: isMerge, actor: Operator.name)
            } catch let error as PostgresError where error.sqlState == "ZR404" {
                throw AdministrationError(error.message, cure: "see `zenrent-gateway inbox conflicts`")
            }
        }
    }

    func withInbox<Value: Sendable>(_ body: (PostgresInbox) async throws -> Value) async throws -> Value {
        try await DatabaseSession.run(address, command: "inbox") { try await body(PostgresInbox($0)) }
    }
}
