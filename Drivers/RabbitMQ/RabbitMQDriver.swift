public import BusbarDriver
import BusbarDriverThread
import NIOCore
import Synchronization

/// A backplane on RabbitMQ 3.9 or later, as it comes: each stream is a stream queue, written with publisher confirms and read with
/// explicit offsets over AMQP 0-9-1.
///
/// Uses two connections, one to publish and one for everything else, so that a broker that takes no more can still be read.
/// librabbitmq runs on a thread of the driver's own.
public final class RabbitMQDriver: DirectDriver {
    /// The largest record that is taken.
    ///
    /// Why not more: RabbitMQ 4 takes messages of 16 MiB by default, and a few records are to fit into one.
    public static let largestRecordBytes = 4 << 20
    /// The largest batch that is taken; it is one message.
    static let largestBatchBytes = 15 << 20

    public let guarantees = Guarantees(
        counting: .withJumps,
        durability: .broker,
        largestRecordBytes: RabbitMQDriver.largestRecordBytes,
        replays: true,
        refusesRepeats: false,
        recognisesRewind: false,
        offsetStride: RecordPlace.stride
    )

    private let configuration: RabbitMQConfiguration
    private let thread = Mutex<DriverThread<RabbitMQLink>?>(nil)
    private let wasRun = Atomic(false)

    public init(_ configuration: RabbitMQConfiguration) {
        self.configuration = configuration
    }

    public func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        guard self.wasRun.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: "run was called twice")
        }
        let configuration = self.configuration
        // Why longer: the library's own limits on connecting should come first.
        let watch = SocketWatch(limit: configuration.requestLimit + .seconds(1))
        let finished = OneAnswer<DriverError?>()
        let thread = try DriverThread(name: "rabbitmq") {
            RabbitMQLink(configuration, streams: streams, inbox: inbox, watch: watch) { finished.give($0) }
        }
        self.thread.withLock { $0 = thread }
        let error = await withTaskGroup(of: Void.self) { group in
            group.addTask { await watch.patrol() }
            let error = await finished.wait(ifCancelled: nil)
            self.thread.withLock { $0 = nil }
            watch.hurry(.milliseconds(300))
            await thread.stop()
            group.cancelAll()
            return error
        }
        if let error { throw error }
    }

    public func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        let body = try Self.body(of: batch)
        let count = batch.records.count
        let last = try await self.call("append") { link, completion in
            link.append(body, recordCount: count, to: stream, completion)
        }
        return Receipt(last: last)
    }

    public func append(
        _ batch: Batch, to stream: StreamID,
        completion: @escaping @Sendable (Result<Receipt, DriverError>) -> Void
    ) {
        do throws(DriverError) {
            let body = try Self.body(of: batch)
            let count = batch.records.count
            let thread = try self.running(during: "append")
            try thread.put(during: "append", borrowing: true) { link in
                link.append(body, recordCount: count, to: stream) { result in
                    completion(result.map { Receipt(last: $0) }.mapError { $0.during("append") })
                }
            }
        } catch {
            completion(.failure(error))
        }
    }

    private static func body(of batch: Batch) throws(DriverError) -> ByteBuffer {
        try self.check(batch)
        let body = BatchBody.encode(batch.records)
        guard body.readableBytes <= self.largestBatchBytes else {
            let detail = "a batch has \(body.readableBytes) bytes; wanted: at most \(self.largestBatchBytes)"
            throw DriverError(.rejected, during: "append", recovery: .giveUp, detail: detail)
        }
        return body
    }

    public func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        try await self.call("read") { link, completion in
            link.read(stream, after: offset, limitBytes: limitBytes, completion)
        }
    }

    public func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        try await self.call("extent") { link, completion in link.extent(of: stream, completion) }
    }

    private func call<Answer: Sendable>(
        _ operation: StaticString,
        _ body: @escaping @Sendable (RabbitMQLink, @escaping RabbitMQLink.Completion<Answer>) -> Void
    ) async throws(DriverError) -> Answer {
        let thread = try self.running(during: operation)
        let answer = OneAnswer<Result<Answer, DriverError>>()
        try thread.put(during: operation) { link in
            body(link) { result in answer.give(result.mapError { $0.during(operation) }) }
        }
        let cancelled = DriverError(
            .timedOut, during: operation, recovery: .retry(after: .zero), detail: "the task was cancelled")
        return try await answer.wait(ifCancelled: .failure(cancelled)).get()
    }

    private func running(during operation: StaticString) throws(DriverError) -> DriverThread<RabbitMQLink> {
        if let thread = self.thread.withLock({ $0 }) { return thread }
        throw DriverError(
            .closed, during: operation, recovery: .retry(after: .milliseconds(100)), detail: "the driver isn't running")
    }

    private static func check(_ batch: Batch) throws(DriverError) {
        guard let first = batch.records.first?.key, batch.records.count <= RecordPlace.stride else {
            let detail = "a batch has \(batch.records.count) records; wanted: 1 to \(RecordPlace.stride)"
            throw DriverError(.rejected, during: "append", recovery: .giveUp, detail: detail)
        }
        var last: RecordKey?
        for record in batch.records {
            guard (1...Self.largestRecordBytes).contains(record.bytes.readableBytes) else {
                let detail = "a record has \(record.bytes.readableBytes) bytes; wanted: 1 to \(Self.largestRecordBytes)"
                throw DriverError(.recordTooLarge, during: "append", recovery: .giveUp, detail: detail)
            }
            let isNext = last.map { $0.sequence < record.key.sequence } ?? true
            guard record.key.node == first.node, record.key.incarnation == first.incarnation, isNext else {
                let detail = "the records of a batch come from one writer, in the order of their sequences"
                throw DriverError(.rejected, during: "append", recovery: .giveUp, detail: detail)
            }
            last = record.key
        }
    }
}
