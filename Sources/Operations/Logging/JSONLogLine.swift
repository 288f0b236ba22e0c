import Logging

/// One line of the log while it is written; keeps to its limits whatever it is given.
struct JSONLogLine {
    enum Limits {
        static let lineBytesMax = 16_384
        static let messageBytesMax = 8_192
        static let valueBytesMax = 2_048
        static let keyBytesMax = 128
        static let depthMax = 4
        /// Kept free for what closes the line.
        static let reserveBytes = 512
    }

    private var bytes: [UInt8] = []
    private var isTruncated = false

    init() { bytes.reserveCapacity(512) }

    mutating func begin(time: String, level: String, label: String, message: String) {
        append("{\"time\":\"\(time)\",\"level\":\"\(level)\",\"label\":")
        JSONText.append(label, to: &bytes, bytesMax: Limits.keyBytesMax)
        append(",\"message\":")
        append(text: message, marked: false, bytesMax: Limits.messageBytesMax)
    }

    mutating func add(error: String) {
        append(",\"error\":")
        append(text: error, marked: false, bytesMax: Limits.valueBytesMax)
    }

    /// - Returns: the whole line with its line feed.
    consuming func finished(with metadata: Logger.Metadata) -> [UInt8] {
        if !metadata.isEmpty {
            append(",\"metadata\":")
            append(metadata, marked: false, depth: 0)
        }
        if isTruncated { append(",\"truncated\":true") }
        append("}\n")
        return bytes
    }

    private var room: Int { Limits.lineBytesMax - Limits.reserveBytes - bytes.count }

    private mutating func append(_ text: String) { bytes += Array(text.utf8) }

    private mutating func append(text: String, marked: Bool, bytesMax: Int) {
        // Masking comes first, on a piece that is long enough: a cut must not halve a number and so hide it.
        let piece =
            text.utf8.count > bytesMax * 2 ? String(decoding: text.utf8.prefix(bytesMax * 2), as: UTF8.self) : text
        let masked = LogSanitizer.masked(piece, marked: marked)
        JSONText.append(masked, to: &bytes, bytesMax: max(0, min(bytesMax, room)))
    }

    private mutating func append(_ metadata: Logger.Metadata, marked: Bool, depth: Int) {
        append("{")
        var isFirst = true
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            guard room > Limits.keyBytesMax + 16 else {
                isTruncated = true
                break
            }
            if !isFirst { append(",") }
            isFirst = false
            JSONText.append(key, to: &bytes, bytesMax: Limits.keyBytesMax)
            append(":")
            append(value, marked: marked || LogSanitizer.marksPhone(key), depth: depth + 1)
        }
        append("}")
    }

    private mutating func append(_ value: Logger.MetadataValue, marked: Bool, depth: Int) {
        switch value {
        case .string(let text): append(text: text, marked: marked, bytesMax: Limits.valueBytesMax)
        case .stringConvertible(let value):
            append(text: value.description, marked: marked, bytesMax: Limits.valueBytesMax)
        case .array, .dictionary:
            guard depth < Limits.depthMax else {
                isTruncated = true
                return append("\"…\"")
            }
            if case .dictionary(let members) = value { return append(members, marked: marked, depth: depth) }
            if case .array(let elements) = value { append(elements, marked: marked, depth: depth) }
        }
    }

    private mutating func append(_ elements: [Logger.MetadataValue], marked: Bool, depth: Int) {
        append("[")
        for (index, element) in elements.enumerated() {
            guard room > 16 else {
                isTruncated = true
                break
            }
            if index > 0 { append(",") }
            append(element, marked: marked, depth: depth + 1)
        }
        append("]")
    }
}
