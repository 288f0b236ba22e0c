/// One file of the database's definition. Applied once, in order of its number; never changed after it was applied
/// anywhere but on a developer's machine.
package struct Migration: Sendable, Hashable {
    package let number: Int32
    /// What it is about: the file's name without its number.
    package let name: String
    package let sql: String

    package init(number: Int32, name: String, sql: String) {
        self.number = number
        self.name = name
        self.sql = sql
    }

    /// The files this program came with.
    package static let all: [Migration] = [
        Migration(1, "base", PackageResources._001_base_sql),
        Migration(2, "businesses", PackageResources._002_businesses_sql),
        Migration(3, "people", PackageResources._003_people_sql),
        Migration(4, "routing", PackageResources._004_routing_sql),
        Migration(5, "conversations", PackageResources._005_conversations_sql),
        Migration(6, "intake", PackageResources._006_intake_sql),
        Migration(7, "delivery", PackageResources._007_delivery_sql),
        Migration(8, "consent-bulletins", PackageResources._008_consent_bulletins_sql),
        Migration(9, "replies-inbox", PackageResources._009_replies_inbox_sql),
        Migration(10, "operations", PackageResources._010_operations_sql),
        Migration(11, "identities", PackageResources._011_identities_sql),
        Migration(12, "route-feed", PackageResources._012_route_feed_sql),
        Migration(13, "healing", PackageResources._013_healing_sql),
        Migration(14, "forwarding", PackageResources._014_forwarding_sql),
        Migration(15, "tenures", PackageResources._015_tenures_sql),
        Migration(16, "ladder", PackageResources._016_ladder_sql),
        Migration(17, "reassign", PackageResources._017_reassign_sql),
        Migration(18, "sender-lease", PackageResources._018_sender_lease_sql),
        Migration(19, "departures", PackageResources._019_departures_sql),
        Migration(21, "rules", PackageResources._021_rules_sql),
        Migration(22, "rule-deliveries", PackageResources._022_rule_deliveries_sql),
        Migration(23, "next-holders", PackageResources._023_next_holders_sql),
        Migration(24, "past-numbers", PackageResources._024_past_numbers_sql),
        Migration(25, "late-notices", PackageResources._025_late_notices_sql),
        Migration(26, "samples", PackageResources._026_samples_sql),
        Migration(27, "foreign-marks", PackageResources._027_foreign_marks_sql),
        Migration(28, "redrives", PackageResources._028_redrives_sql),
        Migration(29, "waiting", PackageResources._029_waiting_sql),
        Migration(30, "conflicts", PackageResources._030_conflicts_sql),
    ]

    private init(_ number: Int32, _ name: String, _ bytes: [UInt8]) {
        self.init(number: number, name: name, sql: String(decoding: bytes, as: UTF8.self))
    }

    /// The number as the file has it, and the name: `0003 people`.
    package var title: String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits + " " + name
    }
}

/// Where a migration stands in a database.
package struct MigrationStatus: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        case pending
        case applied
        /// Applied, but from another text than this program's.
        case changed
        /// Applied by a newer program; this one does not have it.
        case unknown
    }

    package let number: Int32
    package let name: String
    /// SHA-256 of this program's text, in hexadecimal; of the applied one where this program has none.
    package let checksum: String
    package let state: State

    package init(number: Int32, name: String, checksum: String, state: State) {
        self.number = number
        self.name = name
        self.checksum = checksum
        self.state = state
    }
}

/// Something about a database that must be put right, and how.
package struct SchemaProblem: Error, Sendable, Hashable, CustomStringConvertible {
    package let problem: String
    /// What to do, in a line.
    package let cure: String
    /// `false`: the gateway works all the same, less well.
    package let isFatal: Bool

    package init(_ problem: String, cure: String, isFatal: Bool = true) {
        self.problem = problem
        self.cure = cure
        self.isFatal = isFatal
    }

    package var description: String { "\(problem): \(cure)" }
}
