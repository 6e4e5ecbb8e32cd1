import BusbarProtocol
import Logging
import Metrics
package import NIOCore

/// One connection of a core client: handshake, calls, pings and the end of it.
///
/// Confined to its event loop. A transport makes one after its upgrade, hands it what arrives and reports its own end once.
package final class CoreSession {
    enum Job: Sendable {
        case connected
        case call(CoreInvocation)
        case disconnected(Disconnection)

        var isCall: Bool {
            if case .call = self { true } else { false }
        }
    }

    /// How other threads come back to a session: by way of its loop.
    final class Door {
        weak var session: CoreSession?
    }

    /// What hubs know of the connection.
    package let context: ConnectionContext
    let runtime: HubRuntime
    let loop: SessionLoop
    let hub: RegisteredHub
    let door: NIOLoopBound<Door>
    private let limitBytes: Int?
    private var recipient: Recipient?
    /// The link to the client; nil when there is none.
    var outlet: (any Outlet)?
    /// Whether the connection still goes over the link that it began with.
    package internal(set) var isOnFirstLink = true
    /// What stateful reconnect keeps; nil unless the client asked for it.
    var resumption: Resumption?
    /// Whether it is counted among those whose clients are away.
    var isAbsent = false
    /// What lasts as long as the client may come back. Let go of when it may not any more.
    package var lease: AnyObject?
    var lifecycle: CoreLifecycle
    let work: SharedWork<Job>
    var results: ClientResults
    var splitter = RecordSplitter()
    var input = ByteBuffer()
    var isPaused = false
    private var isParsing = false
    var isForced = false
    /// Whether the disconnected event runs or has run.
    var isDisconnecting = false
    var place = -1

    package init(
        runtime: HubRuntime,
        loop: any EventLoop,
        hub: RegisteredHub,
        identity: ConnectionIdentity,
        outlet: any Outlet,
        framing: TransportFraming,
        mayReturn: Bool = false
    ) {
        let door = NIOLoopBound(Door(), eventLoop: loop)
        let configuration = runtime.configuration
        self.runtime = runtime
        self.loop = runtime.sessionLoop(on: loop)
        self.hub = hub
        self.door = door
        self.outlet = outlet
        self.limitBytes = configuration.core.maximumReceiveMessageBytes
        self.context = ConnectionContext(
            id: identity.id, userID: identity.userID, user: identity.user, request: identity.request,
            transport: identity.transport
        )
        self.lifecycle = CoreLifecycle(
            timeouts: CoreLifecycle.Timeouts(configuration), detailedErrors: configuration.detailedErrors,
            mayReturn: mayReturn, now: loop.now
        )
        self.work = SharedWork(limits: WorkQueue.Limits(configuration))
        self.results = ClientResults(limit: configuration.core.clientResultLimit)
        let recipient = Recipient(id: identity.id, format: .core(.json, framing), outlet: outlet, owner: self)
        self.recipient = recipient
        door.value.session = self
        self.context.onAbort { loop.execute { door.value.session?.end(.aborted) } }
    }

    /// The transport is ready: the handshake's time runs.
    package func started() {
        self.loop.add(self)
        if self.runtime.services.isDraining { self.end(.serverStopping) }
    }

    /// Takes bytes of the client, whatever frames they came in. All of `bytes` is consumed.
    package func received(_ bytes: inout ByteBuffer) {
        if self.input.readableBytes == 0 {
            self.input = bytes
        } else {
            self.input.writeBuffer(&bytes)
        }
        bytes = ByteBuffer()
        self.parse()
    }

    /// The transport has ended; nothing is written to the outlet any more.
    package func transportClosed(_ closing: TransportClosing) {
        if closing == .lost { self.runtime.services.transportBroke() }
        self.outlet = nil
        let mayWait = closing == .lost && self.beginAbsence()
        let effects = self.lifecycle.transportClosed(closing, mayWait: mayWait, now: self.loop.eventLoop.now)
        if self.lifecycle.isAway { return self.clientWentAway() }
        self.endAbsence()
        self.recipient?.outlet = nil
        self.recipient?.isListening = false
        self.perform(effects)
    }

    /// What was written has been taken: a client that was not read for want of reading itself is read again.
    package func drained() {
        self.resume()
    }

    func end(_ cause: CoreLifecycle.Cause) {
        self.perform(self.lifecycle.end(cause, now: self.loop.eventLoop.now))
    }
}

// MARK: - What arrives

