import CMemory

/// Memory for the parts of a table: on huge pages where it is large and the system has them, so that a random read does
/// not wait for an address to be translated first; and the system's again at once when the buffer is let go.
///
/// It is filled by the one who builds, and read only afterwards.
struct LargeBuffer<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutablePointer<Element>
    let count: Int

    /// All bytes are zero.
    init(count: Int) {
        precondition(count >= 0 && MemoryLayout<Element>.alignment <= 64)
        self.count = count
        guard let memory = large_memory_allocate(count * MemoryLayout<Element>.stride) else {
            fatalError("there is not enough memory for \(count * MemoryLayout<Element>.stride) bytes of routes")
        }
        base = memory.bindMemory(to: Element.self, capacity: count)
    }

    deinit { large_memory_free(base, byteCount) }

    var byteCount: Int { count * MemoryLayout<Element>.stride }

    @inline(__always)
    subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count)
            return base[index]
        }
        nonmutating set {
            precondition(index >= 0 && index < count)
            base[index] = newValue
        }
    }

    /// An element where it lies.
    @inline(__always)
    func withElement<Value>(_ index: Int, _ body: (UnsafePointer<Element>) -> Value) -> Value {
        precondition(index >= 0 && index < count)
        return body(base + index)
    }

    /// Asks for an element before it is needed.
    @inline(__always)
    func prefetch(_ index: Int) {
        precondition(index >= 0 && index < count)
        memory_prefetch(base + index)
    }
}

/// What was freed and the allocator keeps for later.
package enum FreedMemory {
    /// Goes back to the system. Takes milliseconds: for the end of a large job, and not on an event loop.
    package static func giveBack() { memory_give_back() }
}
