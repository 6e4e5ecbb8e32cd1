import Busbar
import BusbarDriver
import BusbarMemory
import Synchronization
import TestSupport
import Testing

@Suite("Rests that a broker asks for, end to end", .timeLimit(.minutes(1)))
struct RestTests {
    private let topic = Topic("orders")

    @Test("what is published in crowds during a rest leaves in one record when it is over, in order")
    func gathersDuringRest() async throws {
        let (driver, clock) = (RestingDriver(), HeldClock())
        try await withBus(driver, clock: clock) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            try await withThrowingDiscardingTaskGroup { group in
                try await self.beginRest(on: bus, driver, &group)
                for index in 6...9 { try await self.publish(index, on: bus, waiting: index - 5, &group) }
                #expect(driver.appends == 2, "nothing is appended during the rest")
                clock.open()
            }
            #expect(try await subscription.collect(9).texts == texts(1...9))
            #expect(driver.appends == 3)
        }
    }

    @Test("a whole pack doesn't wait for the end of the rest")
    func fullPackGoes() async throws {
        let (driver, clock) = (RestingDriver(), HeldClock())
        var configuration = BusConfiguration()
        configuration.packCount = 4
        try await withBus(driver, configuration, clock: clock) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            try await withThrowingDiscardingTaskGroup { group in
                try await self.beginRest(on: bus, driver, &group)
                for index in 6...8 { try await self.publish(index, on: bus, waiting: index - 5, &group) }
                try await bus.publish("9", to: self.topic)
            }
            #expect(try await subscription.collect(9).texts == texts(1...9))
            #expect(driver.appends == 3)
        }
    }

    @Test("closing doesn't wait for the end of the rest either: what waits is sent")
    func closes() async throws {
        let driver = RestingDriver()
        try await withBus(driver, clock: HeldClock()) { bus in
            try await withThrowingDiscardingTaskGroup { group in
                try await self.beginRest(on: bus, driver, &group)
                try await self.publish(6, on: bus, waiting: 1, &group)
                await bus.close()
            }
            #expect(driver.appends == 3)
        }
    }

    /// One message that has to wait for the broker, and four that gather behind it, all accepted: the broker rests.
    private func beginRest(
        on bus: Bus, _ driver: RestingDriver, _ group: inout ThrowingDiscardingTaskGroup<any Error>
    ) async throws {
        // Why whatever happens: the bus closes only when its appends have returned.
        defer { driver.gate.open() }
        group.addTask { try await bus.publish("1", to: self.topic) }
        while driver.appends == 0 { try await Task.turn() }
        for index in 2...5 { try await self.publish(index, on: bus, waiting: index - 1, &group) }
        driver.gate.open()
        while bus.waitingPublishes > 0 || !bus.streams[0].isDrained { try await Task.turn() }
    }

    /// Begins a publish, and returns when so many wait.
    private func publish(
        _ index: Int, on bus: Bus, waiting count: Int, _ group: inout ThrowingDiscardingTaskGroup<any Error>
    ) async throws {
        group.addTask { try await bus.publish("\(index)", to: self.topic) }
        while bus.waitingPublishes < count { try await Task.turn() }
    }
}

/// A log in memory that answers once its gate is open, and asks for a rest each time.
private final class RestingDriver: MemoryBacked {
    let gate = Gate()
    let inner = MemoryDriver()
    private let count = Mutex(0)

    var appends: Int { self.count.withLock { $0 } }

    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        self.count.withLock { $0 += 1 }
        await self.gate.pass()
        return Receipt(last: try await self.inner.append(batch, to: stream).last, rest: Receipt.longestRest)
    }
}

/// The machine's clock, but for rests: they last until ``open()``.
private struct HeldClock: BusClock {
    private let clock = MonotonicClock()
    private let rests: AsyncStream<Never>
    private let opening: AsyncStream<Never>.Continuation

    init() { (self.rests, self.opening) = AsyncStream.makeStream() }

    func open() { self.opening.finish() }

    func now() -> Moment { self.clock.now() }

    func sleep(for duration: Duration) async throws {
        guard duration > Bus.tickInterval else { return try await self.clock.sleep(for: duration) }
        for await _ in self.rests {}
        try Task.checkCancellation()
    }
}
