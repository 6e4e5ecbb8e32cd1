import NIOCore

/// How much is received at once: little while little comes, sixteen times as much after a read that filled its
/// buffer, and little again after one that did not.
///
/// Why: a channel keeps the first buffer it was given for as long as it lives, so that one is small; for 10 000 idle
/// connections 4 KiB instead of ½ KiB are 35 MB. The larger ones are not kept, as long as
/// ``record(actualReadBytes:)`` says that another size is due and the channel reads once per turn.
struct ReceiveBuffers: RecvByteBufferAllocator {
    static let readsPerTurn: UInt = 1
    private static let smallest = 512
    private static let largest = 65_536

    private var bytes = Self.smallest

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: self.bytes)
    }

    mutating func record(actualReadBytes: Int) -> Bool {
        self.bytes = actualReadBytes < self.bytes ? Self.smallest : min(self.bytes * 16, Self.largest)
        return self.bytes != Self.smallest
    }
}
