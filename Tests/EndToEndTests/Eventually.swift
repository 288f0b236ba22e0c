/// What was waited for did not come about in time.
struct Overdue: Error, CustomStringConvertible {
    let what: String
    let limit: Duration
    var description: String { "\(what): not within \(limit)" }
}

/// Waits for a state of another process, which tells nobody when it changes, by looking at it again and again.
/// The limit is generous: it decides how long a failure takes, never whether a test passes.
func eventually(
    _ what: String, within limit: Duration = .seconds(60), _ isSo: () async throws -> Bool
) async throws {
    _ = try await eventual(what, within: limit) { try await isSo() ? true : nil }
}

/// Like `eventually`, for something to be found.
func eventual<Value>(
    _ what: String, within limit: Duration = .seconds(60), _ find: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await find() { return value }
        guard ContinuousClock.now < deadline else { throw Overdue(what: what, limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}
