import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The way from a connection to its socket. What stands alone in a flush, while nothing waits before it, is handed to the
/// kernel at once; everything else, and what the kernel leaves, waits in the channel's queue. Confined to the event loop.
///
/// Why past the channel: a broadcast is one write per connection, and beside the system call the channel's own account of
/// it is the largest cost. Bytes can't be reordered: the short way is taken only while the channel holds nothing.
/// It asks that no handler below changes bytes, so it isn't for a pipeline with TLS.
struct SocketWriter {
    private enum Queue {
        /// The channel holds nothing of this connection.
        case empty
        /// The channel may still hold what it was told to flush.
        case flushed
        case unflushed
    }

    private var socket: NIOBSDSocket.Handle?
    private var queue = Queue.unflushed
    private var lone: ByteBuffer?

    /// Takes over a channel in which something may wait already.
    mutating func begin(_ context: ChannelHandlerContext) {
        self.socket = Self.socket(of: context)
    }

    mutating func write(_ bytes: ByteBuffer, to context: ChannelHandlerContext) {
        if let lone = self.lone.take() {
            self.enqueue(lone, in: context)
        } else if self.isShortWayFree(context) {
            self.lone = bytes
            return
        }
        self.enqueue(bytes, in: context)
    }

    mutating func flush(_ context: ChannelHandlerContext) {
        if let lone = self.lone.take(), let rest = self.send(lone, past: context) { self.enqueue(rest, in: context) }
        guard self.queue == .unflushed else { return }
        self.queue = .flushed
        context.flush()
    }

    private mutating func enqueue(_ bytes: ByteBuffer, in context: ChannelHandlerContext) {
        self.queue = .unflushed
        context.write(NIOAny(bytes), promise: nil)
    }

    /// Asks the channel at most once per flush, since asking costs about as much as what is saved.
    private mutating func isShortWayFree(_ context: ChannelHandlerContext) -> Bool {
        guard self.socket != nil else { return false }
        if self.queue == .flushed, let options = context.channel.syncOptions,
            (try? options.getOption(.bufferedWritableBytes)) == 0
        {
            self.queue = .empty
        }
        return self.queue == .empty
    }
}

#if canImport(Glibc) || canImport(Musl)
extension SocketWriter {
    private static func socket(of context: ChannelHandlerContext) -> NIOBSDSocket.Handle? {
        try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
    }

    /// Returns what the kernel did not take. Errors are left for the channel to find: it gets the same bytes.
    private func send(_ bytes: ByteBuffer, past context: ChannelHandlerContext) -> ByteBuffer? {
        // Why: once the channel is closed, its descriptor may belong to another connection.
        guard let socket = self.socket, context.channel.isActive else { return bytes }
        let taken = bytes.withUnsafeReadableBytes {
            Int(Self.send(socket, $0.baseAddress, $0.count))
        }
        if taken == bytes.readableBytes { return nil }
        var rest = bytes
        rest.moveReaderIndex(forwardBy: max(0, taken))
        return rest
    }

    private static func send(_ socket: CInt, _ start: UnsafeRawPointer?, _ count: Int) -> Int {
        let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
        #if canImport(Glibc)
        return Glibc.send(socket, start, count, flags)
        #else
        return Musl.send(socket, start, count, flags)
        #endif
    }
}
#else
extension SocketWriter {
    private static func socket(of context: ChannelHandlerContext) -> NIOBSDSocket.Handle? { nil }

    private func send(_ bytes: ByteBuffer, past context: ChannelHandlerContext) -> ByteBuffer? { bytes }
}
#endif
