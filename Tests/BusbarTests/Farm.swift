import Busbar
import BusbarDriver
import BusbarMemory
import Logging
import NIOCore
import Synchronization
import TestSupport

/// Runs buses for the time of `body`: one per driver. Past the end nothing of them is running.
func withBuses<R>(
    _ drivers: [any BackplaneDriver], _ configuration: BusConfiguration = .init(),
    clock: any BusClock = MonotonicClock(),
    _ body: ([Bus]) async throws -> R
) async throws -> R {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let buses = drivers.map { Bus(driver: $0, configuration: configuration, logger: logger, clock: clock) }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        for bus in buses { group.addTask { try await bus.run() } }
        let result: Result<R, any Error>
        do { result = .success(try await body(buses)) } catch { result = .failure(error) }
        group.cancelAll()
        while let outcome = await group.nextResult() { _ = outcome }
        return try result.get()
    }
}

func withBus<R>(
    _ driver: any BackplaneDriver, _ configuration: BusConfiguration = .init(), clock: any BusClock = MonotonicClock(),
    _ body: (Bus) async throws -> R
) async throws -> R {
    try await withBuses([driver], configuration, clock: clock) { try await body($0[0]) }
}

extension Bus {
    func publish(_ text: String, to topic: Topic) async throws(BusError) {
        try await self.publish(ByteBuffer(string: text), to: topic)
    }

    /// Waits until the first stream has been delivered up to `offset` here: a publish may return before that.
    func settle(at offset: UInt64) async throws {
        while self.heads().first.map({ $0.position.offset < Offset(offset) }) ?? true { try await Task.turn() }
    }
}

extension Tap {
    /// What comes until it is `count` messages. A publish may return while another thread is still delivering.
    func take(_ count: Int) async throws -> [Message] {
        var taken: [Message] = []
        while taken.count < count {
            guard let delivery = self.take(limitBytes: .max) else {
                try await Task.turn()
                continue
            }
            taken += delivery.messages
        }
        return taken
    }
}

extension Message {
    var text: String { String(buffer: self.payload) }
}

/// What came until `count` messages, and at least `gaps` gaps, had come.
struct Received {
    var texts: [String] = []
    var gaps: [Gap] = []
    var frontier = Frontier(positions: [])
}

extension Subscription {
    /// Consumes until `count` messages and `gaps` gaps have come. The test's time limit guards against waiting in vain.
    func collect(_ count: Int, gaps: Int = 0) async throws -> Received {
        var received = Received()
        let iterator = self.makeAsyncIterator()
        while received.texts.count < count || received.gaps.count < gaps, let delivery = try await iterator.next() {
            received.texts.append(contentsOf: delivery.messages.map(\.text))
            received.gaps.append(contentsOf: delivery.gaps)
            received.frontier = delivery.frontier
        }
        return received
    }
}

func texts(_ range: ClosedRange<Int>) -> [String] { range.map(String.init) }
