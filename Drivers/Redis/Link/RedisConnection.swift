import BusbarDriver
import NIOCore

/// One socket to Redis: requests out, answers back in order, pushed messages to its owner. Confined to its event loop.
final class RedisConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Answer = Result<RedisReply, DriverError>

    /// What a connection tells its owner. Nothing follows ``closed(_:)``.
    enum Event {
        /// An array that nobody asked for: a confirmation of a subscription, or a message.
        case pushed([RedisReply])
        /// Everything that one read from the socket brought has been told.
        case readCompleted
        case closed(DriverError)
    }

    private let reader: ReplyReader
    private var pipeline = RequestPipeline<(Answer) -> Void>()
    private var context: ChannelHandlerContext?
    private var deadlineCheck: Scheduled<Void>?
    private var isFlushScheduled = false
    private var closing: DriverError?
    private var owner: ((Event) -> Void)?

    init(replyLimitBytes: Int = 128 << 20) {
        self.reader = ReplyReader(limitBytes: replyLimitBytes)
    }

    // MARK: Requests

    func setOwner(_ owner: @escaping (Event) -> Void) {
        self.owner = owner
    }

    /// Sends a command; `completion` is called once, with the answer (an error reply included) or with why there is
    /// none.
    func send(
        _ command: ByteBuffer,
        within limit: Duration,
        during operation: StaticString = "run",
        completion: @escaping (Answer) -> Void
    ) {
        guard let context = self.context, self.closing == nil else {
            let error = self.closing ?? .lost("the connection is closed")
            return completion(.failure(error.during(operation)))
        }
        let ticket: (Answer) -> Void = { answer in completion(answer.mapError { $0.during(operation) }) }
        let deadline = ContinuousClock.now + limit
        guard self.pipeline.offer(ticket, byteCount: command.readableBytes, deadline: deadline) else {
            let detail = "too much is waiting for Redis's answer already"
            return completion(
                .failure(
                    DriverError(
                        .overloaded, during: operation, recovery: .retry(after: .milliseconds(20)), detail: detail))
            )
        }
        if self.deadlineCheck == nil { self.scheduleDeadlineCheck(on: context) }
        self.write(command, to: context)
    }

    /// Sends what is answered by pushed arrays or not at all.
    func sendUnanswered(_ command: ByteBuffer) {
        guard let context = self.context, self.closing == nil else { return }
        self.write(command, to: context)
    }

    /// Closes the socket; whatever waits is answered with `error`. The owner isn't told of what it did itself.
    func close(_ error: DriverError) {
        self.owner = nil
        self.end(error)
    }

    private func write(_ command: ByteBuffer, to context: ChannelHandlerContext) {
        context.write(self.wrapOutboundOut(command), promise: nil)
        guard !self.isFlushScheduled else { return }
        self.isFlushScheduled = true
        // Why: all that is submitted in the same turn of the loop shares one system call.
        context.eventLoop.assumeIsolated().execute {
            self.isFlushScheduled = false
            self.context?.flush()
        }
    }

    private func scheduleDeadlineCheck(on context: ChannelHandlerContext) {
        guard let deadline = self.pipeline.deadline else { return }
        let delay = max(.zero, ContinuousClock.now.duration(to: deadline))
        self.deadlineCheck = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
            self.deadlineCheck = nil
            guard let context = self.context, let deadline = self.pipeline.deadline else { return }
            guard deadline <= ContinuousClock.now else { return self.scheduleDeadlineCheck(on: context) }
            self.end(
                DriverError(
                    .timedOut, during: "run", recovery: .retry(after: .milliseconds(20)),
                    detail: "Redis didn't answer in time")
            )
        }
    }

    private func end(_ error: DriverError) {
        guard self.closing == nil else { return }
        self.closing = error
        self.deadlineCheck?.cancel()
        self.deadlineCheck = nil
        for ticket in self.pipeline.closed() { ticket(.failure(error)) }
        let owner = self.owner
        self.owner = nil
        self.context?.close(promise: nil)
        owner?(.closed(error))
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.closing == nil else { return }
        do {
            try self.reader.feed(self.unwrapInboundIn(data))
            while self.closing == nil, let reply = try self.reader.next() { self.take(reply) }
        } catch {
            self.end(.lost("Redis sent what is not its protocol: \(error.detail)"))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.owner?(.readCompleted)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.end(.lost("Redis closed the connection"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.end(.lost(RedisTLS.description(of: error)))
    }

    private func take(_ reply: RedisReply) {
        if let parts = reply.array, parts.count == 3, Self.isPush(parts[0].bulk) {
            self.owner?(.pushed(parts))
        } else if let ticket = self.pipeline.answered() {
            ticket(.success(reply))
        } else if case .error(let error) = reply {
            // A refused SUBSCRIBE is answered out of turn, like its confirmations.
            self.end(error.driverError(during: "run"))
        } else {
            self.end(.lost("Redis answered what nobody asked"))
        }
    }

    private static let message = ByteBuffer(string: "message")
    private static let subscribe = ByteBuffer(string: "subscribe")

    private static func isPush(_ kind: ByteBuffer?) -> Bool {
        kind == Self.message || kind == Self.subscribe
    }
}

extension DriverError {
    static func lost(_ detail: String) -> Self {
        Self(.unreachable, during: "run", recovery: .retry(after: .milliseconds(20)), detail: detail)
    }

    /// The same error as seen from another operation.
    func during(_ operation: StaticString) -> Self {
        Self(self.code, during: operation, recovery: self.recovery, detail: self.detail)
    }
}
