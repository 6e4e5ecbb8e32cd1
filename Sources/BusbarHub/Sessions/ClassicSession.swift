import Busbar
import BusbarProtocol
import Logging
import Metrics
import NIOCore

/// A classic connection while it is on one event loop: its channel, its calls, its events. Confined to that loop.
final class ClassicSession {
    let id: String
    let runtime: HubRuntime
    let handle: LoopHandle
    let loop: SessionLoop
    private let ticket: ClassicDirectory.Ticket
    var state: ClassicState
    private(set) var channel: ClassicChannel?
    private(set) var recipient: Recipient?
    /// What the client missed and is being sent.
    var catchUp: ClassicCatchUp?
    private var isPaused = false
    private var meter: Meter?
    var place = -1

    init(_ runtime: HubRuntime, _ handle: LoopHandle, _ ticket: ClassicDirectory.Ticket, _ state: ClassicState) {
        self.id = state.context.id
        self.runtime = runtime
        self.handle = handle
        self.loop = handle.session.value
        self.ticket = ticket
        self.state = state
        self.loop.add(self)
        self.loop.classic[ticket] = .here(self)
        if !state.isKnown {
            let directory = runtime.classicDirectory
            state.context.onAbort { directory.perform(ticket) { $0?.aborted() } }
        }
        self.register(transport: state.context.transport, channel: nil)
    }

    var now: NIODeadline { self.loop.eventLoop.now }

    var route: ClassicRoute { ClassicRoute(directory: self.runtime.classicDirectory, ticket: self.ticket) }

    // MARK: Channels

    func open(_ channel: ClassicChannel) {
        if !channel.isOpen { return }
        self.leaveChannel()
        self.channel = channel
        self.isPaused = false
        let opening = channel.opening
        if self.state.isKnown {
            self.state.context.reconnected(
                request: opening.identity.request, transport: opening.identity.transport)
        }
        self.catchUp = nil
        // Why not without a cursor: nothing would be replayed that could say what the token doesn't.
        if self.state.isKnown, !self.state.knowsGroups, opening.cursor != nil {
            self.unregister()
            self.state.takeGroups(from: opening, self.runtime)
        }
        self.state.lacksToken = (opening.groupsToken ?? "") != self.state.toldToken
        self.attach(channel)
        channel.cursor = self.loop.cursor
        // Why: who comes without a cursor has no past.
        if opening.cursor == nil { self.state.knowsGroups = true }
        let kind: ClassicLifecycle.Opening =
            switch opening.kind {
            case .connect: .connect(delayedStart: opening.delayedStart)
            case .reconnect: .reconnect
            case .poll: .poll
            }
        self.perform(
            self.state.lifecycle.channelOpened(
                channel.number, kind, isPolling: channel.framing == .longPolling, isUnstarted: opening.isUnstarted,
                now: self.now))
        self.state.isKnown = true
        if self.state.queue.isFull { self.pauseReading() }
        channel.attached(to: self)
    }

    func channelClosed(_ channel: ClassicChannel) {
        guard channel === self.channel else { return }
        self.perform(self.state.lifecycle.channelLost(channel.number, now: self.now))
    }

    /// Leaves the loop; the connection goes on elsewhere with what is returned.
    func release() -> ClassicState {
        self.leaveChannel()
        self.catchUp = nil
        self.unregister()
        self.loop.remove(self)
        self.loop.classic[self.ticket] = nil
        return self.state
    }

    /// Has the loop write to a new channel.
    private func attach(_ channel: ClassicChannel) {
        let names = self.state.listeningNames
        self.state.listen(to: channel.opening.hubs)
        if let recipient = self.recipient, self.meter != nil, recipient.format == .classic(channel.framing),
            names == self.state.listeningNames
        {
            // Why: a long poll comes back all the time, and is in as many groups as before.
            recipient.outlet = channel.outlet
            self.listen(on: channel)
        } else {
            self.unregister()
            self.register(transport: channel.opening.identity.transport, channel: channel)
        }
    }

    /// Why a long poll doesn't at once: a message before its init message would be all that it brings.
    private func listen(on channel: ClassicChannel?) {
        self.recipient?.isListening = channel.map { $0.framing != .longPolling } ?? false
        self.recipient?.takesBundles = self.takesBundles
    }

    /// Whether what it is sent differs from what others are sent.
    var takesBundles: Bool {
        self.catchUp != nil || self.state.isTokenDue || self.state.lacksToken || self.channel?.opening.callback != nil
            || self.state.lifecycle.isUnstarted
    }

    private func register(transport: ConnectionTransport, channel: ClassicChannel?) {
        let recipient = Recipient(
            id: self.id, format: .classic(channel?.framing ?? .webSocket), outlet: channel?.outlet, owner: self)
        self.recipient = recipient
        self.listen(on: channel)
        self.loop.register(recipient, hubs: self.state.listeningNames, userID: self.state.context.userID)
        for group in self.state.groups { self.loop.restore(recipient, to: group) }
        self.meter = self.runtime.services.metrics.connections(recipient.format, transport)
        self.meter?.increment()
    }

