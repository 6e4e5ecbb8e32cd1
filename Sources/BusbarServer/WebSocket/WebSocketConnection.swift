import BusbarHub
import BusbarProtocol
import NIOCore

/// The one channel handler of a WebSocket, and the session's way out.
///
/// Writes go straight to the socket below any encoder, so a frame that was made once is shared by all its recipients.
/// Between frames it holds no buffer, no timer and no task.
final class WebSocketConnection: ChannelDuplexHandler, RosterMember {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase: UInt8 {
        case open
        /// Our close frame is out; only the peer's is waited for.
        case closing
        /// Our close frame is out and what the peer sends can't be understood any more; it is thrown away.
        case deaf
        case closed
    }

    private let roster: Roster
    private let limits: WebSocketLimits
    private var parser: WebSocketParser
    private var context: ChannelHandlerContext?
    private var session = TransportSession.refused
    /// What has arrived and makes no whole frame yet, or arrived while reading is paused.
    private var rest = ByteBuffer()
    private var phase = Phase.open
    private var isPeerGraceful = false
    private var hasFailed = false
    private var isPaused = false
    private var isReadHeld = false
    private var isParsing = false
    private var isWritable = true
    /// The peer's newest ping that could not be answered yet. Older ones need no answer.
    private var owedPong: ByteBuffer?
    private var writer = SocketWriter()
    private var progress = SendProgress()
    private var deadline = NIODeadline.distantFuture
    var rosterIndex = -1

    init(roster: Roster, limits: WebSocketLimits) {
        self.roster = roster
        self.limits = limits
        self.parser = limits.makeParser()
    }

    /// Starts the session. `bytes` arrived behind the opening handshake.
    func begin(_ acceptance: WebSocketAcceptance, with bytes: ByteBuffer, isReadHeld: Bool) {
        guard let context = self.context else { return }
        self.isReadHeld = isReadHeld
        self.writer.begin(context)
        let session = acceptance.attach(self, context.eventLoop)
        // Why: the session may have written, and found the connection broken.
        guard self.context != nil else { return session.transportClosed(.lost) }
        self.session = session
        self.writer.flush(context)
        if case .refused = self.session { return self.end(.goingAway) }
        if case .core(let session, _) = self.session { session.started() }
        if bytes.readableBytes > 0 { self.received(bytes) }
        self.readOn()
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.roster.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.left()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.left()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received(self.unwrapInboundIn(data))
    }

