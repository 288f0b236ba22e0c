import Webhooks

/// What libFuzzer calls with each input it makes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let decoded = FuzzInput.decode(UnsafeRawBufferPointer(start: start, count: count))
    let broken = FuzzInput.violations(of: decoded)
    precondition(broken.isEmpty, broken.joined(separator: "; "))
    return 0
}
