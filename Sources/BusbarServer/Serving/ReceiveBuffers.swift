import NIOCore

/// How much is received at once: the same moderate amount always.
///
/// Why: small hub messages fit many times over, and a size that adapts would keep the largest buffer a connection ever needed.
struct ReceiveBuffers: RecvByteBufferAllocator {
    private static let bytes = 4_096

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: Self.bytes)
    }

    mutating func record(actualReadBytes: Int) -> Bool { false }
}
