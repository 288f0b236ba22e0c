import Messaging

/// Leases in order. One, as nearly every sender has, takes no memory of its own.
public struct RouteList: Hashable, Sendable, RandomAccessCollection, ExpressibleByArrayLiteral {
    @usableFromInline var head: Route?
    @usableFromInline var tail: [Route] = []

    public init() {}

    public init(arrayLiteral elements: Route...) { self.init(elements) }

    public init(_ routes: some Sequence<Route>) {
        for route in routes { append(route) }
    }

    @inlinable public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { head == nil ? 0 : tail.count + 1 }

    public subscript(position: Int) -> Route {
        get {
            guard position > 0 else {
                guard let head else { preconditionFailure("there is no lease at \(position)") }
                return head
            }
            return tail[position - 1]
        }
        set {
            if position == 0 { head = newValue } else { tail[position - 1] = newValue }
        }
    }

    /// The one lease there is, if there is one only.
    var only: Route? { tail.isEmpty ? head : nil }

    mutating func append(_ route: Route) {
        if head == nil { head = route } else { tail.append(route) }
    }

    /// Puts the leases in order.
    mutating func sort() {
        guard !tail.isEmpty else { return }
        let sorted = self.sorted { $0.precedes($1) }
        head = sorted.first
        tail = Array(sorted.dropFirst())
    }
}
