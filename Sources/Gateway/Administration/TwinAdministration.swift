import Sandbox

/// The Meta twin of a running `dev`: `twin send`.
package struct TwinAdministration: Sendable {
    private let client: TwinClient

    package init(_ settings: SettingsReader) throws { client = TwinClient(port: try settings.port(.sandboxPort)) }

    /// The way a message comes in.
    package enum Way: String, Sendable, CaseIterable {
        case meta
        /// A session server.
        case vps
    }

    /// What a tenant writes, and who it is.
    package struct Order: Sendable {
        package var way = Way.meta
        /// The digits of a hidden id; for `vps` alone.
        package var lid: String?
        package var from: String?
        package var text: String?
        package var type: String
        package var quote: String?
        package var bsuid: String?
        package var name: String?

        package init(from: String?, text: String?, type: String, quote: String?, bsuid: String?, name: String?) {
            self.from = from
            self.text = text
            self.type = type
            self.quote = quote
            self.bsuid = bsuid
            self.name = name
        }
    }

    /// What came of it.
    package struct Receipt: Encodable, Hashable, Sendable {
        package let wamid: String
        /// 200 when the gateway acknowledged it; 0 when it did not answer.
        package let gatewayStatus: Int
        package let error: String?
    }

    /// Which of the options that a tenant was shown is tapped.
    package struct Tap: Sendable {
        package var from: String?
        package var bsuid: String?
        /// The id of the message with the options; the newest if left out.
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

    package func tap(_ tap: Tap) async throws -> Receipt {
        let receipt = try await client.tap(
            TwinClient.Tap(
                from: tap.from, bsuid: tap.bsuid, message: tap.message, option: tap.option, title: tap.title))
        return Receipt(wamid: receipt.wamid, gatewayStatus: receipt.gatewayStatus, error: receipt.error)
    }

    package func send(_ order: Order) async throws -> Receipt {
        let receipt = try await client.send(
            TwinClient.Order(
                from: order.from, text: order.text, type: order.type, quote: order.quote, bsuid: order.bsuid,
                name: order.name, lid: order.lid), via: order.way == .vps ? .vps : .meta)
        return Receipt(wamid: receipt.wamid, gatewayStatus: receipt.gatewayStatus, error: receipt.error)
    }
}
