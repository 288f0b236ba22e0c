package import Downstream
import Foundation
import Messaging
import Routing

/// The endpoints that rules may name, and the one that hears what they notify of.
package struct RuleDeliverySettings: Sendable {
    package let endpoints: DownstreamEndpoints
    /// One of the endpoints; `nil`: what rules notify of is listed alone.
    package let noticesTo: String?

    /// What `forward` may name.
    package var names: Set<String> { Set(endpoints.addresses.keys) }

    package init(_ settings: SettingsReader) throws(SettingError) {
        var endpoints = DownstreamEndpoints(userAgent: "zenrent-gateway")
        for (name, address) in try Self.addresses(settings) {
            do { try endpoints.add(name, address) } catch { throw SettingError(.downstreams, "\(name) \(error)") }
        }
        endpoints.secret = try settings.secret(.downstreamSecret)
        self.endpoints = endpoints
        noticesTo = try Self.noticesTo(settings, among: endpoints)
    }

    /// `crm=https://…,helpdesk=https://…`. An address may hold a key: no error shows more than a name.
    private static func addresses(_ settings: SettingsReader) throws(SettingError) -> [(String, Secret)] {
        guard let text = try settings.secret(.downstreams)?.reveal() else { return [] }
        var found: [(name: String, address: Secret)] = []
        for (index, part) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let part = part.trimmingCharacters(in: .whitespacesAndNewlines)
            if part.isEmpty { continue }
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(halves[0])
            guard halves.count == 2, Rule.isName(name), let address = Secret(String(halves[1])) else {
                throw SettingError(
                    .downstreams,
                    "part \(index + 1) is not name=address, such as crm=https://crm.example/messages; names have 1 to "
                        + "\(Rule.nameLengthMax) letters, digits, - and _; write a comma in an address as %2C")
            }
            guard !found.contains(where: { $0.name == name }) else {
                throw SettingError(.downstreams, "names \(name) twice; give each endpoint a name of its own")
            }
            found.append((name, address))
        }
        return found
    }

    private static func noticesTo(
        _ settings: SettingsReader, among endpoints: DownstreamEndpoints
    ) throws(SettingError) -> String? {
        guard let name = try settings.text(.notify) else { return nil }
        guard endpoints.addresses[name] != nil else {
            let known = endpoints.addresses.keys.sorted().joined(separator: ", ")
            throw SettingError(
                .notify,
                "\"\(name.prefix(Rule.nameLengthMax))\" is no endpoint; GATEWAY_DOWNSTREAMS defines "
                    + (known.isEmpty
                        ? "none: write GATEWAY_DOWNSTREAMS=\"\(name.prefix(Rule.nameLengthMax))=https://…\"" : known))
        }
        return name
    }
}
