package import BusbarProtocol
package import NIOCore

/// The life of a core connection: handshake, connected, calls, the end. Decides and does nothing.
package struct CoreLifecycle: Sendable {
    package struct Timeouts: Hashable, Sendable {
        package var handshake = TimeAmount.seconds(15)
        package var keepAlive = TimeAmount.seconds(15)
        /// Silence allowed to a client that has pinged.
        package var client = TimeAmount.seconds(30)
        /// Silence allowed to a client that never pinged.
        package var silentClient = TimeAmount.seconds(3600)
        package var ending = TimeAmount.seconds(5)
        /// How long a client with stateful reconnect may be away.
        package var reconnect = TimeAmount.seconds(15)

        package init() {}
    }

    package enum Effect: Hashable, Sendable {
        /// Write the record that accepts the handshake.
        case acceptHandshake
        /// Write the record that refuses it.
        case refuseHandshake(String)
        /// From now on messages are numbered both ways and kept until they are acknowledged.
        case keepForReturn
        /// From now on hub messages reach the connection.
        case register
        case unregister
        case runConnected
        /// Run the disconnected event after all work that waits.
        case runDisconnected(Disconnection)
        /// Run it now, beside work that doesn't end.
        case forceDisconnected(Disconnection)
        case ping
        case close(error: String?, allowReconnect: Bool)
        case endTransport(OutletEnding)
        /// Cancel the running work.
        case cancelWork
        /// Forget the work that waits.
        case dropWaiting
        /// Nothing is left to do.
        case forget
    }

    /// Why a connection ends, other than by its transport.
    package enum Cause: Hashable, Sendable {
        case clientClosed(error: String?)
        case protocolViolated(String)
        case aborted
        case tooSlow
        case serverStopping
    }

    private enum State: Sendable {
        case waiting(since: NIODeadline)
        case connecting
        case open
        case ending(Ending)
        case ended
    }

    private struct Ending: Sendable {
        var disconnection: Disconnection
        /// When the next stage is due.
        var deadline: NIODeadline
        var stage: Stage

        enum Stage: Sendable { case finishing, cancelled, forced }
    }

    private let timeouts: Timeouts
    private let detailedErrors: Bool
    private var state: State
    private var lastPing: NIODeadline
    private var lastHeard: NIODeadline
    private var hasPinged = false
    /// What the handshake has agreed on.
    package private(set) var language = CoreProtocol.json
    /// Whether the client may come back: stateful reconnect was negotiated.
    private let isReturnNegotiated: Bool
    /// Whether it also speaks the version of the protocol that has it.
    private var mayReturn = false
    private var awaySince: NIODeadline?

    package init(timeouts: Timeouts, detailedErrors: Bool, mayReturn: Bool = false, now: NIODeadline) {
        self.timeouts = timeouts
        self.isReturnNegotiated = mayReturn
        self.detailedErrors = detailedErrors
        self.state = .waiting(since: now)
        self.lastPing = now
        self.lastHeard = now
    }

    /// Whether the next record is the handshake.
    package var isWaitingForHandshake: Bool {
        if case .waiting = self.state { true } else { false }
    }

    /// Whether hub messages of the client are taken.
    package var takesMessages: Bool {
        switch self.state {
        case .connecting, .open: true
        case .waiting, .ending, .ended: false
        }
    }

    /// Whether the link has broken and the client may still come back.
    package var isAway: Bool { self.awaySince != nil && self.takesMessages }

    // MARK: Handshake

    package mutating func handshakeReceived(_ request: HandshakeRequest, now: NIODeadline) -> [Effect] {
        guard self.isWaitingForHandshake else { return [] }
        guard let language = CoreProtocol(named: request.protocolName) else {
            return self.refuse("The protocol '\(request.protocolName.prefix(64))' is not supported.")
        }
        guard request.version <= CoreProtocol.highestVersion else {
            return self.refuse(
                "The server does not support version \(request.version) of the '\(language.rawValue)' protocol.")
        }
        self.language = language
        self.state = .connecting
        self.lastPing = now
        self.lastHeard = now
        self.mayReturn = self.isReturnNegotiated && request.version >= Self.returningVersion
        return [.acceptHandshake] + (self.mayReturn ? [.keepForReturn] : []) + [.register, .runConnected]
    }

    /// The first version of the hub protocols with stateful reconnect; with a lower one it is silently off.
    private static let returningVersion = 2

    /// The first record was no handshake.
    package mutating func handshakeMalformed(_ detail: String) -> [Effect] {
        let text = "An unexpected error occurred during connection handshake."
        return self.refuse(self.detailedErrors ? "\(text) \(detail)" : text)
    }

    /// More bytes than a message may have, and no end of the first record in sight.
    package mutating func handshakeTooLong() -> [Effect] {
        self.refuse("Handshake was canceled.")
    }

    private mutating func refuse(_ text: String) -> [Effect] {
        guard self.isWaitingForHandshake else { return [] }
        self.state = .ended
        return [.refuseHandshake(text), .endTransport(.normal), .forget]
    }

    // MARK: Messages and events

    package mutating func messageReceived(isPing: Bool, now: NIODeadline) {
        self.lastHeard = now
        if isPing { self.hasPinged = true }
    }

    /// Reading goes on after a pause that wasn't the client's fault.
    package mutating func readingResumed(now: NIODeadline) {
        self.lastHeard = now
    }

    /// The connected event has run.
    /// - Parameter failure: the error it threw, for detailed errors.
    package mutating func connectedFinished(failure: String?, now: NIODeadline) -> [Effect] {
        switch self.state {
        case .connecting:
            guard let failure else {
                self.state = .open
                return []
            }
            return [.close(error: self.closeText(failure), allowReconnect: false), .unregister, .endTransport(.normal)]
                + self.enterEnding(Disconnection(.refused, detail: failure), cancel: true, now: now)
        case .waiting, .open, .ending, .ended:
            return []
        }
    }

    /// The disconnected event has run.
    package mutating func disconnectedFinished() -> [Effect] {
        guard case .ending = self.state else { return [] }
        self.state = .ended
        return [.forget]
    }

    // MARK: Ends

    package mutating func end(_ cause: Cause, now: NIODeadline) -> [Effect] {
        switch self.state {
        case .ending, .ended:
            return []
        case .waiting:
            self.state = .ended
            return [.endTransport(cause == .tooSlow ? .abandon : .normal), .forget]
        case .connecting, .open:
            break
        }
        switch cause {
        case .clientClosed(let error):
            let disconnection = Disconnection(.stoppedByClient, detail: error)
            return [.unregister, .endTransport(.normal)] + self.enterEnding(disconnection, cancel: false, now: now)
        case .protocolViolated(let detail):
            return [.close(error: self.closeText(detail), allowReconnect: true), .unregister, .endTransport(.normal)]
                + self.enterEnding(Disconnection(.protocolViolated, detail: detail), cancel: true, now: now)
        case .aborted:
            return [.close(error: nil, allowReconnect: false), .unregister, .endTransport(.normal)]
                + self.enterEnding(Disconnection(.aborted), cancel: true, now: now)
        case .tooSlow:
            return [.unregister, .endTransport(.abandon)]
                + self.enterEnding(Disconnection(.tooSlow), cancel: true, now: now)
        case .serverStopping:
            return [.close(error: nil, allowReconnect: true), .unregister, .endTransport(.goingAway)]
                + self.enterEnding(Disconnection(.serverStopping), cancel: true, now: now)
        }
    }

    /// - Parameter mayWait: whether there is room to wait for a client that may come back.
    package mutating func transportClosed(
        _ closing: TransportClosing, mayWait: Bool = true, now: NIODeadline
    ) -> [Effect] {
        switch self.state {
        case .ending, .ended:
            return []
        case .waiting:
            self.state = .ended
            return [.forget]
        case .connecting, .open:
            if self.mayReturn, mayWait, closing == .lost {
                self.awaySince = self.awaySince ?? now
                return []
            }
            // Why: a client may send and close at once; what it sent in order before its goodbye is still carried out.
            let isGraceful = closing == .graceful
            return [.unregister]
                + self.enterEnding(
                    Disconnection(isGraceful ? .stoppedByClient : .lost), cancel: !isGraceful, now: now)
        }
    }

    /// The client is back over a new link. False if the connection has ended, or can't be come back to.
    package mutating func cameBack(now: NIODeadline) -> Bool {
        guard self.mayReturn, self.takesMessages else { return false }
        self.awaySince = nil
        self.lastPing = now
        self.lastHeard = now
        return true
    }

    private mutating func enterEnding(_ disconnection: Disconnection, cancel: Bool, now: NIODeadline) -> [Effect] {
        self.state = .ending(
            Ending(
                disconnection: disconnection, deadline: now + self.timeouts.ending,
                stage: cancel ? .cancelled : .finishing
            ))
        return (cancel ? [.dropWaiting, .cancelWork] : []) + [.runDisconnected(disconnection)]
    }

    // MARK: Time

    /// Called about once a second.
    /// - Parameter isHeldUp: whether the client isn't read because of its own calls; its silence doesn't count then.
    package mutating func tick(isHeldUp: Bool, now: NIODeadline) -> [Effect] {
        switch self.state {
        case .waiting(let since):
            return now - since >= self.timeouts.handshake ? self.refuse("Handshake was canceled.") : []
        case .connecting, .open:
            if let since = self.awaySince {
                guard now - since >= self.timeouts.reconnect else { return [] }
                return [.unregister] + self.enterEnding(Disconnection(.lost), cancel: true, now: now)
            }
            if isHeldUp { self.lastHeard = now }
            let allowed = self.hasPinged ? self.timeouts.client : self.timeouts.silentClient
            if now - self.lastHeard >= allowed {
                let detail = "The client sent nothing for \(allowed.nanoseconds / 1_000_000_000) s."
                return [
                    .close(error: self.closeText(detail), allowReconnect: true), .unregister, .endTransport(.normal),
                ]
                    + self.enterEnding(Disconnection(.timedOut, detail: detail), cancel: true, now: now)
            }
            guard now - self.lastPing >= self.timeouts.keepAlive else { return [] }
            self.lastPing = now
            return [.ping]
        case .ending(var ending):
            guard now >= ending.deadline else { return [] }
            ending.deadline = now + self.timeouts.ending
            defer { self.state = .ending(ending) }
            switch ending.stage {
            case .finishing:
                ending.stage = .cancelled
                return [.dropWaiting, .cancelWork, .runDisconnected(ending.disconnection)]
            case .cancelled:
                ending.stage = .forced
                return [.forceDisconnected(ending.disconnection)]
            case .forced:
                return []
            }
        case .ended:
            return []
        }
    }

    private func closeText(_ detail: String) -> String {
        let text = "Connection closed with an error."
        return self.detailedErrors ? "\(text) \(detail)" : text
    }
}