    private func unregister() {
        guard let recipient = self.recipient else { return }
        recipient.isListening = false
        recipient.outlet = nil
        self.loop.unregister(recipient)
        self.recipient = nil
        self.meter?.decrement()
        self.meter = nil
    }

    // MARK: Ends

    func abort() { self.perform(self.state.lifecycle.abortRequested(now: self.now)) }

    func aborted() { self.perform(self.state.lifecycle.aborted(now: self.now)) }

    /// Another node has the connection.
    func movedAway() { self.perform(self.state.lifecycle.movedAway(now: self.now)) }

    /// Whether the client can be sent to.
    var isReachable: Bool { self.channel?.outlet != nil && self.recipient?.isListening == true }

    func endChannel(_ ending: OutletEnding) {
        self.sayGoodbye(ending)
        self.catchUp = nil
        self.recipient?.isListening = false
        self.recipient?.outlet = nil
        self.channel?.end(ending)
    }

    /// The channel is not the connection's any more; its client has a newer one or will open it.
    private func leaveChannel() {
        guard let channel = self.channel else { return }
        self.sayGoodbye(.normal)
        channel.session = nil
        channel.end(.normal)
        self.channel = nil
    }

    /// A long poll that ends without messages brings an envelope all the same, with a cursor that leaves nothing out.
    private func sayGoodbye(_ ending: OutletEnding) {
        guard let channel = self.channel, channel.framing == .longPolling, channel.isOpen, !channel.isAnswered,
            ending == .normal || ending == .goingAway
        else { return }
        var envelope = self.envelope(at: self.placeOfClient(on: channel))
        self.addToken(to: &envelope)
        envelope.isTerminating = self.runtime.services.isDraining
        envelope.longPollDelayMilliseconds = self.runtime.services.longPollDelayMilliseconds
        channel.isAnswered = true
        channel.outlet?.write(
            ClassicFrames.envelope(envelope, framing: channel.framing, callback: channel.opening.callback))
    }

    /// Up to where the client of a channel that has brought nothing yet has heard everything.
    private func placeOfClient(on channel: ClassicChannel) -> String {
        if let catchUp = self.catchUp { return catchUp.cursor.text }
        return self.recipient?.isListening == true ? self.loop.cursor : channel.opening.cursor ?? channel.cursor
    }

    // MARK: Sending

    func write(_ frame: ByteBuffer) {
        guard let outlet = self.channel?.outlet else { return }
        outlet.write(frame)
        outlet.flush()
        // Why: a client that calls faster than it reads is slowed down before it is ended.
        if self.isClogged { self.pauseReading() }
    }

    private func envelope(at cursor: String) -> ClassicEnvelope {
        ClassicEnvelope(cursor: ClassicCursorText.text(cursor, isUnstarted: self.state.lifecycle.isUnstarted))
    }

    /// An envelope with these elements and whatever the client has to be told besides.
    func sendEnvelope(_ elements: [ByteBuffer] = [], cursor: String, isInitialized: Bool = false) {
        var envelope = self.envelope(at: cursor)
        envelope.isInitialized = isInitialized
        self.addToken(to: &envelope)
        self.recipient?.takesBundles = self.takesBundles
        if self.catchUp == nil { self.recipient?.toldBatch = self.loop.batchNumber }
        self.write(envelope, elements)
    }

    private func addToken(to envelope: inout ClassicEnvelope) {
        guard self.state.isTokenDue || self.state.lacksToken else { return }
        let token = self.runtime.services.groupsToken.seal(self.state.groups, connectionID: self.id)
        envelope.groupsToken = token
        self.state.toldToken = token
        self.state.isTokenDue = false
        self.state.lacksToken = false
    }

    private func write(_ envelope: ClassicEnvelope, _ elements: [ByteBuffer] = []) {
        guard let channel = self.channel else { return }
        var envelope = envelope
        let isPoll = channel.framing == .longPolling
        if isPoll { envelope.longPollDelayMilliseconds = self.runtime.services.longPollDelayMilliseconds }
        self.write(
            ClassicFrames.envelope(
                envelope, elements: elements, framing: channel.framing, callback: channel.opening.callback))
        if isPoll { self.pollAnswered() }
    }

    /// Shows that the server is there, and keeps the cursor of a client that hears nothing fresh, lest it be told on its
    /// return that the log doesn't reach back to it.
    private func keepAlive() {
        guard let channel = self.channel, channel.opening.callback == nil else { return }
        if channel.framing != .longPolling, let recipient = self.recipient, recipient.isListening, self.catchUp == nil,
            recipient.toldBatch != self.loop.batchNumber
        {
            self.sendEnvelope(cursor: self.loop.cursor)
        } else {
            self.write(channel.framing.keepAlive)
        }
    }

    private func dismiss() {
        var envelope = self.envelope(at: self.loop.cursor)
        // Why both: clients of 2.4 and later obey the one, older ones the other.
        envelope.isAborted = true
        envelope.error = "The server ended this connection."
        self.write(envelope)
    }

    // MARK: Reading

