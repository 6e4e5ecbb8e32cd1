package import BusbarProtocol
package import NIOCore
import Synchronization

/// How a classic client asks for its receive channel.
package struct ClassicOpening: Sendable {
    package enum Kind: Hashable, Sendable {
        /// `/connect`: the init message is sent.
        case connect
        /// `/reconnect`: what was missed since the cursor (nil or empty = nothing) is sent.
        case reconnect(cursor: String?)
        /// `/poll`: the same, of which no event tells.
        case poll(cursor: String?)
    }

    package var kind: Kind
    /// Identity and request of this channel. The id comes from the connection token and from nothing else.
    package var identity: ConnectionIdentity
    /// The hubs that the client listed and may use, already resolved.
    package var hubs: [RegisteredHub]
    /// Whether the client calls `/start` (protocol 1.4 and later); else the connected event runs before the init
    /// message.
    package var delayedStart: Bool
    /// The groups token that the client sent back, if any.
    package var groupsToken: String?
    /// The function that the answers of a long poll are to be arguments of; nil = plain JSON.
    package var callback: String?

    package init(
        kind: Kind, identity: ConnectionIdentity, hubs: [RegisteredHub], delayedStart: Bool, groupsToken: String?,
        callback: String? = nil
    ) {
        self.kind = kind
        self.identity = identity
        self.hubs = hubs
        self.delayedStart = delayedStart
        self.groupsToken = groupsToken
        self.callback = callback
    }

    /// Where the client stands, if it says so.
    var cursor: String? { self.messageID.map { ClassicCursorText.cursor(in: $0) } }

    /// Whether the client has not called `/start`, as far as the node knew that told it where it stands.
    var isUnstarted: Bool { self.messageID.map { ClassicCursorText.isUnstarted($0) } ?? false }

    private var messageID: String? {
        switch self.kind {
        case .connect: nil
        case .reconnect(let text), .poll(let text): text?.isEmpty == false ? text : nil
        }
    }
}

/// What `/start` gets.
package enum ClassicStart: Hashable, Sendable {
    /// The connected event has run, now or earlier: answer `started`.
    case started
    /// The connected event failed: answer 500.
    case failed
    /// No node has such a connection.
    case unknown
    /// The node of the connection is gone or can't be asked: answer 503.
    case unreachable
}

/// The text of a cursor can't be one: answer 400.
package struct MalformedClassicCursor: Error, Hashable, Sendable {
    package init() {}
}

/// The classic connections of a runtime, by id.
package struct ClassicConnections: Sendable {
    let runtime: HubRuntime

    var directory: ClassicDirectory { self.runtime.classicDirectory }

    /// Checks a `messageId` before the channel is opened. Unknown and foreign cursors are fine: they mean "from now".
    package func checkCursor(_ text: String?) throws(MalformedClassicCursor) {
        guard let text, !text.isEmpty else { return }
        if ClassicCursorText.isMalformed(text) { throw MalformedClassicCursor() }
    }

    /// Whether receive channels are opened; else tell the client to try elsewhere.
    package var isOpen: Bool { !self.runtime.services.isDraining }

    /// Opens a receive channel, which replaces the one that the connection may still have.
    ///
    /// Called on `loop`, the outlet's event loop. Returns nil while the runtime is draining: end the transport then.
    package func open(
        _ opening: ClassicOpening, outlet: any Outlet, framing: ClassicFraming, on loop: any EventLoop
    ) -> ClassicChannel? {
        guard !self.runtime.services.isDraining else { return nil }
        let handle = self.runtime.handle(on: loop)
        let channel = ClassicChannel(
            number: self.runtime.nextChannel(), opening: opening, outlet: outlet, framing: framing)
        self.attach(channel, on: handle)
        return channel
    }

    /// Brings a channel and its connection together on the channel's loop, wherever the connection is.
    ///
    /// The newest channel decides where the connection belongs: each claim has the loop that was claimed before send the
    /// connection on, or, if it only waits for it, give up waiting. A connection that arrives where it no longer belongs
    /// goes on at once.
    private func attach(_ channel: ClassicChannel, on handle: LoopHandle) {
        let loop = handle.session.value
        let ticket: ClassicDirectory.Ticket
        let previous: LoopHandle
        let id = channel.opening.identity.id
        // Why: a client that comes back was somewhere before, and that node may be alive; so may be the one at which a
        // client that falls back to another transport tried the first.
        let isFirst = if case .connect = channel.opening.kind { true } else { false }
        switch self.directory.claim(id, for: handle, channel: channel.number, isOwned: isFirst) {
        case .stale, .over: return channel.end(.normal)
        case .full: return channel.end(.goingAway)
        case .new(let ticket):
            let session = ClassicSession(self.runtime, handle, ticket, ClassicState(channel.opening, self.runtime))
            if !isFirst || self.runtime.services.nodes.mayHaveOthers {
                self.announceMove(of: session, ticket, isBeginning: isFirst)
            }
            return session.open(channel)
        case .known(let known, let home): (ticket, previous) = (known, home)
        }
        if let session = loop.classicSession(ticket) {
            session.open(channel)
        } else if !loop.await(ticket, .open(channel)) {
            loop.classic[ticket] = .arriving([.open(channel)])
        }
        guard previous !== handle else { return }
        previous.eventLoop.execute {
            self.moveOn(ticket, from: previous)
            handle.eventLoop.execute { self.stopWaiting(ticket, on: handle) }
        }
    }

    /// Sends a connection from a loop where it no longer belongs to the one where it does.
    private func moveOn(_ ticket: ClassicDirectory.Ticket, from handle: LoopHandle) {
        self.stopWaiting(ticket, on: handle)
        guard let home = self.directory.home(of: ticket), home !== handle,
            let state = handle.session.value.classicSession(ticket)?.release()
        else { return }
        home.eventLoop.execute { self.arrived(ticket, state, on: home) }
    }

    /// A connection has arrived at a loop, which need not be its home any more.
    private func arrived(_ ticket: ClassicDirectory.Ticket, _ state: ClassicState, on handle: LoopHandle) {
        let loop = handle.session.value
        let errands = loop.takeErrands(ticket)
        let session = ClassicSession(self.runtime, handle, ticket, state)
        for errand in errands {
            switch errand {
            case .open(let channel): session.open(channel)
            case .perform(let body): body(session)
            }
        }
        // Why: while it was on its way, nobody could tell it that the node stops.
        if self.runtime.services.isDraining { loop.classicSession(ticket)?.drain() }
        self.moveOn(ticket, from: handle)
    }

    /// Does without a connection that won't come, because it belongs elsewhere or is over.
    func stopWaiting(_ ticket: ClassicDirectory.Ticket, on handle: LoopHandle) {
        let loop = handle.session.value
        guard self.directory.home(of: ticket) !== handle else { return }
        for errand in loop.takeErrands(ticket) {
            switch errand {
            case .open(let channel) where !channel.isOpen: break
            case .open(let channel) where self.directory.ticket(of: channel.opening.identity.id) == ticket:
                // Why: a newer channel has claimed the connection.
                channel.end(.normal)
            case .open(let channel) where self.runtime.services.isDraining: channel.end(.goingAway)
            case .open(let channel): self.attach(channel, on: handle)
            case .perform(let body): self.directory.perform(ticket, body)
            }
        }
    }
}