    func read(context: ChannelHandlerContext) {
        if self.isPaused {
            self.isReadHeld = true
        } else {
            context.read()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isWritable = context.channel.isWritable
        if self.isWritable {
            if self.phase == .open { self.deadline = .distantFuture }
            if let payload = self.owedPong.take() { self.answerPing(payload) }
            if self.isPaused { self.announceRoom(context.eventLoop) }
        } else if self.phase == .open {
            self.deadline = .now() + self.limits.sendTimeout
        }
        context.fireChannelWritabilityChanged()
    }

    /// Tells the session that what it wrote has been taken.
    ///
    /// Why not at once: this may be in the middle of one of its own writes.
    private func announceRoom(_ eventLoop: any EventLoop) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.session.drained() }
    }

    /// Tells the session, once, that its transport is gone.
    private func left() {
        guard self.context != nil else { return }
        self.context = nil
        self.phase = .closed
        self.rest = ByteBuffer()
        self.roster.remove(self)
        let session = self.session
        self.session = .refused
        session.transportClosed(self.hasFailed ? .failed : self.isPeerGraceful ? .graceful : .lost)
    }

    // MARK: Frames of the peer

    private func received(_ bytes: ByteBuffer) {
        guard self.phase == .open || self.phase == .closing else { return }
        if self.rest.readableBytes == 0 {
            self.rest = bytes
        } else {
            var bytes = bytes
            self.rest.writeBuffer(&bytes)
        }
        self.parse()
    }

    private func parse() {
        guard !self.isParsing else { return }
        self.isParsing = true
        defer { self.isParsing = false }
        do throws(WebSocketError) {
            while self.isParsable, let event = try self.parser.next(in: &self.rest) {
                self.handle(event)
            }
        } catch {
            self.fail(error.closeCode)
        }
        // Why: a slice of nothing would keep its whole receive buffer alive on an idle connection.
        if self.rest.readableBytes == 0 { self.rest = ByteBuffer() }
    }

    private var isParsable: Bool {
        !self.isPaused && (self.phase == .open || self.phase == .closing)
    }

    private func handle(_ event: WebSocketEvent) {
        switch event {
        case .close(let code, _):
            self.peerClosed(code)
        case .ping(let payload):
            self.answerPing(payload)
        case .pong:
            break
        case .data(_, _, var bytes), .message(.text, var bytes):
            if self.phase == .open { self.session.received(&bytes) }
        case .message:
            self.fail(.unsupportedData)
        }
    }

    private func answerPing(_ payload: ByteBuffer) {
        guard self.phase == .open, let context = self.context else { return }
        guard self.isWritable else {
            self.owedPong = payload
            return
        }
        var frame = context.channel.allocator.buffer(capacity: 2 + payload.readableBytes)
        WebSocketFrames.writePong(payload, into: &frame)
        self.write(frame)
        self.flush()
    }

    /// The peer said goodbye, or answered ours: our side answers once and ends the connection.
    private func peerClosed(_ code: WebSocketCloseCode?) {
        guard let context = self.context else { return }
        if self.phase == .open {
            self.isPeerGraceful = true
            self.writeClose(code)
        }
        self.phase = .closed
        context.close(promise: nil)
    }

    private func fail(_ code: WebSocketCloseCode) {
        guard self.phase == .open else { return self.abandoned() }
        self.hasFailed = true
        self.close(with: code, patience: .seconds(1))
        self.phase = .deaf
        self.rest = ByteBuffer()
    }

    private func writeClose(_ code: WebSocketCloseCode?) {
        guard let context = self.context else { return }
        var frame = context.channel.allocator.buffer(capacity: 4)
        WebSocketFrames.writeClose(code, into: &frame)
        self.writer.write(frame, to: context)
        self.writer.flush(context)
    }

    /// Sends our close frame; the connection ends when the peer answers, at the latest after `patience`.
    private func close(with code: WebSocketCloseCode, patience: TimeAmount) {
        self.writeClose(code)
        self.phase = .closing
        self.owedPong = nil
        self.deadline = .now() + patience
        if self.isPaused { self.resumeReading() }
    }

    private func readOn() {
        guard !self.isPaused, self.isReadHeld, let context = self.context else { return }
        self.isReadHeld = false
        context.read()
    }

    // MARK: Roster

    func ticked(now: NIODeadline) {
        guard now >= self.deadline else { return }
        switch self.phase {
        case .open:
            if self.progress.hasAdvanced(queuedBytes: self.queuedBytes) {
                self.deadline = now + self.limits.sendTimeout
            } else {
                self.abandoned()
            }
        case .closing, .deaf, .closed:
            self.abandoned()
        }
    }

    /// Sessions are ended by the runtime, which has a last word for their clients.
    func wound() {}

    func abandoned() {
        self.phase = .closed
        self.context?.close(promise: nil)
    }
}

// MARK: - Outlet

extension WebSocketConnection: Outlet {
    func write(_ frame: ByteBuffer) {
        guard self.phase == .open, let context = self.context else { return }
        self.progress.wrote(frame.readableBytes)
        self.roster.count(outboundBytes: frame.readableBytes)
        self.writer.write(frame, to: context)
    }

    func flush() {
        self.progress.flushed()
        guard let context = self.context else { return }
        self.writer.flush(context)
    }

    /// Exact once the channel holds more than its high water mark; below that only what is not flushed counts.
    ///
    /// Why: asking the channel costs more than a delivery may, and what is below the mark is never too much.
    var queuedBytes: Int {
        guard !self.isWritable, let options = self.context?.channel.syncOptions else {
            return self.progress.unflushedBytes
        }
        return (try? options.getOption(.bufferedWritableBytes)) ?? self.progress.unflushedBytes
    }

    func pauseReading() {
        self.isPaused = true
    }

    func resumeReading() {
        guard self.isPaused else { return }
        self.isPaused = false
        self.parse()
        self.readOn()
    }

    func end(_ ending: OutletEnding) {
        guard self.phase == .open else { return }
        switch ending {
        case .normal: self.close(with: .normal, patience: self.limits.closeTimeout)
        case .failed: self.close(with: .internalError, patience: self.limits.closeTimeout)
        case .goingAway: self.close(with: .goingAway, patience: self.limits.closeTimeout)
        case .abandon: self.abandoned()
        }
    }
}