    func pauseReading() {
        guard !self.isPaused, let outlet = self.channel?.outlet else { return }
        self.isPaused = true
        outlet.pauseReading()
    }

    private var queuedBytes: Int { self.channel?.outlet?.queuedBytes ?? 0 }

    /// Whether the client has so much to read that it had better not call.
    private var isClogged: Bool { self.queuedBytes > self.runtime.configuration.outboundLimitBytes / 2 }

    func resumeReading() {
        guard !self.state.queue.isFull, !self.isClogged else { return }
        self.isPaused = false
        self.channel?.outlet?.resumeReading()
    }

    func resumeIfPaused() {
        if self.isPaused { self.resumeReading() }
    }

    // MARK: Effects

    func perform(_ effects: [ClassicLifecycle.Effect]) {
        for effect in effects { self.perform(effect) }
    }

    private func perform(_ effect: ClassicLifecycle.Effect) {
        switch effect {
        case .sendInit:
            guard let channel = self.channel else { return }
            let place = self.placeOfClient(on: channel)
            self.recipient?.isListening = true
            self.sendEnvelope(cursor: place, isInitialized: true)
        case .catchUp:
            self.beginCatchUp()
        case .runConnected:
            self.offer(.connected)
        case .runReconnected:
            guard let channel = self.channel else { return }
            // Why: an event of an older channel that has not begun would tell nobody anything any more.
            self.state.queue.removeWaiting { if case .reconnected = $0 { true } else { false } }
            self.offer(.reconnected(channel: channel.number))
        case .answerStart(let succeeded):
            let starts = self.state.starts
            self.state.starts = []
            for start in starts { start.resume(returning: succeeded ? .started : .failed) }
        case .keepAlive:
            self.keepAlive()
        case .dismiss:
            self.dismiss()
        case .endChannel(let ending):
            self.endChannel(ending)
        case .goAway:
            self.catchUp = nil
            self.recipient?.isListening = false
            self.recipient?.outlet = nil
            self.channel = nil
        case .unregister:
            self.unregister()
            self.retire()
        case .cancelWork:
            self.state.context.end()
        case .dropWaiting:
            // Why told: these were never begun, as if they had come a moment later.
            for job in self.state.queue.takeWaiting() { job.answer?.settle(.unknown) }
        case .runDisconnected(let disconnection):
            self.offer(.disconnected(disconnection))
        case .forceDisconnected(let disconnection):
            self.state.isForced = true
            self.start(.disconnected(disconnection))
        case .windUp:
            self.offer(.woundUp)
        case .forget:
            self.forget()
        }
    }

    private func retire() {
        guard let waiting = self.runtime.classicDirectory.retire(self.id, self.ticket, on: self.handle) else { return }
        let connections = self.runtime.classic, ticket = self.ticket
        waiting.eventLoop.execute { connections.stopWaiting(ticket, on: waiting) }
    }

    private func forget() {
        self.state.context.end()
        self.perform(.answerStart(succeeded: false))
        self.unregister()
        self.loop.remove(self)
        self.loop.classic[self.ticket] = nil
        self.runtime.classicDirectory.forget(self.ticket)
    }
}

extension ClassicSession: SessionOwner {
    func tick(now: NIODeadline) {
        self.perform(self.state.lifecycle.tick(now: now))
        self.catchUpIfDrained()
    }

    func drain() {
        self.perform(self.state.lifecycle.drained(now: self.now))
    }

    func stop() {
        self.drain()
        self.perform(self.state.lifecycle.disconnectedFinished())
        self.perform(self.state.lifecycle.woundUp())
    }
}

extension ClassicSession: RecipientOwner {
    /// Whether more waits for the client than may.
    var isBehind: Bool {
        (self.channel?.outlet?.queuedBytes ?? 0) > self.runtime.configuration.outboundLimitBytes
    }

    func fellBehind() {
        self.runtime.services.slowConsumer(self.id, hub: self.state.hubs.map(\.name).joined(separator: ","))
        self.endChannel(.abandon)
    }

    /// The connection goes on without a channel until the next poll.
    func pollAnswered() {
        guard let channel = self.channel else { return }
        channel.isAnswered = true
        channel.session = nil
        channel.end(.normal)
        self.perform(self.state.lifecycle.channelLost(channel.number, now: self.now))
    }

    func expectResult(of invocation: ClientInvocation, for key: RequestKey) -> PassageVerdict { .noResults }

    func groupChanged(_ change: GroupChange) {
        let group = HubGroup(hub: change.hub, name: change.group)
        switch change.action {
        case .add: self.state.groups.insert(group)
        case .remove: self.state.groups.remove(group)
        }
        self.state.isTokenDue = true
        self.recipient?.takesBundles = true
        self.catchUp?.liveChanges.insert(group)
    }

    func takeBundle(_ elements: [ByteBuffer], cursor: String) {
        if self.catchUp != nil {
            self.hold(elements)
        } else if self.isBehind {
            self.fellBehind()
        } else {
            self.sendEnvelope(elements, cursor: cursor)
        }
    }
}
