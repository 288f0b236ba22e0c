package import Messaging
import PostgresStore

extension InboxAdministration {
    /// Something a rule wants somebody to take up, or ordered in vain.
    package struct Notice: Encodable, Hashable, Sendable {
        package let id: String
        /// RFC 3339.
        package let at: String
        package let rule: String
        /// `notify`; `forward` to an endpoint and `send_notice` to one, where they failed.
        package let action: String
        /// The subject, or the endpoint's name.
        package let value: String?
        package let message: String
        package let landlordName: String?
        /// Masked.
        package let phone: String?
        /// Why an endpoint was not told.
        package let failure: String?
    }

    /// Newest first.
    package func notices(limit: Int) async throws -> [Notice] {
        try await withInbox { inbox in
            try await inbox.notices(limit: limit).map {
                Notice(
                    id: "\($0.id)", at: $0.at.rfc3339, rule: $0.rule, action: $0.action, value: $0.value,
                    message: "\($0.messageID)", landlordName: $0.landlordName, phone: $0.phone?.masked,
                    failure: $0.failure)
            }
        }
    }

    /// Takes notices off the list, with an audit line.
    /// - Returns: how many were on it.
    package func close(notices ids: [UniqueID]) async throws -> Int {
        try await withInbox { try await $0.close(notices: ids, actor: Operator.name) }
    }
}
