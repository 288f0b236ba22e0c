package import Delivery
package import Messaging
import Synchronization

/// A sender that does what the test says, and counts.
package final class DeliverySender: Delivery.Sender {
    private struct State {
        var texts: [String] = []
        var inFlight = 0
        var inFlightMost = 0
    }

    private let state = Mutex(State())
    private let answer: @Sendable (OutboundMessage) async -> SendOutcome

    /// - Parameter answer: by default every message is accepted under the id `wamid.<text>`.
    package init(
        answer: @escaping @Sendable (OutboundMessage) async -> SendOutcome = {
            .accepted(providerID: "wamid.\($0.text)")
        }
    ) {
        self.answer = answer
    }

    /// The texts sent, in order.
    package var texts: [String] { state.withLock { $0.texts } }
    package var inFlightMost: Int { state.withLock { $0.inFlightMost } }

    package func send(_ message: OutboundMessage) async -> SendOutcome {
        state.withLock { state in
            state.texts.append(message.text)
            state.inFlight += 1
            state.inFlightMost = max(state.inFlightMost, state.inFlight)
        }
        let outcome = await answer(message)
        state.withLock { $0.inFlight -= 1 }
        return outcome
    }
}

extension OutboundMessage {
    /// A message from the sample number to the sample tenant.
    package static func sample(
        text: String = "Good morning", recipient: Recipient = .phone(PhoneNumber(digits: 447_911_123_456)!),
        endpoint: EndpointReference = EndpointReference(kind: .cloud, providerID: "106540352242922"),
        quotedMessageID: String? = nil
    ) -> OutboundMessage {
        let sentAt = Timestamp(seconds: 1_772_000_000)
        return OutboundMessage(
            reference: MessageReference(id: UniqueID(at: sentAt, random: (7, 11)), sentAt: sentAt), endpoint: endpoint,
            recipient: recipient, text: text, quotedMessageID: quotedMessageID)
    }
}
