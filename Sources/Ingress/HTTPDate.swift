import Messaging

/// The `Date` header of RFC 9110: `Date: Sun, 06 Nov 1994 08:49:37 GMT`.
enum HTTPDate {
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    static func line(_ moment: Timestamp) -> String {
        let day = moment.day
        let (year, month, dayOfMonth) = day.civil
        let second = Int(moment.seconds - Int64(day.daysSince1970) * 86_400)
        let weekday = weekdays[((Int(day.daysSince1970) % 7) + 7) % 7]
        let time = "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))"
        return "Date: \(weekday), \(two(dayOfMonth)) \(months[month - 1]) \(year) \(time) GMT\r\n"
    }

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
