package import NIOCore

/// How a classic client asks for its receive channel.
package struct ClassicOpening: Sendable {
    package enum Kind: Hashable, Sendable {
        /// `/connect`: the init message is sent.
        case connect
        /// `/reconnect`: what was missed since the cursor (nil or empty = nothing) is sent.
        case reconnect(cursor: String?)
    }

    package var kind: Kind
    /// Identity and request of this channel. The id comes from the connection token and from nothing else.
    package var identity: ConnectionIdentity
    /// The hubs that the client listed and may use, already resolved.
    package var hubs: [RegisteredHub]
    /// Whether the client calls `/start` (protocol 1.4 and later); else the connected event runs before the init message.
    package var delayedStart: Bool
    /// The groups token that the client sent back, if any.
    package var groupsToken: String?

    package init(
        kind: Kind, identity: ConnectionIdentity, hubs: [RegisteredHub], delayedStart: Bool, groupsToken: String?
    ) {
        self.kind = kind
        self.identity = identity
        self.hubs = hubs
        self.delayedStart = delayedStart
        self.groupsToken = groupsToken
    }
}

/// What `/start` gets.
package enum ClassicStart: Hashable, Sendable {
    /// The connected event has run, now or earlier: answer `started`.
    case started
    /// The connected event failed: answer 500.
    case failed
    /// No such connection on this node.
    case unknown
}

/// The text of a cursor has our form and is broken: answer 400.
package struct MalformedClassicCursor: Error, Hashable, Sendable {}

/// The classic connections of this node, by id.
package final class ClassicConnections: Sendable {
    /// Checks a `messageId` before the channel is opened. Unknown and foreign cursors are fine: they mean "from now".
    package func checkCursor(_ text: String?) throws(MalformedClassicCursor) {}

    /// Opens a receive channel, which replaces the one that the connection may still have.
    ///
    /// Called on `loop`, the outlet's event loop. Returns nil while the runtime is draining: end the transport then.
    package func open(
        _ opening: ClassicOpening, outlet: any Outlet, framing: TransportFraming, on loop: any EventLoop
    ) -> ClassicChannel? { nil }

    /// Runs the connected event once per connection and returns when it is done.
    package func start(id: String) async -> ClassicStart { .unknown }

    /// Ends a connection on its client's wish, whether it has a channel or not. Returns at once; unknown ids are ignored.
    package func abort(id: String) {}
}

/// The transport's handle on the connection whose receive channel it is. Confined to the transport's event loop.
package final class ClassicChannel {
    /// Takes one whole text message of the client.
    package func received(_ text: ByteBuffer) {}

    /// The transport has ended; nothing is written to the outlet any more. A channel that was replaced reports it too.
    package func transportClosed(_ closing: TransportClosing) {}
}
