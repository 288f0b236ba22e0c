package import Messaging

/// An answer a landlord has written, checked as far as that can be done without the database: it has words, a tenant's
/// phone can show it, and it is not longer than WhatsApp takes.
///
/// The store has the last word on the length, for only there the landlord's signature is known.
package struct ReplyDraft: Hashable, Sendable {
    /// What the landlord wrote, with line ends as `\n`.
    package let text: String
    /// The provider's id of the message it answers.
    package let quotedMessageID: String?

    /// The longest provider id that is taken as a quote; real ones are about 60 characters.
    package static let quoteLengthMax = 256

    package init(text: String, quotedMessageID: String?) throws(ReplyRefusal) {
        let text = Self.withPlainLineEnds(text)
        guard text.unicodeScalars.contains(where: Self.isVisible) else { throw .emptyText }
        for (position, scalar) in text.unicodeScalars.enumerated()
        where scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t" {
            throw .controlCharacter(code: scalar.value, position: position)
        }
        let units = text.utf16.count
        guard units <= OutboundMessage.textLengthMax else {
            throw .textTooLong(units: units, max: OutboundMessage.textLengthMax)
        }
        if let quotedMessageID {
            guard (1...Self.quoteLengthMax).contains(quotedMessageID.utf8.count),
                quotedMessageID.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
            else { throw .invalidQuote }
        }
        self.text = text
        self.quotedMessageID = quotedMessageID
    }

    /// The answer as it is queued.
    /// - Parameters:
    ///   - reference: the id and queueing time the message gets.
    ///   - signatureTemplate: for landlords who have none of their own.
    package func reply(
        in conversation: UniqueID, reference: MessageReference, signatureTemplate: LandlordSignature,
        idempotency: IdempotencyKey?
    ) -> Reply {
        Reply(
            conversationID: conversation, reference: reference, text: text, signatureTemplate: signatureTemplate,
            quotedMessageID: quotedMessageID, idempotency: idempotency)
    }

    /// What is hashed to tell whether a request that repeats an `Idempotency-Key` asks for the same thing: its meaning,
    /// so that the order of JSON fields or the form of a line end does not matter. Every part is preceded by its
    /// length, so that no two different requests have the same bytes.
    package func canonicalBytes(in conversation: UniqueID) -> [UInt8] {
        var bytes = Array("reply/1".utf8) + conversation.bytes
        Self.append(Array(text.utf8), to: &bytes)
        bytes.append(quotedMessageID == nil ? 0 : 1)
        if let quotedMessageID { Self.append(Array(quotedMessageID.utf8), to: &bytes) }
        return bytes
    }

    private static func append(_ part: [UInt8], to bytes: inout [UInt8]) {
        let count = UInt32(clamping: part.count)
        bytes += stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: count >> UInt32($0)) }
        bytes += part
    }

    /// A carriage return is only meant with the line feed after it; alone it stays, and is refused as what it is.
    private static func withPlainLineEnds(_ text: String) -> String {
        guard text.utf8.contains(0x0D) else { return text }
        var scalars = String.UnicodeScalarView()
        var pendingReturn = false
        for scalar in text.unicodeScalars {
            if pendingReturn, scalar != "\n" { scalars.append("\r") }
            pendingReturn = scalar == "\r"
            if !pendingReturn { scalars.append(scalar) }
        }
        if pendingReturn { scalars.append("\r") }
        return String(scalars)
    }

    /// Whether a reader would see something: not space, not a mark that only steers the text around it.
    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        return !properties.isWhitespace && !properties.isDefaultIgnorableCodePoint
            && properties.generalCategory != .control && properties.generalCategory != .format
    }
}

/// Why an answer cannot be taken as it was written.
package enum ReplyRefusal: Error, Hashable, Sendable {
    /// Nothing but spaces, line ends or invisible marks.
    case emptyText
    /// A control character other than a line feed or a tab; `position` counts Unicode scalars from 0.
    case controlCharacter(code: UInt32, position: Int)
    /// `units` are UTF-16 code units.
    case textTooLong(units: Int, max: Int)
    /// Not a provider's message id: 1 to 256 visible ASCII characters.
    case invalidQuote
}

extension IdempotencyKey {
    /// The longest key a caller may choose.
    package static let lengthMax = 255

    /// A caller's key for one request; `nil` unless it is 1 to 255 visible ASCII characters.
    /// - Parameter requestHash: SHA-256 of `ReplyDraft.canonicalBytes`.
    package init?(checking key: String, route: String, requestHash: [UInt8]) {
        guard (1...Self.lengthMax).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        self.init(key: key, route: route, requestHash: requestHash)
    }
}
