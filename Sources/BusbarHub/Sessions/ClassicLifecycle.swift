package import NIOCore

/// The life of a classic connection: it begins with its first receive channel, outlives channels, and ends by abort,
/// by its channel staying away, or with the node. Decides and does nothing.
package struct ClassicLifecycle: Sendable {
    package typealias Channel = UInt64

    package struct Timeouts: Hashable, Sendable {
        /// Between two keep-alives; nil = none.
        package var keepAlive: TimeAmount? = .seconds(10)
        /// How long the connection may be without a channel.
        package var disconnect = TimeAmount.seconds(30)
        /// What a transport is allowed on top of that.
        package var allowance = TimeAmount.seconds(5)
        /// How long a poll may last, and any other channel when there are no keep-alives.
        package var connection = TimeAmount.seconds(110)
        package var ending = TimeAmount.seconds(5)

        package init() {}
    }

    package enum Effect: Hashable, Sendable {
        /// Send the message that marks the channel as ready.
        case sendInit
        /// Send what was missed, then go live.
        case catchUp
        case runConnected
        case runReconnected
        /// Answer who called `/start`.
        case answerStart(succeeded: Bool)
        case keepAlive
        /// Send the last envelope of a connection that the application ends: the client must not come back.
        case dismiss
        /// End the channel that is open.
        case endChannel(OutletEnding)
        /// The channel is gone; messages wait in the bus until another one is there.
        case goAway
        case unregister
        case cancelWork
        case dropWaiting
        /// Run the disconnected event after all work that waits.
        case runDisconnected(Disconnection)
        /// Run it now, beside work that doesn't end.
        case forceDisconnected(Disconnection)
        /// Finish all work that waits; no event is run.
        case windUp
        /// Nothing is left to do.
        case forget
    }

    package enum Opening: Hashable, Sendable {
        case connect(delayedStart: Bool)
        case reconnect
        /// The next long poll of a client that is there: nobody is told.
        case poll
    }

    private enum State: Sendable {
        case new
        case live(Channel, since: NIODeadline)
        case away(until: NIODeadline)
        case ending(Disconnection, stage: Stage, deadline: NIODeadline)
        /// Another node has the connection; what was begun here is brought to its end.
        case movedAway(until: NIODeadline)
        case ended

        enum Stage: Sendable { case cancelled, forced }
    }

    private enum Connected: Sendable {
        case not
        /// Another node had the connection, and told its client before `/start` was called there. Whoever is called now runs the
        /// event.
        case perhaps(until: NIODeadline)
        case running
        case done
        case failed
    }

    private let timeouts: Timeouts
    private var state = State.new
    private var connected = Connected.not
    /// Whether a client without `/start` waits for its init message, which follows the connected event.
    private var isInitDue = false
    private var isPolling = false
    private var lastKeepAlive = NIODeadline.uptimeNanoseconds(0)

    package init(timeouts: Timeouts) {
        self.timeouts = timeouts
    }

    /// The channel that is open.
    package var channel: Channel? {
        if case .live(let channel, _) = self.state { channel } else { nil }
    }

    /// Whether calls are taken.
    package var takesCalls: Bool {
        switch self.state {
        case .live, .away: true
        case .new, .ending, .movedAway, .ended: false
        }
    }

    /// Whether nothing can bring the connection back.
    package var isOver: Bool {
        switch self.state {
        case .new, .live, .away: false
        case .ending, .movedAway, .ended: true
        }
    }

    /// Whether the client may not have called `/start`.
    package var isUnstarted: Bool {
        switch self.connected {
        case .not, .perhaps: true
        case .running, .done, .failed: false
        }
    }

    /// Longer than clients take from their init message to `/start`.
    private static let startPatience = TimeAmount.seconds(30)

    // MARK: Channels

    /// A receive channel opens; it replaces the one that is open, of which no event tells.
    /// - Parameters:
    ///   - isPolling: whether it is a long poll, which has its time however alive it is.
    ///   - isUnstarted: whether the client says that, where it was before, it was not known to have called `/start`.
    package mutating func channelOpened(
        _ channel: Channel, _ opening: Opening, isPolling: Bool = false, isUnstarted: Bool = false, now: NIODeadline
    ) -> [Effect] {
        guard !self.isOver else { return [] }
        self.isPolling = isPolling
        let isNew = if case .new = self.state { true } else { false }
        self.state = .live(channel, since: now)
        self.lastKeepAlive = now
        switch opening {
        case .connect(delayedStart: true):
            self.isInitDue = false
            return [.sendInit]
        case .connect(delayedStart: false):
            return self.legacyConnect()
        case .reconnect:
            // Why: the connected event ran where the client was before, so this node never runs it.
            if isNew { self.connected = isUnstarted ? .perhaps(until: now + Self.startPatience) : .done }
            self.isInitDue = false
            return [.catchUp, .runReconnected]
        case .poll:
            if isNew { self.connected = isUnstarted ? .perhaps(until: now + Self.startPatience) : .done }
            // Why: the event may have ended while the client was between two polls.
            guard self.isInitDue, case .done = self.connected else { return [.catchUp] }
            self.isInitDue = false
            return [.sendInit]
        }
    }

    private mutating func legacyConnect() -> [Effect] {
        switch self.connected {
        case .not, .perhaps:
            self.isInitDue = true
            self.connected = .running
            return [.runConnected]
        case .running:
            self.isInitDue = true
            return []
        case .done, .failed:
            self.isInitDue = false
            return [.sendInit]
        }
    }

    /// A channel has ended, by whomever. One that was replaced before is of no interest.
    package mutating func channelLost(_ channel: Channel, now: NIODeadline) -> [Effect] {
        guard case .live(channel, _) = self.state else { return [] }
        self.state = .away(until: now + self.timeouts.allowance + self.timeouts.disconnect)
        return [.goAway]
    }

    // MARK: Events

    package mutating func startRequested() -> [Effect] {
        guard !self.isOver else { return [.answerStart(succeeded: false)] }
        switch self.connected {
        case .not, .perhaps:
            self.connected = .running
            return [.runConnected]
        case .running:
            return []
        case .done:
            return [.answerStart(succeeded: true)]
        case .failed:
            return [.answerStart(succeeded: false)]
        }
    }

    package mutating func connectedFinished(succeeded: Bool, now: NIODeadline) -> [Effect] {
        guard case .running = self.connected else { return [] }
        self.connected = succeeded ? .done : .failed
        let answer = Effect.answerStart(succeeded: succeeded)
        guard self.isInitDue, !self.isOver else { return [answer] }
        if succeeded {
            guard self.channel != nil else { return [answer] }
            self.isInitDue = false
            return [answer, .sendInit]
        }
        return [answer, .endChannel(.failed)] + self.end(Disconnection(.refused), now: now)
    }

    /// The reconnected event has run. One that fails ends its channel; the client may try again.
    package func reconnectedFinished(succeeded: Bool) -> [Effect] {
        succeeded || self.channel == nil ? [] : [.endChannel(.failed)]
    }

    package mutating func disconnectedFinished() -> [Effect] {
        guard case .ending = self.state else { return [] }
        self.state = .ended
        return [.forget]
    }

    // MARK: Ends

    /// `/abort`: the client wants it over, whether it has a channel or not.
    package mutating func abortRequested(now: NIODeadline) -> [Effect] {
        self.endChannelIfOpen(.normal) + self.end(Disconnection(.stoppedByClient), now: now)
    }

    /// The application wants it over.
    package mutating func aborted(now: NIODeadline) -> [Effect] {
        let dismissal: [Effect] = self.channel == nil ? [] : [.dismiss, .endChannel(.normal)]
        return dismissal + self.end(Disconnection(.aborted), now: now)
    }

    /// This node stops; the client may go on elsewhere.
    package mutating func drained(now: NIODeadline) -> [Effect] {
        self.endChannelIfOpen(.normal) + self.end(Disconnection(.serverStopping), now: now)
    }

    /// The client has come back on another node, which has the connection now: its end is told there.
    package mutating func movedAway(now: NIODeadline) -> [Effect] {
        guard !self.isOver else { return [] }
        let channel = self.endChannelIfOpen(.normal)
        self.state = .movedAway(until: now + self.timeouts.disconnect)
        return channel + [.unregister, .windUp]
    }

    /// All work that was begun before the connection moved away is done.
    package mutating func woundUp() -> [Effect] {
        guard case .movedAway = self.state else { return [] }
        self.state = .ended
        return [.forget]
    }

    private func endChannelIfOpen(_ ending: OutletEnding) -> [Effect] {
        self.channel == nil ? [] : [.endChannel(ending)]
    }

    private mutating func end(_ disconnection: Disconnection, now: NIODeadline) -> [Effect] {
        guard !self.isOver else { return [] }
        if case .new = self.state {
            self.state = .ended
            return [.forget]
        }
        self.state = .ending(disconnection, stage: .cancelled, deadline: now + self.timeouts.ending)
        return [.unregister, .dropWaiting, .cancelWork, .runDisconnected(disconnection)]
    }

    // MARK: Time

    /// Called about once a second.
    package mutating func tick(now: NIODeadline) -> [Effect] {
        if case .perhaps(let until) = self.connected, now >= until { self.connected = .done }
        switch self.state {
        case .live(_, let since):
            let isTimed = self.isPolling || self.timeouts.keepAlive == nil
            if isTimed, now - since >= self.timeouts.connection { return [.endChannel(.normal)] }
            guard let keepAlive = self.timeouts.keepAlive else { return [] }
            guard now - self.lastKeepAlive >= keepAlive else { return [] }
            self.lastKeepAlive = now
            return [.keepAlive]
        case .away(let until):
            return now >= until ? self.end(Disconnection(.lost), now: now) : []
        case .ending(let disconnection, .cancelled, let deadline):
            guard now >= deadline else { return [] }
            self.state = .ending(disconnection, stage: .forced, deadline: deadline)
            return [.forceDisconnected(disconnection)]
        case .movedAway(let until):
            return now >= until ? self.woundUp() : []
        case .ending(_, .forced, _), .new, .ended:
            return []
        }
    }
}
