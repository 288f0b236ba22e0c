import Hummingbird
import Messaging
import Synchronization

/// What accompanies a request through the middleware.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let trace = RequestTrace()

    init(source: ApplicationRequestContextSource) { coreContext = .init(source: source) }
}

/// What is learnt about a request on its way in, and told on its way out: in the log and the metrics.
final class RequestTrace: Sendable {
    struct Facts: Sendable {
        /// The path pattern; never the path itself, which is whatever the caller wrote.
        var route: String?
        var landlord: UniqueID?
        var administrator: UniqueID?
        /// The code of the problem document it ended with.
        var problem: ProblemCode?
        /// Why it failed, where the caller is not told.
        var cause: String?
    }

    private let facts = Mutex(Facts())

    func note(_ change: (inout Facts) -> Void) { facts.withLock { change(&$0) } }
    var current: Facts { facts.withLock { $0 } }
}
