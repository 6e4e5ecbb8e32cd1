import NIOCore
import NIOPosix

/// A TCP connection that tests speak over byte by byte. Every wait has a deadline.
final class RawClient: Sendable {
    struct TimedOut: Error {
        let waitedFor: String
        let have: String
    }

    private let channel: any Channel
    private let inbox: NIOLoopBound<Inbox>

    private init(channel: any Channel, inbox: NIOLoopBound<Inbox>) {
        self.channel = channel
        self.inbox = inbox
    }

    static func connect(port: Int, receiveBufferBytes: Int? = nil) async throws -> RawClient {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        var bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(.seconds(60))
        if let receiveBufferBytes {
            bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBufferBytes))
        }
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        let client = try await bootstrap.connect(to: address).flatMapThrowing { channel in
            let inbox = Inbox()
            try channel.pipeline.syncOperations.addHandler(inbox)
            return RawClient(channel: channel, inbox: NIOLoopBound(inbox, eventLoop: channel.eventLoop))
        }.handedOver()
        return client
    }

    func send(_ text: String) async throws {
        try await self.send(ByteBuffer(string: text))
    }

    func send(_ bytes: ByteBuffer) async throws {
        try await self.channel.writeAndFlush(bytes).handedOver()
    }

    /// Writes without waiting for the kernel to take it.
    func push(_ bytes: ByteBuffer) {
        self.channel.writeAndFlush(bytes, promise: nil)
    }

    func stopReading() async throws {
        try await self.channel.setOption(.autoRead, value: false).handedOver()
    }

    func startReading() async throws {
        try await self.channel.setOption(.autoRead, value: true).handedOver()
        self.channel.read()
    }

    func close() {
        self.channel.close(promise: nil)
    }

    /// Waits until `take` finds what it looks for in the bytes that have arrived and not been taken.
    func receive<Value: Sendable>(
        _ what: String, within timeout: TimeAmount = .seconds(60),
        _ take: @escaping @Sendable (inout ByteBuffer, _ isClosed: Bool) throws -> Value?
    ) async throws -> Value {
        let eventLoop = self.channel.eventLoop
        let handover = Handover<Value>()
        let inbox = self.inbox
        eventLoop.execute {
            let timer = eventLoop.scheduleTask(in: timeout) {
                let inbox = inbox.value
                inbox.waiter = nil
                handover.put(.failure(TimedOut(waitedFor: what, have: String(inbox.describe.prefix(300)))))
            }
            inbox.value.wait { bytes, isClosed in
                do {
                    guard let value = try take(&bytes, isClosed) else {
                        if isClosed {
                            throw TimedOut(waitedFor: what, have: "closed: \(String(buffer: bytes).prefix(300))")
                        }
                        return false
                    }
                    handover.put(.success(value))
                } catch {
                    handover.put(.failure(error))
                }
                timer.cancel()
                return true
            }
        }
        return try await handover.value()
    }

    /// Waits until the server closes the connection and returns what it had sent before.
    @discardableResult
    func receiveEnd(within timeout: TimeAmount = .seconds(60)) async throws -> ByteBuffer {
        try await self.receive("end of connection", within: timeout) { bytes, isClosed in
            guard isClosed else { return nil }
            defer { bytes.clear() }
            return bytes
        }
    }

    private final class Inbox: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var bytes = ByteBuffer()
        private var isClosed = false
        var waiter: ((inout ByteBuffer, Bool) -> Bool)?

        var describe: String { String(buffer: self.bytes) }

        func wait(_ waiter: @escaping (inout ByteBuffer, Bool) -> Bool) {
            self.waiter = waiter
            self.check()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var part = self.unwrapInboundIn(data)
            self.bytes.writeBuffer(&part)
            self.check()
        }

        func channelInactive(context: ChannelHandlerContext) {
            self.isClosed = true
            self.check()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        private func check() {
            guard let waiter = self.waiter else { return }
            self.waiter = nil
            if !waiter(&self.bytes, self.isClosed), self.waiter == nil { self.waiter = waiter }
        }
    }
}
