package import AsyncHTTPClient
package import Logging
package import Messaging
import NIOCore
import NIOHTTP1
import Synchronization

/// The public keys a project signs its tokens with, as its JWKS address publishes them.
///
/// Kept for ten minutes; fetched again behind the back of requests after that, and in front of one whose key is
/// unknown, though not more often than `refetchSeconds`: nobody can make us fetch by inventing key ids. A request with
/// a known key never waits. While the address is away the keys that are known stay good.
package final class PublishedKeys: Sendable {
    /// Gets the set's bytes.
    package typealias Fetch = @Sendable () async throws -> [UInt8]

    enum Lookup: Sendable {
        case found(PublishedKey)
        /// The set was read, and has no such key.
        case unknown
        /// The set could never be read.
        case unavailable
    }

    private struct State {
        var keys: [String: PublishedKey] = [:]
        var loadedAt: Timestamp?
        var attemptedAt: Timestamp?
        /// The fetch under way.
        var refresh: Task<Void, Never>?
    }

    private let state = Mutex(State())
    private let fetch: Fetch
    private let clock: @Sendable () -> Timestamp
    private let logger: Logger
    private let keepSeconds: Int64
    private let refetchSeconds: Int64

    package init(
        keepSeconds: Int64 = 600, refetchSeconds: Int64 = 30, clock: @escaping @Sendable () -> Timestamp,
        logger: Logger, fetch: @escaping Fetch
    ) {
        self.keepSeconds = keepSeconds
        self.refetchSeconds = refetchSeconds
        self.clock = clock
        self.logger = logger
        self.fetch = fetch
    }

    /// Keys behind an address, as `https://<ref>.supabase.co/auth/v1/.well-known/jwks.json`.
    package convenience init(
        url: String, client: HTTPClient, clock: @escaping @Sendable () -> Timestamp, logger: Logger
    ) {
        self.init(clock: clock, logger: logger) {
            let response = try await client.execute(HTTPClientRequest(url: url), timeout: .seconds(5))
            guard response.status == .ok else { throw JWKSError.status(response.status.code) }
            let body = try await response.body.collect(upTo: 256 * 1024)
            return Array(body.readableBytesView)
        }
    }

    /// Starts the first fetch, without waiting for it.
    func prepare() { _ = state.withLock { beginRefresh(&$0, at: clock()) } }

    func key(_ id: String) async -> Lookup {
        let now = clock()
        let (known, refresh) = state.withLock { state -> (PublishedKey?, Task<Void, Never>?) in
            if let key = state.keys[id] {
                if isDue(state.loadedAt, after: keepSeconds, now) { _ = beginRefresh(&state, at: now) }
                return (key, nil)
            }
            return (nil, beginRefresh(&state, at: now))
        }
        if let known { return .found(known) }
        await refresh?.value
        return state.withLock { state in
            if let key = state.keys[id] { return .found(key) }
            return state.loadedAt == nil ? .unavailable : .unknown
        }
    }

    /// The fetch to wait for; `nil` when the last one is too recent for another.
    private func beginRefresh(_ state: inout State, at now: Timestamp) -> Task<Void, Never>? {
        if let refresh = state.refresh { return refresh }
        guard isDue(state.attemptedAt, after: refetchSeconds, now) else { return nil }
        state.attemptedAt = now
        let refresh = Task { await self.refresh() }
        state.refresh = refresh
        return refresh
    }

    private func refresh() async {
        let result: Result<[PublishedKey], any Error>
        do { result = .success(try await PublishedKey.keys(ofSet: fetch())) } catch { result = .failure(error) }
        let now = clock()
        let count = state.withLock { state in
            state.refresh = nil
            if case .success(let keys) = result {
                state.keys = Dictionary(keys.map { ($0.id, $0) }) { first, _ in first }
                state.loadedAt = now
            }
            return state.keys.count
        }
        switch result {
        case .success: logger.debug("signing keys fetched", metadata: ["keys": "\(count)"])
        case .failure(let error):
            logger.warning(
                "signing keys not fetched: those known stay in use; check SUPABASE_JWKS_URL and that it can be reached",
                metadata: ["cause": "\(error)", "keys": "\(count)"])
        }
    }

    /// A clock that was set back makes everything due, rather than nothing for as long as it was set back.
    private func isDue(_ last: Timestamp?, after seconds: Int64, _ now: Timestamp) -> Bool {
        guard let last else { return true }
        return now >= last.advanced(bySeconds: seconds) || now < last
    }
}

/// Why a JWKS address did not give keys.
enum JWKSError: Error, CustomStringConvertible {
    case status(UInt)

    var description: String {
        switch self {
        case .status(let code): "the address answered with HTTP status \(code)"
        }
    }
}
