public import BusbarDriver
public import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A backplane on Redis 6.2 or later: Pub/Sub delivers, a capped Redis Stream per stream is the log, and one script
/// writes both.
///
/// Uses two connections. All work of a driver is done on one event loop.
public final class RedisDriver: DirectDriver {
    /// The largest record that is taken.
    ///
    /// Why not more: Redis cuts off a subscriber that is 32 MB behind, so a few of these are all that a burst may hold.
    public static let largestRecordBytes = 4 << 20

    /// How long a writer's last append is remembered, to recognise its repetition.
    static let writerMemorySeconds: UInt64 = 3_600

    public let guarantees = Guarantees(
        counting: .withoutHoles,
        durability: .broker,
        largestRecordBytes: RedisDriver.largestRecordBytes,
        replays: true,
        refusesRepeats: true,
        recognisesRewind: true
    )

    private let configuration: RedisConfiguration
    private let limits: LogLimits
    private let loop: any EventLoop
    private let link: NIOLoopBoundBox<RedisLink?>
    private let wasRun = Atomic(false)

    /// - Parameter group: where its event loop is taken from; nil takes NIO's shared one.
    public init(
        _ configuration: RedisConfiguration,
        on group: (any EventLoopGroup)? = nil
    ) {
        self.configuration = configuration
        self.limits = LogLimits(configuration)
        self.loop = (group ?? MultiThreadedEventLoopGroup.singleton).next()
        self.link = .makeEmptyBox(valueType: RedisLink.self, eventLoop: self.loop)
    }

    public func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        guard self.wasRun.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: "run was called twice")
        }
        let finished = self.loop.makePromise(of: DriverError?.self)
        let (configuration, loop, link) = (self.configuration, self.loop, self.link)
        let error = await withTaskCancellationHandler {
            loop.execute {
                let started = RedisLink(
                    configuration: configuration, streams: streams, driver: .random(in: 1...(.max)), inbox: inbox,
                    loop: loop,
                    finished: finished
                )
                link.value = started
                started.start()
            }
            return await finished.futureResult.outcome()
        } onCancel: {
            loop.execute {
                if let running = link.value { running.stop() } else { finished.succeed(nil) }
            }
        }
        loop.execute { link.value = nil }
        if let error { throw error }
    }

    public func append(
        _ batch: Batch, to stream: StreamID,
        completion: @escaping @Sendable (Result<Receipt, DriverError>) -> Void
    ) {
        do throws(DriverError) {
            try batch.check(largestRecordBytes: Self.largestRecordBytes)
        } catch {
            return completion(.failure(error))
        }
        let call = ScriptCall.append(
            batch, to: self.names(of: stream), retaining: self.limits, second: UInt64(Self.secondsSince1970())
        )
        let key = batch.records[batch.records.count - 1].key
        self.call("append") { _ in
            call
        } interpret: { link, reply in
            let receipt = try LogAnswers.receipt(reply, stream: stream)
            let mark = SeenMark(epoch: receipt.last.epoch, offset: receipt.last.offset, key: ByteBuffer(recordKey: key))
            link.hasSeen(mark, of: stream)
            return receipt
        } completion: {
            completion($0)
        }
    }

    public func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        let names = self.names(of: stream)
        let page = try await self.call("read") { _ in
            .read(names, after: offset, limitBytes: limitBytes)
        } interpret: { link, reply in
            guard let (page, last) = try LogAnswers.page(reply) else { return Page?.none }
            if let last { link.hasSeen(last, of: stream) }
            return page
        }
        if let page { return page }
        let extent = try await self.extent(of: stream)
        return Page(epoch: extent.epoch, records: [], oldest: extent.oldest, newest: extent.newest)
    }

    public func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        let names = self.names(of: stream)
        return try await self.call("extent") { link in
            link.attachCall(stream, names: names)
        } interpret: { _, reply in
            try LogAnswers.extent(reply)
        }
    }

    // MARK: Calls

    private func call<Answer: Sendable>(
        _ operation: StaticString,
        make: @escaping @Sendable (RedisLink) -> ScriptCall,
        interpret: @escaping @Sendable (RedisLink, RedisReply) throws -> Answer
    ) async throws(DriverError) -> Answer {
        let result = await withCheckedContinuation { continuation in
            self.call(operation, make: make, interpret: interpret) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Calls a script and gives what its reply means to `completion`, once.
    private func call<Answer: Sendable>(
        _ operation: StaticString,
        make: @escaping @Sendable (RedisLink) -> ScriptCall,
        interpret: @escaping @Sendable (RedisLink, RedisReply) throws -> Answer,
        completion: @escaping @Sendable (Result<Answer, DriverError>) -> Void
    ) {
        let box = self.link
        self.loop.execute {
            guard let link = box.value else {
                let detail = "the driver isn't running"
                let error = DriverError(
                    .closed, during: operation, recovery: .retry(after: .milliseconds(100)), detail: detail)
                return completion(.failure(error))
            }
            link.call(make(link), during: operation) { answer in
                completion(
                    answer.flatMap { reply in
                        do { return .success(try interpret(link, reply)) } catch {
                            let detail = (error as? RedisProtocolError)?.detail ?? "\(error)"
                            return .failure(.lost(detail).during(operation))
                        }
                    }
                )
            }
        }
    }

    private func names(of stream: StreamID) -> StreamNames {
        StreamNames(app: self.configuration.app, database: self.configuration.database, stream: stream)
    }

    static func secondsSince1970() -> Int {
        // Why not Foundation: this is the only thing that would need it.
        max(0, time(nil))
    }
}

extension EventLoopFuture<DriverError?> {
    /// The value of a future that is only ever fulfilled.
    fileprivate func outcome() async -> DriverError? {
        do { return try await self.get() } catch { return .lost("\(error)") }
    }
}