extension CoreSession {
    private func parse() {
        guard !self.isParsing else { return }
        self.isParsing = true
        defer { self.isParsing = false }
        while !self.isPaused {
            if self.lifecycle.isWaitingForHandshake {
                guard self.parseHandshake() else { break }
            } else if self.lifecycle.takesMessages {
                guard self.parseMessage() else { break }
            } else {
                self.input = ByteBuffer()
                return
            }
        }
        // Why: what waits for its rest would keep the whole receive buffer alive, for as long as the client likes.
        self.input = self.input.readableBytes == 0 ? ByteBuffer() : self.input.copied()
    }

    /// Returns false when more bytes are needed.
    private func parseHandshake() -> Bool {
        let record: ByteBuffer
        do throws(ProtocolError) {
            guard let next = try self.splitter.nextRecord(from: &self.input, limitBytes: self.limitBytes) else {
                return false
            }
            record = next
        } catch {
            self.perform(self.lifecycle.handshakeTooLong())
            return true
        }
        do throws(ProtocolError) {
            let request = try CoreJSON.parseHandshake(record)
            self.perform(self.lifecycle.handshakeReceived(request, now: self.loop.eventLoop.now))
        } catch {
            self.perform(self.lifecycle.handshakeMalformed("\(error)"))
        }
        return true
    }

    /// Returns false when more bytes are needed.
    private func parseMessage() -> Bool {
        do throws(ProtocolError) {
            let language = self.lifecycle.language
            let next = try language.nextRecord(from: &self.input, &self.splitter, limitBytes: self.limitBytes)
            guard let record = next else { return false }
            self.received(try language.parse(record), bytes: record.readableBytes)
        } catch {
            self.end(.protocolViolated(error.detail))
        }
        return true
    }

    private func received(_ message: CoreMessage, bytes: Int) {
        if case .ping = message {
            self.lifecycle.messageReceived(isPing: true, now: self.loop.eventLoop.now)
            return
        }
        self.lifecycle.messageReceived(isPing: false, now: self.loop.eventLoop.now)
        if let resumption = self.resumption, !self.counts(message, resumption) { return }
        switch message {
        case .invocation(let invocation) where !invocation.streamIDs.isEmpty:
            self.refuseUpload(invocation)
        case .invocation(let invocation):
            var invocation = invocation
            invocation.arguments = invocation.arguments.copy()
            self.offer(.call(invocation), bytes: bytes)
            if self.work.isFull {
                self.pause()
                self.refuseOwnResults()
            }
        case .streamInvocation(let invocation):
            self.refuseStream(invocation)
        case .close(let error, _):
            self.end(.clientClosed(error: error))
        case .completion(let id, let result):
            self.answered(id, result)
        case .ping, .streamItem, .cancelInvocation, .ack, .sequence, .unknown:
            break
        }
    }

    /// Why not called without its streams: the client would wait for somebody to take their items.
    private func refuseUpload(_ invocation: CoreInvocation) {
        guard let id = invocation.invocationID else { return }
        let text = "Client sent \(invocation.streamIDs.count) stream(s), Hub method expects 0."
        self.complete(id, .error(HubFailure(.hubError, text).coreText(method: invocation.target, detailed: false)))
    }

    private func refuseStream(_ invocation: CoreInvocation) {
        guard let id = invocation.invocationID else { return }
        let name = invocation.target.lowercased()
        let text =
            self.hub.methodNames.contains { $0.lowercased() == name }
            ? "The client attempted to invoke the non-streaming '\(invocation.target)' method with a streaming invocation."
            : HubFailure(.unknownMethod, "").coreText(method: invocation.target, detailed: false)
        self.complete(id, .error(text))
    }

    func pause() {
        guard !self.isPaused, let outlet = self.outlet else { return }
        self.isPaused = true
        outlet.pauseReading()
    }

    /// Whether the client has so much to read that it had better not call.
    private var isClogged: Bool {
        (self.outlet?.queuedBytes ?? 0) > self.runtime.configuration.outboundLimitBytes / 2
    }

    func resume() {
        guard self.isPaused, !self.work.isFull, !self.isClogged else { return }
        self.isPaused = false
        self.lifecycle.readingResumed(now: self.loop.eventLoop.now)
        self.parse()
        if !self.isPaused { self.outlet?.resumeReading() }
    }
}

// MARK: - What is sent

extension CoreSession {
    func complete(_ id: String, _ result: CoreResult) {
        guard self.lifecycle.takesMessages, let outlet = self.messageOutlet else { return }
        if outlet.queuedBytes > self.runtime.configuration.outboundLimitBytes { return self.fellBehind() }
        var record = ByteBuffer()
        self.lifecycle.language.writeCompletion(id: id, result: result, into: &record)
        self.send(CoreFrames.frame(record, self.lifecycle.language.opcode))
    }

