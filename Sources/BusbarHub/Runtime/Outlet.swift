package import NIOCore

/// The sending side of one transport channel, as the hub runtime sees it.
///
/// Confined to the event loop of its connection: every member is called on it, and none may call back into the
/// session that holds it before it returns.
package protocol Outlet: AnyObject {
    /// Queues one or more whole transport frames. Sends nothing yet.
    func write(_ frame: ByteBuffer)

    /// Hands everything queued to the kernel, as far as it takes it.
    func flush()

    /// Bytes written and not yet taken by the kernel.
    var queuedBytes: Int { get }

    /// Stops reading from the peer: the session's queue is full. What was already read may still be handed over.
    func pauseReading()

    /// Reads from the peer again.
    func resumeReading()

    /// Ends the channel. Nothing is written after it, and the transport reports its end to the session as usual.
    func end(_ ending: OutletEnding)
}

/// How a session ends its transport channel.
package enum OutletEnding: Hashable, Sendable {
    /// Flush what is queued, then close: WebSocket code 1000.
    case normal
    /// Flush what is queued, then close: WebSocket code 1011, the application failed.
    case failed
    /// Flush what is queued, then close because this node stops: WebSocket code 1001 towards core clients.
    case goingAway
    /// Drop what is queued and close at once: the peer doesn't read or broke the rules.
    case abandon
}

/// How whole hub messages are wrapped for one kind of transport channel.
package enum TransportFraming: Hashable, Sendable {
    /// Text frames of a server, unmasked.
    case webSocket
}

/// How a transport channel came to its end.
package enum TransportClosing: Hashable, Sendable {
    /// The peer said goodbye: a close frame, an orderly end of the stream.
    case graceful
    /// The link broke, or the transport gave up on it.
    case lost
    /// The peer broke the rules of the transport, and was told goodbye for good.
    case failed
}
