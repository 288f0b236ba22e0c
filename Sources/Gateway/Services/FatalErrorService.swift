import ServiceLifecycle

/// Ends the gateway when a part of it found that it must not go on.
package struct FatalErrorService: Service {
    private let errors: AsyncStream<any Error>
    private let continuation: AsyncStream<any Error>.Continuation

    package init() {
        (errors, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// May be called from any thread.
    package func raise(_ error: any Error) { continuation.yield(error) }

    package func run() async throws {
        for await error in errors.cancelOnGracefulShutdown() { throw error }
    }
}
