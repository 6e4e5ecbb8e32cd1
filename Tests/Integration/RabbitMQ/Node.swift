import BusbarDriver
import BusbarRabbitMQ
import NIOCore
import Synchronization
import TestSupport
import Testing

let stream = StreamID(0)

/// One driver that runs, and what it delivers.
struct Node {
    let driver: RabbitMQDriver
    let inbox: HearingInbox

    /// Asks the store until it answers as wanted; the test's time limit is the deadline.
    func until(_ isMet: (StreamExtent) -> Bool) async throws {
        while true {
            let extent = try await stubbornly { try await self.driver.extent(of: stream) }
            if isMet(extent) { return }
            try await Task.turn()
        }
    }
}

final class HearingInbox: Inbox {
    struct Log: Sendable {
        var lives = 0
        var texts: [String] = []
        var interruptions: [DriverError] = []
    }

    private struct State {
        var log = Log()
        var listeners: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    var texts: [String] { self.state.withLock(\.log.texts) }
    var liveCount: Int { self.state.withLock(\.log.lives) }
    var lastInterruption: DriverError? { self.state.withLock(\.log.interruptions.last) }

    func receive(_ event: DriverEvent) {
        let listeners = self.state.withLock { state in
            switch event {
            case .live: state.log.lives += 1
            case .records(_, _, let records): state.log.texts += records.map { String(buffer: $0.bytes) }
            case .interrupted(let error): state.log.interruptions.append(error)
            }
            return state.listeners
        }
        for listener in listeners { listener.yield() }
    }

    func hear(_ count: Int) async throws { try await self.wait { $0.texts.count >= count } }

    /// Returns once `isMet`; the test's time limit is the deadline.
    func wait(until isMet: (Log) -> Bool) async throws {
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.state.withLock { $0.listeners.append(continuation) }
        defer { continuation.finish() }
        continuation.yield()
        for await _ in changes where isMet(self.state.withLock(\.log)) { return }
        throw CancellationError()
    }
}

/// Runs a driver for the time of `body`.
func withNode(_ url: String, _ body: (Node) async throws -> Void) async throws {
    let node = Node(driver: RabbitMQDriver(try RabbitMQConfiguration(url: url)), inbox: HearingInbox())
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await node.driver.run(following: [stream], delivering: node.inbox) }
        try await node.inbox.wait { $0.lives > 0 }
        try await body(node)
        group.cancelAll()
        try await group.waitForAll()
    }
}

func batch(_ sequence: UInt64, _ texts: String...) -> Batch {
    let records = texts.enumerated().map { index, text in
        Record(
            key: RecordKey(node: 1, incarnation: 1, sequence: sequence * 10 + UInt64(index)),
            bytes: ByteBuffer(string: text))
    }
    return Batch(records: records, highWater: nil)
}

/// Asks again as long as the error says that it may help.
func stubbornly<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
    while true {
        do { return try await body() } catch let error as DriverError {
            guard case .retry = error.recovery else { throw error }
            try await Task.turn()
        }
    }
}

extension RabbitFaultTests {
    /// How a driver ends that is hopeless.
    static func ending(of url: String) async -> DriverError? {
        do {
            try await RabbitMQDriver(try RabbitMQConfiguration(url: url)).run(
                following: [stream], delivering: HearingInbox())
            return nil
        } catch {
            return error as? DriverError
        }
    }
}

extension BackplaneURL {
    var hostAndPort: Substring {
        let rest = self.text.split(separator: "@").last ?? ""
        return rest.prefix { $0 != "/" }
    }
}
