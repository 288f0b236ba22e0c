/// A moment: microseconds since 1970-01-01 00:00 UTC, the resolution PostgreSQL keeps.
///
/// A plain integer, so that it costs nothing to carry; text is made at the edge (`rfc3339`).
@frozen
public struct Timestamp: Hashable, Sendable, Comparable {
    public let microseconds: Int64

    @inlinable
    public init(microseconds: Int64) { self.microseconds = microseconds }

    /// From whole seconds; values beyond what microseconds can hold stop at the limit.
    @inlinable
    public init(seconds: Int64) {
        let (value, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        self.microseconds = overflow ? (seconds < 0 ? .min : .max) : value
    }

    @inlinable
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }

    /// This moment moved by a number of seconds; stops at the limit instead of overflowing.
    @inlinable
    public func advanced(bySeconds seconds: Int64) -> Timestamp {
        let (step, tooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000)
        let (sum, overflow) = microseconds.addingReportingOverflow(tooLarge ? (seconds < 0 ? .min : .max) : step)
        return Timestamp(microseconds: overflow ? (seconds < 0 ? .min : .max) : sum)
    }

    /// Whole seconds since 1970, rounded down.
    @inlinable
    public var seconds: Int64 {
        microseconds / 1_000_000 - (microseconds % 1_000_000 < 0 ? 1 : 0)
    }

    /// The calendar day in UTC this moment falls on.
    public var day: CalendarDay {
        let days = microseconds / 86_400_000_000 - (microseconds % 86_400_000_000 < 0 ? 1 : 0)
        return CalendarDay(daysSince1970: Int32(clamping: days))
    }
}

/// A day of the Gregorian calendar, as a `date` in PostgreSQL: leases begin and end on days.
@frozen
public struct CalendarDay: Hashable, Sendable, Comparable {
    public let daysSince1970: Int32

    @inlinable
    public init(daysSince1970: Int32) { self.daysSince1970 = daysSince1970 }

    @inlinable
    public static func < (a: CalendarDay, b: CalendarDay) -> Bool { a.daysSince1970 < b.daysSince1970 }

    /// This day moved by a number of days; stops at the limit instead of overflowing.
    @inlinable
    public func advanced(by days: Int32) -> CalendarDay {
        let (sum, overflow) = daysSince1970.addingReportingOverflow(days)
        return CalendarDay(daysSince1970: overflow ? (days < 0 ? .min : .max) : sum)
    }

    /// Year, month (1–12) and day (1–31); Howard Hinnant's `civil_from_days`.
    public var civil: (year: Int, month: Int, day: Int) {
        let shifted = Int(daysSince1970) + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// From year, month and day; Howard Hinnant's `days_from_civil`. The caller vouches for a valid date.
    public init(year: Int, month: Int, day: Int) {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        self.init(daysSince1970: Int32(clamping: era * 146_097 + dayOfEra - 719_468))
    }
}

extension Timestamp {
    /// RFC 3339 in UTC with microseconds, as `2026-03-01T09:30:00.000000Z`: what the API and the logs show.
    public var rfc3339: String {
        let date = day
        // Wrapping: the product of the first day there is lies below what an integer holds, the difference does not.
        let rest = microseconds &- Int64(date.daysSince1970) &* 86_400_000_000
        let second = rest / 1_000_000
        let (year, month, dayOfMonth) = date.civil
        return "\(Self.padded(Int64(year), 4))-\(Self.padded(Int64(month), 2))-\(Self.padded(Int64(dayOfMonth), 2))"
            + "T\(Self.padded(second / 3600, 2)):\(Self.padded(second / 60 % 60, 2)):\(Self.padded(second % 60, 2))"
            + ".\(Self.padded(rest % 1_000_000, 6))Z"
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return digits.utf8.count >= width ? digits : String(repeating: "0", count: width - digits.utf8.count) + digits
    }
}

extension Timestamp: Encodable {
    /// As RFC 3339 has it.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rfc3339)
    }
}
