package import BusbarDriver
package import NIOCore
import Synchronization

/// Remembers what a driver delivers, and lets a test wait for it.
package final class Recorder: Inbox {
    package init() {}

    package struct Log: Sendable {
        package var events: [DriverEvent] = []

        package var liveExtents: [[StreamID: StreamExtent]] {
            self.events.compactMap { if case .live(let extents) = $0 { extents } else { nil } }
        }
        package var interruptions: [DriverError] {
            self.events.compactMap { if case .interrupted(let error) = $0 { error } else { nil } }
        }
        package var records: [(stream: StreamID, epoch: Epoch, record: StoredRecord)] {
            self.events.flatMap { event -> [(stream: StreamID, epoch: Epoch, record: StoredRecord)] in
                guard case .records(let stream, let epoch, let records) = event else { return [] }
                return records.map { (stream, epoch, $0) }
            }
        }
        package var texts: [String] { self.records.map { String(buffer: $0.record.bytes) } }
    }

    private struct State {
        var log = Log()
        var listeners: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    package var log: Log { self.state.withLock(\.log) }

    package func receive(_ event: DriverEvent) {
        let listeners = self.state.withLock { state in
            state.log.events.append(event)
            return state.listeners
        }
        for listener in listeners { listener.yield() }
    }

    /// Returns once `condition` holds; the test's time limit is the deadline.
    @discardableResult
    package func wait(until condition: (Log) -> Bool) async throws -> Log {
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.state.withLock { $0.listeners.append(continuation) }
        defer { continuation.finish() }
        continuation.yield()
        for await _ in changes {
            let log = self.log
            if condition(log) { return log }
        }
        throw CancellationError()
    }
}

/// One driver that runs while `body` does, following `streams`.
package func withNode<Driver: BackplaneDriver, Result: Sendable>(
    of driver: Driver,
    following streams: [StreamID] = [StreamID(0)],
    inbox: Recorder = Recorder(),
    untilLive: Bool = true,
    body: (Driver, Recorder) async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await driver.run(following: streams, delivering: inbox) }
        if untilLive { try await inbox.wait { !$0.liveExtents.isEmpty } }
        let result = try await body(driver, inbox)
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// The stream of tests that need one only.
package let stream = StreamID(0)

/// Writes records as one node would.
package struct Writer {
    package let node: UInt64
    private(set) var sequence: UInt64 = 0

    package init(node: UInt64 = .random(in: 1...(.max))) {
        self.node = node
    }

    package mutating func batch(_ texts: String..., after highWater: Position? = nil) -> Batch {
        self.batch(texts.map { ByteBuffer(string: $0) }, after: highWater)
    }

    package mutating func batch(_ payloads: [ByteBuffer], after highWater: Position? = nil) -> Batch {
        let records = payloads.map { bytes in
            self.sequence += 1
            return Record(key: RecordKey(node: self.node, incarnation: 1, sequence: self.sequence), bytes: bytes)
        }
        return Batch(records: records, highWater: highWater)
    }
}
