public import BusbarDriver
import BusbarDriverThread
import NIOCore
import Synchronization

/// A backplane on PostgreSQL 13 or later: a table is the log, `NOTIFY` the doorbell, and one function call per batch writes both.
///
/// Uses one thread and two connections, one of which listens and is never inside a transaction. Also moves what applications
/// publish within their own transactions by `busbar_publish`.
public final class PostgresDriver: OutboxDriver, DirectDriver {
    public let guarantees: Guarantees
    private let configuration: PostgresConfiguration
    private let thread = Mutex<DriverThread<PostgresLink>?>(nil)
    private let packer = Mutex<(any OutboxPacker)?>(nil)
    private let wasRun = Atomic(false)

    public init(_ configuration: PostgresConfiguration) {
        self.configuration = configuration
        self.guarantees = Guarantees(
            counting: .withoutHoles,
            durability: configuration.isLogged ? .broker : .process,
            largestRecordBytes: configuration.largestRecordBytes,
            replays: true,
            refusesRepeats: true,
            recognisesRewind: true
        )
    }

    public func carryOutbox(packing packer: any OutboxPacker) {
        self.packer.withLock { $0 = packer }
    }

    public func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        guard self.wasRun.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: "run was called twice")
        }
        let (configuration, packer) = (self.configuration, self.packer.withLock { $0 })
        let thread = try DriverThread(name: "busbar-postgres") {
            PostgresLink(configuration: configuration, streams: streams, packer: packer, inbox: inbox)
        }
        self.thread.withLock { $0 = thread }
        let outcome: Result<Void, DriverError> = await withTaskCancellationHandler {
            await thread.call(during: "run") { link, done in link.start(finished: done) }
        } onCancel: {
            // Why a failure doesn't matter: a thread that takes no commands has ended, or is about to.
            try? thread.put(during: "run") { $0.end() }
        }
        self.thread.withLock { $0 = nil }
        await thread.stop()
        try outcome.get()
    }

    public func append(
        _ batch: Batch, to stream: StreamID,
        completion: @escaping @Sendable (Result<Receipt, DriverError>) -> Void
    ) {
        do throws(DriverError) {
            try batch.check(largestRecordBytes: self.configuration.largestRecordBytes)
        } catch {
            return completion(.failure(error))
        }
        let began = ContinuousClock.now
        self.call("append", borrowing: true) { _, calls, app in
            calls.append(batch, to: stream, app: app)
        } interpret: { link, rows throws(ServerError) in
            let last = try LogCalls.position(rows, of: stream)
            let key = batch.records[batch.records.count - 1].key
            link.hasSeen(SeenMark(epoch: last.epoch, offset: last.offset, key: key), of: stream)
            link.appended(to: stream, LogCalls.bell(rows))
            let now = ContinuousClock.now
            let bytes = batch.records.reduce(0) { $0 + $1.bytes.readableBytes }
            return Receipt(last: last, rest: link.pressure.rest(after: now - began, bytes: bytes, at: now))
        } completion: {
            completion($0)
        }
    }

    public func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        let page = try await self.call("read") { calls, app in
            calls.read(stream, after: offset, limitBytes: limitBytes, app: app)
        } interpret: { link, rows throws(ServerError) in
            let read = try LogCalls.page(rows)
            if let mark = read?.last { link.hasSeen(mark, of: stream) }
            return read?.page
        }
        if let page { return page }
        let extent = try await self.extent(of: stream)
        return Page(epoch: extent.epoch, records: [], oldest: extent.oldest, newest: extent.newest)
    }

    public func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        try await self.call("extent") { link, calls, app in
            calls.attach(stream, seen: link.seen[stream], app: app)
        } interpret: { _, rows throws(ServerError) in
            try LogCalls.extent(rows)
        }
    }

    private func call<Answer: Sendable>(
        _ operation: StaticString,
        make: @escaping @Sendable (LogCalls, Int32) -> Statement,
        interpret: @escaping @Sendable (PostgresLink, Rows) throws(ServerError) -> Answer
    ) async throws(DriverError) -> Answer {
        try await self.call(operation, make: { _, calls, app in make(calls, app) }, interpret: interpret)
    }

    private func call<Answer: Sendable>(
        _ operation: StaticString,
        make: @escaping @Sendable (PostgresLink, LogCalls, Int32) -> Statement,
        interpret: @escaping @Sendable (PostgresLink, Rows) throws(ServerError) -> Answer
    ) async throws(DriverError) -> Answer {
        let result = await withCheckedContinuation { continuation in
            self.call(operation, make: make, interpret: interpret) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Sends a statement and gives what its answer means to `completion`, once.
    private func call<Answer: Sendable>(
        _ operation: StaticString,
        borrowing: Bool = false,
        make: @escaping @Sendable (PostgresLink, LogCalls, Int32) -> Statement,
        interpret: @escaping @Sendable (PostgresLink, Rows) throws(ServerError) -> Answer,
        completion: @escaping @Sendable (Result<Answer, DriverError>) -> Void
    ) {
        guard let thread = self.thread.withLock({ $0 }) else {
            let notRunning = DriverError(
                .closed, during: operation, recovery: .retry(after: .milliseconds(100)),
                detail: "the driver isn't running")
            return completion(.failure(notRunning))
        }
        do throws(DriverError) {
            try thread.put(during: operation, borrowing: borrowing) { link in
                link.call(during: operation, { calls, app in make(link, calls, app) }) { answer in
                    completion(
                        answer.flatMap { rows in
                            do throws(ServerError) {
                                return .success(try interpret(link, rows))
                            } catch {
                                return .failure(error.driverError(during: operation))
                            }
                        })
                }
            }
        } catch {
            completion(.failure(error))
        }
    }
}
