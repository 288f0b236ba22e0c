import Foundation
import Glibc
import Logging
import Messaging
import Synchronization
import Testing

@testable import Operations

@Suite struct JSONLogHandlerTests {
    @Test func writesOneObjectALine() throws {
        let lines = Lines()
        var logger = lines.logger(label: "ingress")
        logger[metadataKey: "connection"] = "7"
        logger.info("listening", metadata: ["port": .stringConvertible(8443)])
        #expect(
            lines.texts == [
                #"{"time":"2026-03-01T09:30:00.000001Z","level":"info","label":"ingress","message":"listening","#
                    + #""metadata":{"connection":"7","port":"8443"}}"# + "\n"
            ])
    }

    @Test func escapesEveryByteThatCouldEndALineOrSteerATerminal() throws {
        let lines = Lines()
        let hostile =
            String(String.UnicodeScalarView((0...0x9F).compactMap { Unicode.Scalar($0) })) + "\u{2028}\u{202E}é😀"
        lines.logger().error("\(hostile)", metadata: ["a\nb": .string(hostile), "list": ["x\r", ["y\u{0}": "z"]]])
        let line = try #require(lines.raw.first)
        #expect(line.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        #expect(line.last == 0x0A)
        #expect(!lines.texts[0].unicodeScalars.contains { (0x80...0x9F).contains($0.value) || $0 == "\u{202E}" })
        let object = try lines.objects()[0]
        #expect(object["message"] as? String == hostile)
        let metadata = try #require(object["metadata"] as? [String: Any])
        #expect(metadata["a\nb"] as? String == hostile)
    }

    @Test func keepsEveryLineWithinItsLimitAndValid() throws {
        let lines = Lines()
        let logger = lines.logger()
        let long = String(repeating: "\u{1}é\"", count: 20_000)
        var many: Logger.Metadata = [:]
        for index in 0..<2_000 { many["key\(index)"] = .string(long) }
        logger.info("\(long)")
        logger.info("short", metadata: many)
        logger.info("short", metadata: ["list": .array(Array(repeating: .string("x"), count: 50_000))])
        logger.info("short", metadata: ["deep": Self.nested(1_000)])
        for line in lines.raw { #expect(line.count <= JSONLogLine.Limits.lineBytesMax) }
        let objects = try lines.objects()
        #expect((objects[0]["message"] as? String)?.hasSuffix("…") == true)
        #expect(objects[1]["truncated"] as? Bool == true)
        #expect(objects[2]["truncated"] as? Bool == true)
        #expect(objects[3]["truncated"] as? Bool == true)
    }

    private static func nested(_ depth: Int) -> Logger.MetadataValue {
        (0..<depth).reduce(.string("end")) { value, _ in .dictionary(["in": value]) }
    }

    @Test func randomTextsStayReadable() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed: seed)
        let lines = Lines()
        var expected: [String] = []
        for _ in 0..<300 {
            let scalars = (0..<Int.random(in: 0..<60, using: &random)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...0x11000, using: &random))
            }
            // A plus sign is what starts a mask outside marked keys.
            let text = String(String.UnicodeScalarView(scalars.filter { $0 != "+" }))
            expected.append(text)
            lines.logger().warning("\(text)")
        }
        let found = try lines.objects().map { $0["message"] as? String }
        #expect(found == expected, "seed \(seed)")
    }

    @Test func logsTheErrorAndWhatTheProviderAdds() throws {
        struct Failure: Error, CustomStringConvertible { let description = "disk full" }
        let lines = Lines()
        var logger = lines.logger(provider: Logger.MetadataProvider { ["trace": "t1", "both": "provider"] })
        logger[metadataKey: "both"] = "logger"
        logger.error("failed", error: Failure(), metadata: ["both": "call"])
        let object = try lines.objects()[0]
        #expect(object["error"] as? String == "disk full")
        #expect(object["metadata"] as? [String: String] == ["trace": "t1", "both": "call"])
    }

    @Test func masksNumbersUnderMarkedKeysAlsoWhenNested() throws {
        let lines = Lines()
        lines.logger().info(
            "from +447911123456",
            metadata: ["phone": "447911123456", "from": .array(["0044 7911 123456"]), "count": "447911123456"])
        let object = try lines.objects()[0]
        #expect(object["message"] as? String == "from +44…56")
        let metadata = try #require(object["metadata"] as? [String: Any])
        #expect(metadata["phone"] as? String == "44…56")
        #expect(metadata["from"] as? [String] == ["00…56"])
        #expect(metadata["count"] as? String == "447911123456")
    }

    @Test func writesWholeLinesFromManyThreads() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let (readEnd, writeEnd) = (ends[0], ends[1])
        // Other tests start programs meanwhile: they must not hold the pipe open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // A pipe smaller than a line: without a lock, another thread's bytes would get in between.
        let setPipeSize: Int32 = 1_031  // F_SETPIPE_SZ of Linux, which Swift does not import.
        #expect(fcntl(writeEnd, setPipeSize, 4_096) == 4_096)
        defer { close(readEnd) }
        let handler = JSONLogHandler(label: "x", output: .descriptor(writeEnd))
        let logger = Logger(label: "x") { _ in handler }
        let padding = String(repeating: "p", count: 6_000)
        async let received = Self.read(readEnd, lines: 100)
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask { for _ in 0..<25 { logger.info("\(padding)", metadata: ["writer": "\(writer)"]) } }
            }
        }
        close(writeEnd)
        let lines = await received.split(separator: 0x0A)
        #expect(lines.count == 100)
        for line in lines { _ = try JSONSerialization.jsonObject(with: Data(line)) }
    }

    /// Reads on a thread of its own: the writers fill the pipe and wait on the threads that tests run on.
    private static func read(_ descriptor: Int32, lines: Int) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var all: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = Glibc.read(descriptor, &buffer, buffer.count)
                    all += buffer[..<max(0, count)]
                    let isDone = all.last == 0x0A && all.count(where: { $0 == 0x0A }) >= lines
                    guard count > 0, !isDone else { return continuation.resume(returning: all) }
                }
            }
        }
    }
}

