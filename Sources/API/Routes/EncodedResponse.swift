import FoundationEssentials
import Hummingbird
import NIOCore

extension Response {
    /// Names in snake case and sorted, as the command line prints them.
    init(encoding value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let body = ByteBuffer(bytes: try encoder.encode(value))
        self.init(status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: body))
    }
}
