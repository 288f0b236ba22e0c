package import Messaging
package import PostgresClient

// Our values as PostgreSQL's: ids are uuids, moments are timestamptz.

extension PostgresValue {
    package static func id(_ id: UniqueID) -> PostgresValue { .uuid(high: id.high, low: id.low) }
    package static func id(_ id: UniqueID?) -> PostgresValue { id.map { .id($0) } ?? .null }
    package static func time(_ moment: Timestamp) -> PostgresValue { .timestamp(microseconds: moment.microseconds) }
}

extension PostgresArrayBuilder {
    package mutating func append(id: UniqueID) { append(uuidHigh: id.high, low: id.low) }

    package mutating func append(id: UniqueID?) {
        if let id { append(id: id) } else { appendNull() }
    }

    package mutating func append(time moment: Timestamp) { append(timestamp: moment.microseconds) }

    package mutating func append(time moment: Timestamp?) { append(timestamp: moment?.microseconds) }
}

extension PostgresRow {
    package func id(_ column: Int) throws(PostgresError) -> UniqueID {
        let (high, low) = try uuid(column)
        return UniqueID(high: high, low: low)
    }

    package func nullableID(_ column: Int) throws(PostgresError) -> UniqueID? {
        try nullableUUID(column).map { UniqueID(high: $0.high, low: $0.low) }
    }

    package func time(_ column: Int) throws(PostgresError) -> Timestamp {
        Timestamp(microseconds: try timestamp(column))
    }

    package func nullableTime(_ column: Int) throws(PostgresError) -> Timestamp? {
        try nullableTimestamp(column).map(Timestamp.init(microseconds:))
    }

    package func nullableDay(_ column: Int) throws(PostgresError) -> CalendarDay? {
        try nullableDate(column).map(CalendarDay.init(daysSince1970:))
    }
}
