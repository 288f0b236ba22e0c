import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// Asks a running twin to be a tenant: what `zenrent-gateway twin send` uses.
package struct TwinClient: Sendable {
    /// What is to be written, by whom.
    package struct Order: Encodable, Sendable {
        package var from: String?
        package var text: String?
        package var type: String?
        package var quote: String?
        package var bsuid: String?
        package var name: String?
        /// The digits of a hidden id, where it is written by way of a session server.
        package var lid: String?
        /// The `phone_number_id` written to; the twin's first if left out.
        package var phone: String?

        package init(
            from: String?, text: String?, type: String? = nil, quote: String? = nil, bsuid: String? = nil,
            name: String? = nil, phone: String? = nil, lid: String? = nil
        ) {
            self.from = from
            self.text = text
            self.type = type
            self.quote = quote
            self.bsuid = bsuid
            self.name = name
            self.phone = phone
            self.lid = lid
        }
    }

    /// What came of it.
    package struct Receipt: Decodable, Hashable, Sendable {
        package let wamid: String
        /// 200 when the gateway acknowledged it; 0 when it did not answer.
        package let gatewayStatus: Int
        package let error: String?

        enum CodingKeys: String, CodingKey {
            case wamid, error
            case gatewayStatus = "gateway_status"
        }
    }

    package enum Failure: Error, Hashable, CustomStringConvertible {
        case unreachable(port: Int, cause: String)
        case refused(String)
        case unreadable(status: Int)

        package var description: String {
            switch self {
            case .unreachable(let port, let cause):
                "no Meta twin answers on 127.0.0.1:\(port) (\(cause)); start one with `zenrent-gateway dev`, "
                    + "or set SANDBOX_PORT to where it listens"
            case .refused(let text): "the Meta twin refused: \(text)"
            case .unreadable(let status):
                "what answers there with status \(status) is not the Meta twin; check SANDBOX_PORT"
            }
        }
    }

    /// Whose option is to be tapped, and which.
    package struct Tap: Encodable, Sendable {
        package var from: String?
        package var bsuid: String?
        /// The wamid of the message with the options.
        package var message: String?
        /// Counted from 1.
        package var option: Int?
        package var title: String?

        package init(from: String?, bsuid: String?, message: String?, option: Int?, title: String?) {
            self.from = from
            self.bsuid = bsuid
            self.message = message
            self.option = option
            self.title = title
        }
    }

    private struct Refusal: Decodable {
        let error: String
    }

    private let port: Int

    package init(port: Int) { self.port = port }

    /// Where a message comes in by.
    package enum Way: String, Sendable, CaseIterable {
        case meta
        /// A session server.
        case vps

        fileprivate var path: String {
            switch self {
            case .meta: "send"
            case .vps: "vps"
            }
        }
    }

    package func send(_ order: Order, via way: Way = .meta) async throws(Failure) -> Receipt {
        try await receipt(way.path, order)
    }

    /// Lets a tenant tap one of the options they were shown.
    package func tap(_ tap: Tap) async throws(Failure) -> Receipt { try await receipt("tap", tap) }

    private func receipt(_ path: String, _ order: some Encodable) async throws(Failure) -> Receipt {
        guard let body = try? JSONEncoder().encode(order) else { throw .refused("the text cannot be written as JSON") }
        let (status, answer) = try await post(path, Array(body))
        if let receipt = try? JSONDecoder().decode(Receipt.self, from: Data(answer)) { return receipt }
        guard let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(answer)) else {
            throw .unreadable(status: status)
        }
        throw .refused(refusal.error)
    }

    private func post(_ path: String, _ body: [UInt8]) async throws(Failure) -> (status: Int, body: [UInt8]) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/twin/\(path)")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: body))
        // The client's own repetitions would keep a person waiting for a twin that is not there.
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let outcome: Result<(status: Int, body: [UInt8]), Failure>
        do {
            let response = try await client.execute(request, timeout: .seconds(30))
            let answer = try await response.body.collect(upTo: 1 << 20)
            outcome = .success((Int(response.status.code), Array(answer.readableBytesView)))
        } catch {
            let cause = (error as? HTTPClientError)?.shortDescription ?? "connection refused"
            outcome = .failure(.unreachable(port: port, cause: cause))
        }
        try? await client.shutdown()
        return try outcome.get()
    }
}