    /// Where messages go that count for stateful reconnect, calls and all that belongs to them: also while the client is away.
    private var messageOutlet: (any Outlet)? {
        if let resumption = self.resumption { return resumption }
        return self.outlet
    }

    private func send(_ frame: ByteBuffer) { self.write(frame, to: self.messageOutlet) }

    /// Sends what is about the connection and doesn't count.
    func signal(_ frame: ByteBuffer) { self.write(frame, to: self.outlet) }

    private func write(_ frame: ByteBuffer, to outlet: (any Outlet)?) {
        guard let outlet else { return }
        outlet.write(frame)
        outlet.flush()
        // Why: a client that calls faster than it reads is slowed down before it is ended.
        if self.isClogged { self.pause() }
    }

    func perform(_ effects: [CoreLifecycle.Effect]) {
        for effect in effects { self.perform(effect) }
    }

    private func perform(_ effect: CoreLifecycle.Effect) {
        switch effect {
        case .acceptHandshake:
            self.signal(CoreFrames.handshakeAccepted(self.lifecycle.language))
        case .refuseHandshake(let text):
            var record = ByteBuffer()
            CoreJSON.writeHandshakeRefusal(text, into: &record)
            self.signal(CoreFrames.frame(record, .text))
        case .keepForReturn:
            self.recipient?.outlet = self.keepForReturn()
        case .register:
            if let recipient = self.recipient {
                recipient.format = recipient.format.speaking(self.lifecycle.language)
                self.loop.register(recipient, hubs: [self.hub.name], userID: self.context.userID)
                self.runtime.services.connections.add(recipient.id)
                self.meter?.increment()
            }
        case .unregister:
            if let recipient = self.recipient {
                recipient.isListening = false
                self.loop.unregister(recipient)
                self.runtime.services.connections.remove(recipient.id)
                self.meter?.decrement()
                self.recipient = nil
                self.abandonResults()
            }
            self.forgetReturn()
        case .runConnected:
            self.offer(.connected)
        case .runDisconnected(let disconnection):
            self.offer(.disconnected(disconnection))
        case .forceDisconnected(let disconnection):
            self.isForced = true
            self.runDisconnected(disconnection)
        case .ping:
            self.signal(CoreFrames.ping(self.lifecycle.language))
        case .close(let error, let allowReconnect):
            var record = ByteBuffer()
            self.lifecycle.language.writeClose(error: error, allowReconnect: allowReconnect, into: &record)
            self.signal(CoreFrames.frame(record, self.lifecycle.language.opcode))
        case .endTransport(let ending):
            self.outlet?.end(ending)
            self.outlet = nil
            self.recipient?.outlet = nil
        case .cancelWork:
            self.context.end()
        case .dropWaiting:
            self.work.removeWaiting()
        case .forget:
            self.context.end()
            self.loop.remove(self)
        }
    }

    private var meter: Meter? {
        self.recipient.map { self.runtime.services.metrics.connections($0.format, self.context.transport) }
    }
}

extension CoreSession: SessionOwner {
    func tick(now: NIODeadline) {
        self.expireResults(now: now)
        self.perform(self.lifecycle.tick(isHeldUp: self.isPaused, now: now))
        self.acknowledge()
    }

    func drain() {
        self.end(.serverStopping)
    }

    func stop() {
        self.drain()
        self.perform(self.lifecycle.disconnectedFinished())
    }
}

extension CoreSession: RecipientOwner {
    func fellBehind() {
        self.runtime.services.slowConsumer(self.context.id, hub: self.hub.name)
        self.end(.tooSlow)
    }

    func pollAnswered() {}

    func groupChanged(_ change: GroupChange) {}

    func takeBundle(_ elements: [ByteBuffer], cursor: String) {}
}

extension CoreLifecycle.Timeouts {
    init(_ configuration: HubConfiguration) {
        self.init()
        self.handshake = TimeAmount(configuration.core.handshakeTimeout)
        self.keepAlive = TimeAmount(configuration.core.keepAliveInterval)
        self.client = TimeAmount(configuration.core.clientTimeout)
        self.silentClient = TimeAmount(configuration.core.silentClientTimeout)
        self.ending = TimeAmount(configuration.endingTimeout)
        self.reconnect = TimeAmount(configuration.core.reconnectTimeout)
    }
}

extension WorkQueue.Limits {
    init(_ configuration: HubConfiguration) {
        self.init(count: configuration.queuedInvocationLimit, bytes: configuration.queuedInvocationLimitBytes)
    }
}
