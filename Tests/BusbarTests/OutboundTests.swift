import Busbar
import BusbarDriver
import BusbarFaults
import BusbarMemory
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Outbound, end to end", .timeLimit(.minutes(1)))
struct OutboundTests {
    private let topic = Topic("orders")

    @Test("O-27 what is published while the link is cut is delivered, in order, once it is back")
    func waitsForLink() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.cut()
            #expect(bus.status.phase == .away)
            try await withThrowingDiscardingTaskGroup { group in
                for index in 1...10 {
                    group.addTask { try await bus.publish("\(index)", to: self.topic) }
                    while bus.waitingPublishes < index { try await Task.turn() }
                }
                try await driver.restore()
            }
            #expect(try await subscription.collect(10).texts == texts(1...10))
            #expect(bus.status.isReady)
        }
    }

    @Test("O-29 the publisher of what the broker refuses is told, nobody hears it, and the next publish goes through")
    func refused() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        let refusal = DriverError(.rejected, during: "append", recovery: .giveUp, detail: "not this one")
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(appends: [.fail(refusal)])
            let error = await #expect(throws: BusError.self) { try await bus.publish("1", to: self.topic) }
            #expect(error?.code == .rejected)
            try await bus.publish("2", to: self.topic)
            #expect(try await subscription.collect(1).texts == ["2"])
        }
    }

    @Test("O-30 all nodes cut off at once resume by themselves, and each misses nothing")
    func allNodesResume() async throws {
        let broker = MemoryBroker()
        let drivers = (1...3).map { _ in FaultyDriver(wrapping: MemoryDriver(broker: broker)) }
        try await withBuses(drivers) { buses in
            var subscriptions: [Subscription] = []
            for bus in buses { subscriptions.append(try await bus.subscribe(to: [self.topic])) }
            for driver in drivers { driver.cut() }
            try await withThrowingDiscardingTaskGroup { group in
                for (index, bus) in buses.enumerated() {
                    group.addTask { try await bus.publish("\(index)", to: self.topic) }
                }
                for driver in drivers { try await driver.restore() }
            }
            for subscription in subscriptions {
                #expect(Set(try await subscription.collect(3).texts) == ["0", "1", "2"])
            }
        }
    }

    @Test(
        "O-31 closing sends what waits or fails it by the deadline; afterwards nothing is taken and nothing runs again")
    func closes() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(appends: [.hang])
            let stuck = Task { try await bus.publish("1", to: self.topic) }
            while driver.hangingCount == 0 { try await Task.turn() }
            let waiting = Task { try await bus.publish("2", to: self.topic) }
            while bus.waitingPublishes == 0 { try await Task.turn() }
            await bus.close(deadline: .milliseconds(100))
            await #expect(throws: BusError.self) { try await stuck.value }
            await #expect(throws: BusError.self) { try await waiting.value }
            let late = await #expect(throws: BusError.self) { try await bus.publish("3", to: self.topic) }
            #expect(late?.code == .closed)
            #expect(try await subscription.makeAsyncIterator().next() == nil)
            let again = await #expect(throws: BusError.self) { try await bus.run() }
            #expect(again?.code == .alreadyRun)
            #expect(bus.status.phase == .closed)
        }
    }

    @Test("O-31 a publish that appends within its own task ends too when the bus is closed meanwhile")
    func closesDuringAppend() async throws {
        let driver = LateDriver()
        try await withBus(driver) { bus in
            try await bus.publish("1", to: self.topic)
            driver.isLate.store(true, ordering: .releasing)
            let publish = Task { try await bus.publish("2", to: self.topic) }
            while !driver.isAppending.load(ordering: .acquiring) { try await Task.turn() }
            await bus.close(deadline: .zero)
            driver.isLate.store(false, ordering: .releasing)
            let error = await #expect(throws: BusError.self) { try await publish.value }
            #expect(error?.code == .outcomeUnknown)
        }
    }

    @Test("O-31 closing an idle bus ends its run")
    func closesIdle() async throws {
        try await withBus(MemoryDriver()) { bus in
            try await bus.publish("1", to: self.topic)
            await bus.close()
            #expect(bus.status.phase == .closed)
        }
    }

    @Test("O-33 an append that hangs on one stream holds up neither other streams nor the caller beyond its deadline")
    func hangs() async throws {
        var configuration = BusConfiguration()
        configuration.streams = 2
        configuration.publishDeadline = .seconds(2)
        let driver = FaultyDriver(wrapping: MemoryDriver())
        let topics = (1...20).map { Topic("topic \($0)") }
        let stuckTopic = try #require(topics.first { $0.streamIndex(of: 2) == 0 })
        let freeTopic = try #require(topics.first { $0.streamIndex(of: 2) == 1 })
        try await withBus(driver, configuration) { bus in
            let subscription = try await bus.subscribe(to: [freeTopic])
            driver.script(appends: [.hang])
            let stuck = Task { try await bus.publish("stuck", to: stuckTopic) }
            while driver.hangingCount == 0 { try await Task.turn() }
            for text in texts(1...20) { try await bus.publish(text, to: freeTopic) }
            #expect(try await subscription.collect(20).texts == texts(1...20))
            let error = await #expect(throws: BusError.self) { try await stuck.value }
            #expect(error?.code == .outcomeUnknown)
        }
    }

    @Test("O-34 two buses of one process share no queue: one stuck, the other goes on")
    func twoBuses() async throws {
        let stuck = FaultyDriver(wrapping: MemoryDriver())
        try await withBuses([stuck, MemoryDriver()]) { buses in
            let subscription = try await buses[1].subscribe(to: [self.topic])
            _ = try await buses[0].subscribe(to: [self.topic])
            stuck.cut()
            await withDiscardingTaskGroup { group in
                group.addTask { try? await buses[0].publish("lost", to: self.topic) }
                for text in texts(1...10) { try? await buses[1].publish(text, to: self.topic) }
                group.cancelAll()
            }
            #expect(try await subscription.collect(10).texts == texts(1...10))
            #expect(buses[0].counts[0].published == 0)
        }
    }

    @Test("a cancelled publish returns at once and is withdrawn")
    func cancelled() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver) { bus in
            _ = try await bus.subscribe(to: [self.topic])
            driver.cut()
            let publishing = Task { try await bus.publish("1", to: self.topic) }
            while bus.waitingPublishes == 0 { try await Task.turn() }
            publishing.cancel()
            let error = await #expect(throws: BusError.self) { try await publishing.value }
            #expect(error?.code == .cancelled)
            #expect(bus.counts[0].waitingBytes == 0)
        }
    }

    @Test(
        "many publishers at once: every message is delivered once, each publisher's own in its order",
        arguments: Backplane.allCases)
    func manyPublishers(backplane: Backplane) async throws {
        try await withBus(backplane.driver(), .watchful) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            async let received = subscription.collect(200)
            try await withThrowingDiscardingTaskGroup { group in
                for publisher in 1...8 {
                    group.addTask {
                        for index in 1...25 { try await bus.publish("\(publisher) \(index)", to: self.topic) }
                    }
                }
            }
            let texts = try await received.texts
            #expect(Set(texts).count == 200)
            for publisher in 1...8 {
                #expect(texts.filter { $0.hasPrefix("\(publisher) ") } == (1...25).map { "\(publisher) \($0)" })
            }
        }
    }

    @Test("a value out of range is named with what would be right, by running and by publishing")
    func invalidConfiguration() async throws {
        var configuration = BusConfiguration()
        configuration.streams = 0
        let error = #expect(throws: BusError.self) { try configuration.validate() }
        #expect(error?.detail == "streams is 0; it must be 1 to 256")
        configuration.streams = 1
        configuration.app = "a b"
        #expect(throws: BusError.self) { try configuration.validate() }
        configuration.app = "ok"
        configuration.whileAway = .buffer(bytes: 0, count: 1)
        #expect(throws: BusError.self) { try configuration.validate() }
    }

    @Test("a driver that gives each outcome twice decides on one record each time, and never has two under way")
    func answersTwice() async throws {
        let driver = TwiceDriver()
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [Topic("a")])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for number in 0..<50 { try await bus.publish("\(writer) \(number)", to: Topic("a")) }
                    }
                }
                try await group.waitForAll()
            }
            let texts = try await subscription.collect(400).texts
            for writer in 0..<8 {
                let own = texts.filter { $0.hasPrefix("\(writer) ") }
                #expect(own == (0..<50).map { "\(writer) \($0)" })
            }
        }
        #expect(driver.most.load(ordering: .relaxed) == 1)
    }

    @Test("a driver that gives each outcome twice is believed the first time, also by a task that waits for it")
    func answersTwiceToATask() async throws {
        let driver = TwiceDriver()
        try await withBus(driver) { _ in
            for sequence in 1...20 as ClosedRange<UInt64> {
                let record = Record(
                    key: RecordKey(node: 7, incarnation: 1, sequence: sequence), bytes: ByteBuffer(string: "a"))
                let receipt = try await driver.append(Batch(records: [record], highWater: nil), to: StreamID(0))
                #expect(receipt.last.offset == Offset(sequence))
            }
        }
    }
}