@Suite struct LogSanitizerTests {
    @Test(arguments: [
        ("447911123456", "44…56"), ("+447911123456", "+44…56"), ("0044 7911 123456", "00…56"),
        ("+44 (0) 7911-123 456", "+44…56"), ("447911123456@c.us", "44…56@c.us"), ("+(44) 7911 123456", "+44…56"),
        ("1234567", "1234567"), ("1234567890123456", "1234567890123456"), ("wamid12345678", "wamid12345678"),
        ("12345678a", "12345678a"), ("a, 447911123456, b", "a, 44…56, b"), ("idle", "idle"), ("", ""),
    ])
    func masksUnderMarkedKeys(text: String, masked: String) {
        #expect(LogSanitizer.masked(text, marked: true) == masked)
    }

    @Test(arguments: [
        ("from +447911123456.", "from +44…56."), ("447911123456", "447911123456"), ("+1234567", "+1234567"),
        ("a+447911123456", "a+447911123456"), ("offset +0000", "offset +0000"),
        ("wamid.HBgMNDQ3OTEx+12345678Zz", "wamid.HBgMNDQ3OTEx+12345678Zz"),
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("+1234567890123456", "+1234567890123456"), ("++447911123456", "++44…56"),
    ])
    func masksOnlyWhatStartsWithAPlusElsewhere(text: String, masked: String) {
        #expect(LogSanitizer.masked(text, marked: false) == masked)
    }

    @Test(arguments: [
        ("phone", true), ("From", true), ("to", true), ("sender", true), ("tenant_phone", true), ("total", false),
        ("phone_number_id", false), ("wamid", false), ("phone_number", true),
    ])
    func knowsTheKeys(key: String, marked: Bool) {
        #expect(LogSanitizer.marksPhone(key) == marked)
    }
}

/// Keeps what was logged.
private final class Lines: Sendable {
    private let kept = Mutex<[[UInt8]]>([])

    var raw: [[UInt8]] { kept.withLock { $0 } }
    var texts: [String] { raw.map { String(decoding: $0, as: UTF8.self) } }

    func objects() throws -> [[String: Any]] {
        try raw.map { try #require(JSONSerialization.jsonObject(with: Data($0)) as? [String: Any]) }
    }

    func logger(label: String = "test", provider: Logger.MetadataProvider? = nil) -> Logger {
        Logger(label: label) { label in
            JSONLogHandler(
                label: label, metadataProvider: provider,
                output: LogOutput { line in self.kept.withLock { $0.append(line) } },
                now: { Timestamp(microseconds: 1_772_357_400_000_001) })
        }
    }
}

/// A small generator that starts from a seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
