import Testing

@testable import Gateway

@Suite struct QuantityTests {
    @Test(
        "reads sizes with the usual units, and nothing else",
        arguments: [
            ("0", 0), ("1000000", 1_000_000), ("7B", 7), ("512KiB", 524_288), ("4MiB", 4_194_304),
            ("8GiB", 8_589_934_592),
            ("2TiB", 2_199_023_255_552), ("9223372036854775807", Int64.max), ("9223372036854775808", nil),
            ("8388608TiB", nil),
            ("", nil), ("KiB", nil), ("-1", nil), ("+1", nil), ("1.5GiB", nil), ("1 MiB", nil), ("1mib", nil),
            ("1MB", nil),
            ("1K", nil), ("٣", nil), ("0x10", nil), ("10s", nil),
        ] as [(String, Int64?)])
    func bytes(text: String, value: Int64?) {
        #expect(Quantity.bytes(text) == value)
    }

    @Test(
        "reads durations with their unit, and nothing else",
        arguments: [
            ("0s", 0), ("15s", 15), ("10m", 600), ("24h", 86_400), ("7d", 604_800), ("15", nil), ("", nil), ("s", nil),
            ("1.5h", nil), ("-1s", nil), ("1 s", nil), ("1S", nil), ("1w", nil), ("1h30m", nil),
            ("106751991167301d", nil), ("9223372036854775807s", Int64.max),
        ] as [(String, Int64?)])
    func seconds(text: String, value: Int64?) {
        #expect(Quantity.seconds(text) == value)
    }
}