extension OutboundTests {
    @Test("O-27 whoever subscribes before the broker was ever reached is told why it was not, in the driver's words")
    func neverReached() async throws {
        var configuration = BusConfiguration()
        configuration.publishDeadline = .milliseconds(200)
        try await withBus(AwayDriver(), configuration) { bus in
            while bus.status.detail == nil { try await Task.turn() }
            let error = await #expect(throws: BusError.self) { _ = try await bus.subscribe(to: [Topic("a")]) }
            #expect(error?.code == .brokerAway)
            #expect(error?.description.contains("injected fault") == true)
        }
    }
}

extension Bus {
    var waitingPublishes: Int { self.streams.reduce(0) { $0 + $1.waitingCount } }
}

/// Its broker is away all the time.
private struct AwayDriver: MemoryBacked {
    let inner = MemoryDriver()

    func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        inbox.receive(.interrupted(.injected(during: "run")))
        // Nothing comes; a stream ends when the task that waits for it is cancelled.
        let (nothing, source) = AsyncStream.makeStream(of: Never.self)
        for await _ in nothing {}
        source.finish()
    }

    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        throw .injected(during: "append")
    }
}

/// A log in memory of which an append returns late, though it claims to append at once.
private final class LateDriver: MemoryBacked {
    let isLate = Atomic(false)
    let isAppending = Atomic(false)
    let inner = MemoryDriver()

    var guarantees: Guarantees { self.inner.guarantees }

    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        let receipt = try await self.inner.append(batch, to: stream)
        while self.isLate.load(ordering: .acquiring), !Task.isCancelled {
            self.isAppending.store(true, ordering: .releasing)
            await Task.yield()
        }
        return receipt
    }
}

/// A log in memory whose appends need no task, and which says twice what became of each.
private final class TwiceDriver: DirectDriver, MemoryBacked {
    /// How many appends were under way at once at most.
    let most = Atomic(0)
    private let underWay = Atomic(0)
    let inner = MemoryDriver()

    func append(
        _ batch: Batch, to stream: StreamID,
        completion: @escaping @Sendable (Result<Receipt, DriverError>) -> Void
    ) {
        self.most.max(self.underWay.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
        Task {
            let result: Result<Receipt, DriverError>
            do throws(DriverError) {
                result = .success(try await self.inner.append(batch, to: stream))
            } catch {
                result = .failure(error)
            }
            self.underWay.subtract(1, ordering: .relaxed)
            completion(result)
            completion(result)
        }
    }
}
