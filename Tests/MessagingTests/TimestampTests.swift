import Messaging
import Testing

@Suite struct TimestampTests {
    @Test(
        "writes RFC 3339 in UTC",
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_772_357_400_000_000, "2026-03-01T09:30:00.000000Z"),
            (1_709_164_799_999_999, "2024-02-28T23:59:59.999999Z"),
            (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59.000000Z"),
        ] as [(Int64, String)])
    func writesRFC3339(microseconds: Int64, text: String) {
        #expect(Timestamp(microseconds: microseconds).rfc3339 == text)
    }

    @Test("stops at its limits instead of overflowing")
    func stopsAtLimits() {
        #expect(Timestamp(seconds: .max).microseconds == .max)
        #expect(Timestamp(microseconds: .min).seconds == -9_223_372_036_855)
        #expect(Timestamp(microseconds: .min).rfc3339.hasSuffix("Z"))
        #expect(Timestamp(seconds: .min).microseconds == .min)
        #expect(Timestamp(microseconds: .max).advanced(bySeconds: 1).microseconds == .max)
        #expect(Timestamp(microseconds: .min).advanced(bySeconds: -1).microseconds == .min)
        #expect(Timestamp(seconds: 0).advanced(bySeconds: .max).microseconds == .max)
        #expect(Timestamp(seconds: 10).advanced(bySeconds: -3) == Timestamp(seconds: 7))
    }

    @Test(
        "rounds seconds down",
        arguments: [(1_999_999, 1), (0, 0), (-1, -1), (-1_000_000, -1), (-1_000_001, -2)] as [(Int64, Int64)])
    func roundsDown(microseconds: Int64, seconds: Int64) {
        #expect(Timestamp(microseconds: microseconds).seconds == seconds)
    }

    @Test(
        "falls on the day it is in",
        arguments: [(86_399_999_999, 0), (86_400_000_000, 1), (-1, -1), (-86_400_000_000, -1), (-86_400_000_001, -2)]
            as [(Int64, Int32)])
    func fallsOnDay(microseconds: Int64, day: Int32) {
        #expect(Timestamp(microseconds: microseconds).day == CalendarDay(daysSince1970: day))
    }
}

@Suite struct CalendarDayTests {
    @Test("reads back every day of nine hundred years")
    func roundTrip() {
        for number in stride(from: Int32(-200_000), through: 130_000, by: 7) {
            let day = CalendarDay(daysSince1970: number)
            let (year, month, dayOfMonth) = day.civil
            #expect(CalendarDay(year: year, month: month, day: dayOfMonth) == day)
        }
    }

    @Test(
        "knows dates",
        arguments: [
            (1970, 1, 1, 0), (2000, 2, 29, 11_016), (2000, 3, 1, 11_017), (1900, 1, 1, -25_567), (2026, 12, 31, 20_818),
        ] as [(Int, Int, Int, Int32)])
    func knowsDates(year: Int, month: Int, day: Int, number: Int32) {
        #expect(CalendarDay(year: year, month: month, day: day).daysSince1970 == number)
    }

    @Test("stops at its limits instead of overflowing")
    func stopsAtLimits() {
        #expect(CalendarDay(daysSince1970: .max).advanced(by: 1).daysSince1970 == .max)
        #expect(CalendarDay(daysSince1970: .min).advanced(by: -1).daysSince1970 == .min)
        #expect(CalendarDay(daysSince1970: 10).advanced(by: -3).daysSince1970 == 7)
    }
}
