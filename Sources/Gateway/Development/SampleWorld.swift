package import Messaging

/// Landlords, tenants and leases to try things with. Fixed ids: making it twice changes nothing.
package enum SampleWorld {
    package struct Landlord: Sendable {
        package let id: UniqueID
        package let name: String
        let email: String
        let isEnabled: Bool
    }

    private static func id(_ kind: UInt64, _ number: UInt64) -> UniqueID {
        UniqueID(high: kind << 32 | 0x4000, low: 0x8000_0000_0000_0000 | number)
    }

    package static let landlords = [
        Landlord(id: id(0xA11C_E000, 1), name: "Alice Archer", email: "alice@example.com", isEnabled: true),
        Landlord(id: id(0xB0B0_0000, 2), name: "Bob Brown", email: "bob@example.com", isEnabled: true),
        Landlord(id: id(0xCA20_1000, 3), name: "Carol Clark", email: "carol@example.com", isEnabled: false),
    ]

    /// Somebody who runs the place.
    package static let administratorID = id(0xAD00_0000, 1)

    struct Tenant: Sendable {
        let id: UniqueID
        let landlord: Int
        let name: String
        /// As the landlord typed it.
        let phone: String
        let note: String
        var leases: [Lease]
    }

    struct Lease: Sendable {
        let id: UniqueID
        let property: UniqueID
        let address: String
        var status = "active"
        /// SQL expressions.
        var start = "current_date - 200"
        var end = "current_date + 165"
    }

    static let tenants = [
        Tenant(
            id: id(0x7E0, 1), landlord: 0, name: "Tom Taylor", phone: "0044 7911 123456", note: "one lease with Alice",
            leases: [Lease(id: id(0x1EA5E, 1), property: id(0x9209, 1), address: "1 Acacia Avenue")]),
        Tenant(
            id: id(0x7E0, 2), landlord: 0, name: "Tina Turner-Hall", phone: "+44 7700 900002",
            note: "two leases with Alice",
            leases: [
                Lease(id: id(0x1EA5E, 2), property: id(0x9209, 2), address: "2 Birch Road"),
                Lease(
                    id: id(0x1EA5E, 3), property: id(0x9209, 3), address: "Garage 7, Birch Road",
                    start: "current_date - 30"),
            ]),
        Tenant(
            id: id(0x7E0, 3), landlord: 0, name: "Uma Unwin", phone: "+44 7700 900003",
            note: "rents from Alice and from Bob",
            leases: [Lease(id: id(0x1EA5E, 4), property: id(0x9209, 4), address: "4 Cedar Close")]),
        Tenant(
            id: id(0x7E0, 4), landlord: 1, name: "Uma Unwin", phone: "07700 900003",
            note: "rents from Alice and from Bob",
            leases: [Lease(id: id(0x1EA5E, 5), property: id(0x9209, 5), address: "Studio 5, Dock Street")]),
        Tenant(
            id: id(0x7E0, 5), landlord: 1, name: "Eddie Ellis", phone: "+44 7700 900004",
            note: "a lease that ended long ago",
            leases: [
                Lease(
                    id: id(0x1EA5E, 6), property: id(0x9209, 6), address: "6 Elm Court", status: "ended",
                    start: "current_date - 800", end: "current_date - 400")
            ]),
        Tenant(
            id: id(0x7E0, 6), landlord: 2, name: "Wendy White", phone: "+44 7700 900005",
            note: "Carol has WhatsApp switched off",
            leases: [Lease(id: id(0x1EA5E, 7), property: id(0x9209, 7), address: "7 Fir Lane")]),
    ]

    /// One script; safe to run again. Written in literals: the world is ours, nothing of it comes from outside.
    package static var sql: String {
        var script = ""
        for landlord in landlords {
            script += """
                INSERT INTO auth.users (id, email) VALUES ('\(landlord.id)', '\(landlord.email)') ON CONFLICT DO NOTHING;
                INSERT INTO public.user_profiles (id, full_name, whatsapp_enabled, whatsapp_opted_in_at)
                  VALUES ('\(landlord.id)', '\(landlord.name)', \(landlord.isEnabled), now()) ON CONFLICT DO NOTHING;

                """
        }
        for tenant in tenants {
            let owner = landlords[tenant.landlord].id
            script += """
                INSERT INTO public.tenants (id, user_id, name, phone)
                  VALUES ('\(tenant.id)', '\(owner)', '\(tenant.name)', '\(tenant.phone)') ON CONFLICT DO NOTHING;

                """
            for lease in tenant.leases {
                script += """
                    INSERT INTO public.properties (id, user_id, address)
                      VALUES ('\(lease.property)', '\(owner)', '\(lease.address)') ON CONFLICT DO NOTHING;
                    INSERT INTO public.leases (id, tenant_id, property_id, status, start_date, end_date)
                      VALUES ('\(lease.id)', '\(tenant.id)', '\(lease.property)', '\(lease.status)', \(lease.start), \(lease.end))
                      ON CONFLICT DO NOTHING;

                    """
            }
        }
        return script
    }

    /// Lines for the terminal: who is who. A person whom two landlords have is there once.
    package static var listing: [String] {
        var lines: [String] = []
        for tenant in tenants {
            let phone = PhoneNumber(parsing: tenant.phone).map { String($0.digits) } ?? "?"
            let line = "\(phone)  \(tenant.name): \(tenant.note)"
            if !lines.contains(line) { lines.append(line) }
        }
        return lines
    }
}
