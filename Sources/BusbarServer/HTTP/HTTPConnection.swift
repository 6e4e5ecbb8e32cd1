import NIOCore

/// The channel handler of a connection for as long as it speaks HTTP.
///
/// Reads one request at a time and reads on when it is answered, so answers keep the order of the requests, and a
/// peer that does not take its answers is not asked for more requests. Leaves the pipeline when the connection
/// becomes a WebSocket.
final class HTTPConnection: ChannelDuplexHandler, RemovableChannelHandler, RosterMember {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Between requests, or in the middle of reading one.
        case reading
        case answering
        /// A session writes the answer's body.
        case streaming(ResponseStream, isKept: Bool)
        /// The last answer is written; what still arrives is thrown away so that the kernel does not reset the
        /// connection before the peer has read that answer.
        case lingering
        case gone
    }

    private static let lingerTime = TimeAmount.seconds(2)

    private let service: any HTTPService
    private let roster: Roster
    private let limits: HTTPLimits
    private let isRefused: Bool
    private var parser: HTTPRequestParser
    private var buffer = ByteBuffer()
    private var phase = Phase.reading
    private var context: ChannelHandlerContext?
    private var isWritable = true
    private var isReadHeld = false
    private var isProcessing = false
    private var deadline = NIODeadline.distantFuture
    private var isMidRequest = false
    var rosterIndex = -1

    /// - Parameter isRefused: whether the only answer is that there are too many connections.
    init(service: any HTTPService, roster: Roster, limits: HTTPLimits, isRefused: Bool) {
        self.service = service
        self.isRefused = isRefused
        self.roster = roster
        self.limits = limits
        self.parser = HTTPRequestParser(limits: limits)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.roster.add(self)
        self.deadline = .now() + TimeAmount(self.limits.requestTimeout)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.roster.remove(self)
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        if self.isRefused { self.answer(HTTPResponse(.busy), to: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let phase = self.phase
        self.phase = .gone
        if case .streaming(let stream, _) = phase { stream.left(on: context.eventLoop) }
        self.roster.remove(self)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.close()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        switch self.phase {
        case .reading, .answering, .streaming:
            if self.buffer.readableBytes == 0 {
                self.buffer = bytes
            } else {
                self.buffer.writeBuffer(&bytes)
            }
            self.process()
        case .lingering, .gone:
            break
        }
    }

    func read(context: ChannelHandlerContext) {
        switch self.phase {
        case .reading where self.isWritable, .lingering: context.read()
        case .reading, .answering, .streaming, .gone: self.isReadHeld = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isWritable = context.channel.isWritable
        if case .streaming(let stream, _) = self.phase {
            stream.writabilityChanged(self.isWritable, on: context.eventLoop)
        }
        if self.isWritable { self.process() }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Requests and answers

    private func process() {
        guard !self.isProcessing, let context = self.context else { return }
        self.isProcessing = true
        while case .reading = self.phase, self.isWritable {
            do throws(HTTPRefusal) {
                guard let event = try self.parser.next(in: &self.buffer) else { break }
                switch event {
                case .continueExpected:
                    context.writeAndFlush(NIOAny(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
                case .request(let request):
                    self.phase = .answering
                    self.isMidRequest = false
                    self.deadline = .now() + TimeAmount(self.limits.answerTimeout)
                    self.perform(self.service.reaction(to: request, from: context.channel), for: request)
                }
            } catch {
                self.answer(HTTPResponse(error), to: nil)
            }
        }
        self.isProcessing = false
        self.finishRound(context)
    }

    /// After all that could be done with the bytes at hand: flush once, set the deadline of what is waited for, read
    /// on.
    private func finishRound(_ context: ChannelHandlerContext) {
        guard self.context != nil else { return }
        switch self.phase {
        case .reading:
            context.flush()
            let isMidRequest = self.parser.isMidRequest(with: self.buffer)
            if self.buffer.readableBytes == 0 { self.buffer = ByteBuffer() }
            if !self.isWritable {
                self.deadline = .now() + TimeAmount(self.limits.idleTimeout)
            } else if isMidRequest, !self.isMidRequest {
                self.deadline = .now() + TimeAmount(self.limits.requestTimeout)
            } else if !isMidRequest, self.deadline == .distantFuture {
                self.deadline = .now() + TimeAmount(self.limits.idleTimeout)
            }
            self.isMidRequest = isMidRequest
            if self.roster.isWoundUp, !isMidRequest { return self.close() }
        case .answering, .streaming:
            context.flush()
            return
        case .lingering, .gone:
            break
        }
        if self.isReadHeld {
            self.isReadHeld = false
            self.read(context: context)
        }
    }

    private func perform(_ reaction: Reaction, for request: HTTPRequest) {
        switch reaction {
        case .respond(let response):
            self.answer(response, to: request)
        case .upgrade(let acceptance):
            self.upgrade(acceptance)
        case .stream(let acceptance):
            self.stream(acceptance, for: request)
        case .eventually(let work):
            self.wait(for: work, request)
        case .held(let work):
            self.deadline = .distantFuture
            self.wait(for: work, request)
        }
    }

    private func wait(for work: @escaping @Sendable () async -> Reaction, _ request: HTTPRequest) {
        guard let context = self.context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let isAccepted = self.service.work.submit {
            let reaction = await work()
            eventLoop.execute { bound.value.resume(with: reaction, for: request) }
        }
        if !isAccepted { self.answer(HTTPResponse(.busy), to: request) }
    }

    private func resume(with reaction: Reaction, for request: HTTPRequest) {
        guard case .answering = self.phase, self.context != nil else { return }
        self.perform(reaction, for: request)
        self.process()
    }

    private func answer(_ response: HTTPResponse, to request: HTTPRequest?) {
        guard let context = self.context else { return }
        let isKept = request?.isKeptAlive == true && !response.closes && !self.roster.isWoundUp
        let persistence: HTTPPersistence = !isKept ? .closed : request?.minorVersion == 0 ? .keptAlive : .implied
        var head = context.channel.allocator.buffer(capacity: 256)
        response.writeHead(into: &head, date: self.roster.dateText, connection: persistence)
        context.write(NIOAny(head), promise: nil)
        if response.body.readableBytes > 0, request?.method != "HEAD" {
            context.write(NIOAny(response.body), promise: nil)
        }
        if isKept {
            self.phase = .reading
            self.deadline = .distantFuture
        } else {
            context.flush()
            self.linger(context)
        }
    }

    /// Answers at once with the head, and lets a session write the body.
    private func stream(_ acceptance: StreamAcceptance, for request: HTTPRequest) {
        guard let context = self.context else { return }
        guard request.method != "HEAD" else { return self.answer(HTTPResponse(.streamHead), to: request) }
        let isChunked = request.minorVersion >= 1
        let isKept = isChunked && request.isKeptAlive && !self.roster.isWoundUp
        var head = context.channel.allocator.buffer(capacity: 512)
        acceptance.response.writeHead(
            into: &head, date: self.roster.dateText, connection: isKept ? .implied : .closed,
            length: isChunked ? .chunked : .untilClosed)
        context.write(NIOAny(head), promise: nil)
        let stream = ResponseStream(self, isChunked: isChunked, sendTimeout: acceptance.sendTimeout)
        self.phase = .streaming(stream, isKept: isKept)
        self.deadline = .distantFuture
        stream.begin(acceptance, on: context.eventLoop)
    }

    private func linger(_ context: ChannelHandlerContext) {
        self.phase = .lingering
        self.buffer = ByteBuffer()
        self.deadline = .now() + Self.lingerTime
        context.close(mode: .output, promise: nil)
    }

    private func upgrade(_ acceptance: WebSocketAcceptance) {
        guard let context = self.context, !self.roster.isWoundUp else {
            return self.answer(HTTPResponse(.busy), to: nil)
        }
        let rest = self.buffer
        self.phase = .gone
        self.buffer = ByteBuffer()
        let socket = WebSocketConnection(roster: self.roster, limits: acceptance.limits)
        context.write(NIOAny(acceptance.response(date: self.roster.dateText)), promise: nil)
        do {
            try context.pipeline.syncOperations.addHandler(socket, position: .after(self))
        } catch {
            return context.close(promise: nil)
        }
        let isReadHeld = self.isReadHeld
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
        socket.begin(acceptance, with: rest, isReadHeld: isReadHeld)
    }

    private func close() {
        let phase = self.phase
        self.phase = .gone
        guard let context = self.context else { return }
        if case .streaming(let stream, _) = phase { stream.left(on: context.eventLoop) }
        context.close(promise: nil)
    }

    // MARK: Roster

    func ticked(now: NIODeadline) {
        if case .streaming(let stream, _) = self.phase { return stream.ticked(now: now) }
        guard now >= self.deadline, let context = self.context else { return }
        switch self.phase {
        case .reading where self.isMidRequest && self.isWritable:
            self.answer(HTTPResponse(.timeout), to: nil)
        case .answering:
            self.answer(HTTPResponse(.late), to: nil)
        case .reading, .lingering:
            self.close()
        case .streaming, .gone:
            break
        }
        context.flush()
    }

    func wound() {
        if case .reading = self.phase, !self.isMidRequest { self.close() }
    }

    func abandoned() {
        self.close()
    }
}

extension HTTPConnection: ResponseStream.Connection {
    func write(_ bytes: ByteBuffer) {
        self.roster.count(outboundBytes: bytes.readableBytes)
        self.context?.write(NIOAny(bytes), promise: nil)
    }

    func flush() { self.context?.flush() }

    var heldBytes: Int? {
        guard !self.isWritable, let options = self.context?.channel.syncOptions else { return nil }
        return try? options.getOption(.bufferedWritableBytes)
    }

    func streamEnded(isWhole: Bool) {
        guard case .streaming(let stream, let isKept) = self.phase, let context = self.context else { return }
        stream.left(on: context.eventLoop)
        guard isWhole, isKept else { return self.linger(context) }
        self.phase = .reading
        self.deadline = .distantFuture
        // Why not at once: the session that ended the body is not done yet.
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.process() }
    }
}

/// What answers requests. Called on the connection's event loop.
protocol HTTPService: AnyObject, Sendable {
    var work: WorkQueue { get }
    func reaction(to request: HTTPRequest, from channel: any Channel) -> Reaction
}
