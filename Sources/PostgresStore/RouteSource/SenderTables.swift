package import Messaging
import PostgresClient
package import Routing

// Small tables: to decide about some messages without loading millions of leases.
extension PostgresRouteSource {
    /// Everything but leases and identities: landlords, endpoints, settings.
    package func tableWithoutLeases() async throws -> RoutingTable {
        try await withPicture { connection in
            let (cursor, settings) = try await Self.moment(connection)
            var builder = RoutingTableBuilder()
            try await Self.copy(connection, RouteRows.landlords, RouteRows.landlord) { builder.add(.landlords($0)) }
            builder.add(.endpoints(try await ChangedRoutes.endpoints(connection)))
            builder.add(.settings(settings))
            return builder.finish(cursor: cursor)
        }
    }

    /// A table without leases, with all that decides about the senders of some messages.
    package func table(_ table: RoutingTable, with messages: [InboundMessage]) async throws -> RoutingTable {
        let senders = messages.compactMap { message in
            table.endpoint(message.endpoint).map { KnownSender(message.sender, at: $0) }
        }
        return try await withPicture { connection in
            // A plan made while the tables were small must not read them whole once they are large.
            let (cursor, settings) = try await Self.moment(connection, isByIndex: true)
            var delta = RouteDelta(cursor: cursor, settings: settings)
            let keys = Set(senders.compactMap(\.phone))
            let identities = Set(senders.flatMap(\.identities))
            try await ChangedRoutes(keys: keys, identities: identities).read(connection, into: &delta)
            // Numbers that the senders have besides, and who else had those.
            var linkedKeys: Set<PhoneKey> = []
            var linkedIdentities: Set<AccountIdentity> = []
            for sender in senders {
                for key in sender.identities.flatMap({ delta.identities[$0] ?? [] }).compactMap(\.routeKey) {
                    linkedKeys.insert(key)
                    linkedIdentities.insert(.init(phone: key, scope: sender.phoneScope))
                }
            }
            try await ChangedRoutes(
                keys: linkedKeys.subtracting(keys), identities: linkedIdentities.subtracting(identities)
            ).read(connection, into: &delta)
            return table.applying(delta)
        }
    }
}

/// What a sender is known by on an endpoint.
private struct KnownSender {
    let phone: PhoneKey?
    let account: AccountIdentity?
    let phoneScope: String

    init(_ sender: Sender, at endpoint: Endpoint) {
        phone = sender.phone?.key
        account = sender.account(at: endpoint)
        phoneScope = endpoint.phoneScope
    }

    var identities: [AccountIdentity] {
        [phone.map { AccountIdentity(phone: $0, scope: phoneScope) }, account].compactMap { $0 }
    }
}

extension AccountIdentity {
    init(phone: PhoneKey, scope: String) {
        self.init(kind: .phone, scope: scope, value: String(phone.value))
    }
}
