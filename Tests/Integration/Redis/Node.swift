import Busbar
import BusbarDriver
import BusbarRedis
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Remembers what a driver delivers, and lets a test wait for it.
final class Recorder: Inbox {
    struct Log: Sendable {
        var events: [DriverEvent] = []

        var liveExtents: [[StreamID: StreamExtent]] {
            self.events.compactMap { if case .live(let extents) = $0 { extents } else { nil } }
        }
        var interruptions: [DriverError] {
            self.events.compactMap { if case .interrupted(let error) = $0 { error } else { nil } }
        }
        var records: [(stream: StreamID, epoch: Epoch, record: StoredRecord)] {
            self.events.flatMap { event -> [(stream: StreamID, epoch: Epoch, record: StoredRecord)] in
                guard case .records(let stream, let epoch, let records) = event else { return [] }
                return records.map { (stream, epoch, $0) }
            }
        }
        var texts: [String] { self.records.map { String(buffer: $0.record.bytes) } }
    }

    private struct State {
        var log = Log()
        var listeners: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    var log: Log { self.state.withLock(\.log) }

    func receive(_ event: DriverEvent) {
        let listeners = self.state.withLock { state in
            state.log.events.append(event)
            return state.listeners
        }
        for listener in listeners { listener.yield() }
    }

    /// Returns once `condition` holds; the test's time limit is the deadline.
    @discardableResult
    func wait(until condition: (Log) -> Bool) async throws -> Log {
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
func withNode<Result: Sendable>(
    _ configuration: RedisConfiguration,
    following streams: [StreamID] = [StreamID(0)],
    inbox: Recorder = Recorder(),
    untilLive: Bool = true,
    body: (RedisDriver, Recorder) async throws -> Result
) async throws -> Result {
    let driver = RedisDriver(configuration)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await driver.run(following: streams, delivering: inbox) }
        if untilLive { try await inbox.wait { !$0.liveExtents.isEmpty } }
        let result = try await body(driver, inbox)
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// Writes records as one node would.
struct Writer {
    let node: UInt64
    private(set) var sequence: UInt64 = 0

    init(node: UInt64 = .random(in: 1...(.max))) {
        self.node = node
    }

    mutating func batch(_ texts: String..., after highWater: Position? = nil) -> Batch {
        self.batch(texts.map { ByteBuffer(string: $0) }, after: highWater)
    }

    mutating func batch(_ payloads: [ByteBuffer], after highWater: Position? = nil) -> Batch {
        let records = payloads.map { bytes in
            self.sequence += 1
            return Record(key: RecordKey(node: self.node, incarnation: 1, sequence: self.sequence), bytes: bytes)
        }
        return Batch(records: records, highWater: highWater)
    }
}

extension RedisServer {
    /// A configuration that notices faults quickly, so that tests need not wait for it.
    func configuration(
        app: String = "test", password: String = "", user: String? = nil, database: Int = 0
    ) throws
        -> RedisConfiguration
    {
        var configuration = try RedisConfiguration(
            host: "127.0.0.1", port: self.port, password: password, user: user, database: database, app: app
        )
        configuration.probeInterval = .milliseconds(100)
        configuration.probeLimit = .milliseconds(400)
        configuration.requestLimit = .seconds(2)
        configuration.backOffCeiling = .milliseconds(300)
        return configuration
    }
}

let stream = StreamID(0)

/// Runs buses for the time of `body`.
func withBuses<Result: Sendable>(
    on server: RedisServer, count: Int, body: ([Bus]) async throws -> Result
) async throws -> Result {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var configuration = BusConfiguration()
    configuration.checkInterval = .milliseconds(500)
    let buses = try (0..<count).map { _ in
        Bus(driver: RedisDriver(try server.configuration()), configuration: configuration, logger: logger)
    }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        for bus in buses { group.addTask { try await bus.run() } }
        let result = try await body(buses)
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}
