import Hummingbird
import NIOCore

/// Reads a body of JSON, of a limited size, to its end.
enum RequestBody {
    /// - Parameter example: of what is taken, for the error's reader.
    static func json(_ request: Request, bytesMax: Int, example: String) async throws -> JSON {
        try checkType(request.headers)
        let body = try await collect(request, bytesMax: bytesMax)
        do throws(JSONError) { return try JSON(parsing: body) } catch {
            throw Problem(
                .malformedJSON, "The body cannot be read as JSON: \(error.reason), at byte \(error.offset).",
                next: "Send an object such as \(example).")
        }
    }

    private static func checkType(_ headers: HTTPFields) throws {
        let types = headers[values: .contentType]
        let type = types.first.map { $0.prefix { $0 != ";" && $0 != " " && $0 != "\t" }.lowercased() }
        guard types.count == 1, type == "application/json" else {
            throw Problem(
                .unsupportedMediaType, "The Content-Type is not application/json.",
                next: "Send JSON, with Content-Type: application/json.")
        }
        guard headers[values: .contentEncoding].allSatisfy({ $0.lowercased() == "identity" }) else {
            throw Problem(
                .unsupportedMediaType, "The body has a Content-Encoding.", next: "Send the body without compression.")
        }
    }

    private static func collect(_ request: Request, bytesMax: Int) async throws -> [UInt8] {
        let tooLarge = Problem(
            .bodyTooLarge, "The body has more than \(bytesMax) bytes.", next: "Send a shorter one.")
        let announced = request.headers[.contentLength].flatMap { Int($0) }
        if let announced, announced > bytesMax { throw tooLarge }
        var bytes: [UInt8] = []
        do {
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= bytesMax else { throw tooLarge }
                bytes += part.readableBytesView
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.malformedRequest, "The body did not arrive whole.", next: "Send the request again.")
        }
        guard announced == nil || announced == bytes.count else {
            throw Problem(
                .malformedRequest, "The body is shorter than its Content-Length.", next: "Send the request again.")
        }
        return bytes
    }
}
