/// How much intake takes at once, and how long it waits.
public struct IntakeLimits: Hashable, Sendable {
    /// Webhooks in one batch. More cost the database a little less each; but a commit of a thousand writes so much at
    /// once that the journal, where it has the same disk, waits for its own syncs.
    public var batchEntriesMax = 256
    /// Bytes of the webhooks in one batch.
    public var batchBytesMax = 8 << 20
    /// Webhooks in a row that the database refuses; then intake stops and raises the alarm instead of parking all.
    public var parksInARowMax = 50
    /// Times that a batch is decided anew before less is decided at once, where the people it goes by became others.
    public var decidedAnewMax = 3
    /// First and longest pause before the same batch is tried again.
    public var retryDelay: Duration = .milliseconds(100)
    public var retryDelayMax: Duration = .seconds(5)
    /// Pause before a stopped intake tries again by itself.
    public var stoppedDelay: Duration = .seconds(60)
    /// How often it looks for parked updates that somebody wants tried again.
    public var redriveInterval: Duration = .seconds(2)
    /// Messages dated further back, or further ahead, than this are dated at the limit: partitions end somewhere.
    public var pastSecondsMax: Int64 = 60 * 86_400
    public var futureSecondsMax: Int64 = 86_400
    /// Nobody is answered or asked by itself about a message older than this: the provider's window is about to close.
    public var answerableSecondsMax: Int64 = 23 * 3600

    public init() {}
}
