public import Messaging

/// The writing side of a journal, as the ingress uses it: hand over an envelope now, hear of it once it is durable.
public protocol WebhookAppender: Sendable {
    /// Takes an envelope into the next group, or says why not. Never blocks.
    ///
    /// After `nil`, `sink.appended` is called exactly once with this ticket.
    func append(_ envelope: Envelope, ticket: AppendTicket, sink: any AppendSink) -> JournalError?
}

/// The caller's own mark for what it appended, so that a group needs no closure for each envelope.
@frozen
public struct AppendTicket: Hashable, Sendable {
    public let value: UInt64
    @inlinable public init(_ value: UInt64) { self.value = value }
}

/// Hears what became of a group: once per group, on the journal's thread. One sink per event loop is the right number.
public protocol AppendSink: AnyObject, Sendable {
    func appended(_ tickets: [AppendTicket], result: Result<DurabilityReceipt, JournalError>)
}

/// Proof that a group of envelopes was synced to disk. A 200 cannot be spelled without one.
public struct DurabilityReceipt: Sendable {
    /// The last position of the group.
    public let position: JournalPosition

    /// Only a journal makes receipts, after its sync returned.
    package init(syncedUpTo position: JournalPosition) { self.position = position }
}
