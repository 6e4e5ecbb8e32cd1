import Busbar
import BusbarDriver
import BusbarFaults
import BusbarMemory
import NIOCore
import Testing

@Suite("Positions, end to end", .timeLimit(.minutes(1)))
struct PositionTests {
    private let topic = Topic("orders")
    private let stream = StreamID(0)

    @Test("P-18 a cursor at the newest brings only what comes later", arguments: Backplane.allCases)
    func upToDate(backplane: Backplane) async throws {
        try await withBus(backplane.driver(), .watchful) { bus in
            let first = try await bus.subscribe(to: [self.topic])
            try await bus.publish("1", to: self.topic)
            let cursor = bus.cursor(at: try await first.collect(1).frontier)
            let second = try await bus.subscribe(to: [self.topic], from: cursor)
            try await bus.publish("2", to: self.topic)
            let received = try await second.collect(1)
            #expect(received.texts == ["2"])
            #expect(received.gaps.isEmpty)
        }
    }

    @Test("P-19 a cursor behind the newest place of its epoch brings a gap and what comes later, and never spins")
    func future() async throws {
        try await withBus(MemoryDriver()) { bus in
            try await bus.publish("1", to: self.topic)
            let head = try #require(bus.heads().first).position
            let future = Position(
                stream: self.stream, epoch: head.epoch, offset: Offset(head.offset.rawValue + 1_000_000))
            let cursor = bus.cursor(at: Frontier(positions: [future]))
            let subscription = try await bus.subscribe(to: [self.topic], from: cursor)
            try await bus.publish("2", to: self.topic)
            let received = try await subscription.collect(1, gaps: 1)
            #expect(received.texts == ["2"])
            #expect(received.gaps.map(\.reason) == [.futureCursor])
        }
    }

    @Test(
        "P-20 when the epoch changes every subscriber is told at once and none falls silent",
        arguments: ["wrapper", "broker"])
    func epochChanges(by culprit: String) async throws {
        let broker = MemoryBroker()
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: broker))
        try await withBus(driver, .watchful) { bus in
            let subscriptions = [
                try await bus.subscribe(to: [self.topic]), try await bus.subscribe(to: [Topic("quiet")]),
            ]
            try await bus.publish("1", to: self.topic)
            #expect(try await subscriptions[0].collect(1).texts == ["1"])
            if culprit == "wrapper" { try await driver.beginEpoch(of: self.stream) } else { broker.wipe(self.stream) }
            let told = try await subscriptions[1].collect(0, gaps: 1)
            #expect(told.gaps.map(\.reason) == [.newEpoch])
            try await bus.publish("2", to: self.topic)
            let received = try await subscriptions[0].collect(1, gaps: 1)
            #expect(received.texts == ["2"])
            #expect(received.gaps.map(\.reason) == [.newEpoch])
        }
    }

    @Test("P-20 a log that goes back without saying so is noticed, and told", arguments: ["wrapper", "broker"])
    func rewinds(by culprit: String) async throws {
        let broker = MemoryBroker()
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: broker))
        try await withBus(driver, .watchful) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            for text in texts(1...5) { try await bus.publish(text, to: self.topic) }
            #expect(try await subscription.collect(5).texts == texts(1...5))
            if culprit == "wrapper" {
                try await driver.rewind(self.stream, to: Offset(2))
            } else {
                broker.rewind(self.stream, to: Offset(2))
            }
            try await bus.publish("6", to: self.topic)
            let received = try await subscription.collect(1, gaps: 1)
            #expect(received.texts == ["6"])
            // Why: the check may notice it before the publish does; the new epoch comes either way.
            #expect([[.newEpoch], [.rewound, .newEpoch]].contains(received.gaps.map(\.reason)))
        }
    }

    @Test("P-21 order holds within each stream, whatever the others do", arguments: Backplane.allCases)
    func severalStreams(backplane: Backplane) async throws {
        var configuration = BusConfiguration.watchful
        configuration.streams = 3
        let topics = (1...6).map { Topic("topic \($0)") }
        try await withBus(backplane.driver(), configuration) { bus in
            let subscription = try await bus.subscribe(to: topics)
            for round in 1...10 { for topic in topics { try await bus.publish("\(round) \(topic)", to: topic) } }
            let received = try await subscription.collect(60)
            for topic in topics {
                #expect(received.texts.filter { $0.hasSuffix(" \(topic)") } == (1...10).map { "\($0) \(topic)" })
            }
        }
    }

    @Test("P-21 nodes whose clocks disagree by ten seconds deliver in one order")
    func skewedClocks() async throws {
        struct Skewed: BusClock {
            let inner = MonotonicClock()
            let skew: Duration
            func now() -> Moment { self.inner.now() + self.skew }
            func sleep(for duration: Duration) async throws { try await self.inner.sleep(for: duration) }
        }
        let broker = MemoryBroker()
        try await withBus(MemoryDriver(broker: broker), clock: Skewed(skew: .seconds(10))) { early in
            try await withBus(MemoryDriver(broker: broker), clock: Skewed(skew: .seconds(-10))) { late in
                let subscriptions = [
                    try await early.subscribe(to: [self.topic]), try await late.subscribe(to: [self.topic]),
                ]
                for index in 1...40 {
                    try await (index.isMultiple(of: 2) ? early : late).publish("\(index)", to: self.topic)
                }
                for subscription in subscriptions { #expect(try await subscription.collect(40).texts == texts(1...40)) }
            }
        }
    }

    @Test("P-22 a cursor from another number of streams brings a gap and what comes later", arguments: [1, 3])
    func otherStreamCount(streams: Int) async throws {
        var configuration = BusConfiguration()
        configuration.farmKey = .generate()
        configuration.streams = 2
        let cursor = try await withBus(MemoryDriver(), configuration) {
            try await $0.subscribe(to: [self.topic]).cursor
        }
        configuration.streams = streams
        try await withBus(MemoryDriver(), configuration) { bus in
            let subscription = try await bus.subscribe(to: [self.topic], from: cursor)
            try await bus.publish("1", to: self.topic)
            let received = try await subscription.collect(1, gaps: 1)
            #expect(received.texts == ["1"])
            #expect(received.gaps.map(\.reason) == [.streamsChanged])
        }
    }

    @Test("P-23 a record that arrives twice, or was stored twice, is delivered once and counted")
    func repeats() async throws {
        var limits = MemoryBroker.Limits()
        limits.refusesRepeats = false
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: MemoryBroker(limits: limits)))
        try await withBus(driver, .watchful) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(deliveries: [.duplicate])
            try await bus.publish("1", to: self.topic)
            driver.script(appends: [.loseReply])
            try await bus.publish("2", to: self.topic)
            try await bus.publish("3", to: self.topic)
            #expect(try await subscription.collect(3).texts == texts(1...3))
            #expect(bus.counts[0].received.repeats == 2)
        }
    }

    @Test("P-23 resuming from between two copies of a record does not bring it again")
    func repeatsBehindCursor() async throws {
        var limits = MemoryBroker.Limits()
        limits.refusesRepeats = false
        var configuration = BusConfiguration.watchful
        configuration.windowCount = 0
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: MemoryBroker(limits: limits)))
        try await withBus(driver, configuration) { bus in
            driver.script(appends: [.loseReply])
            try await bus.publish("1", to: self.topic)
            try await bus.publish("2", to: self.topic)
            let epoch = try #require(bus.heads().first).position.epoch
            let between = Position(stream: self.stream, epoch: epoch, offset: Offset(1))
            let subscription = try await bus.subscribe(
                to: [self.topic], from: bus.cursor(at: Frontier(positions: [between]))
            )
            try await bus.publish("3", to: self.topic)
            #expect(try await subscription.collect(2).texts == ["2", "3"])
        }
    }

    @Test("P-23 a second copy is recognised when the log retains only that one")
    func repeatWithoutItsFirstCopy() async throws {
        var limits = MemoryBroker.Limits()
        limits.refusesRepeats = false
        limits.retainedCount = 3
        var configuration = BusConfiguration.watchful
        configuration.windowCount = 0
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: MemoryBroker(limits: limits)))
        try await withBus(driver, configuration) { bus in
            driver.script(appends: [.loseReply])
            try await bus.publish("1", to: self.topic)
            try await bus.publish("2", to: self.topic)
            let witness = try await bus.subscribe(to: [self.topic])
            try await bus.publish("3", to: self.topic)
            #expect(try await witness.collect(1).texts == ["3"])
            let epoch = try #require(bus.heads().first).position.epoch
            let between = Position(stream: self.stream, epoch: epoch, offset: Offset(1))
            let subscription = try await bus.subscribe(
                to: [self.topic], from: bus.cursor(at: Frontier(positions: [between]))
            )
            let received = try await subscription.collect(2)
            #expect(received.texts == ["2", "3"])
            #expect(received.gaps.isEmpty)
        }
    }

    @Test("P-24 a record that got lost on its way is read from the log before the next is delivered")
    func repairs() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(deliveries: [.pass, .drop, .drop, .pass])
            for text in texts(1...4) { try await bus.publish(text, to: self.topic) }
            let received = try await subscription.collect(4)
            #expect(received.texts == texts(1...4))
            #expect(received.gaps.isEmpty)
            #expect(bus.counts[0].received.repairs >= 1)
        }
    }

    @Test("P-24 a record that the log lacks too is reported")
    func missing() async throws {
        let broker = MemoryBroker()
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: broker))
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(deliveries: [.pass, .drop, .pass])
            try await bus.publish("1", to: self.topic)
            try await bus.publish("2", to: self.topic)
            broker.lose(self.stream, [Offset(2)])
            try await bus.publish("3", to: self.topic)
            let received = try await subscription.collect(2, gaps: 1)
            #expect(received.texts == ["1", "3"])
            #expect(received.gaps.map(\.reason) == [.missing])
        }
    }

    @Test("P-25 records that arrive in the wrong order are delivered in the right one")
    func reordered() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(deliveries: [.swap, .pass])
            for text in texts(1...2) { try await bus.publish(text, to: self.topic) }
            #expect(try await subscription.collect(2).texts == texts(1...2))
        }
    }

    @Test("P-26 a lost last record is found within the check interval, without another publish")
    func lostLast() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver, .watchful) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.script(deliveries: [.drop])
            try await bus.publish("1", to: self.topic)
            #expect(try await subscription.collect(1).texts == ["1"])
        }
    }

    @Test("a node that joins late resumes a cursor of another node from the log")
    func otherNode() async throws {
        let broker = MemoryBroker()
        var configuration = BusConfiguration()
        configuration.farmKey = .generate()
        configuration.pageBytes = 1_024
        try await withBus(MemoryDriver(broker: broker), configuration) { first in
            let cursor = try await first.subscribe(to: [self.topic]).cursor
            for text in texts(1...200) { try await first.publish(text, to: self.topic) }
            try await withBus(MemoryDriver(broker: broker), configuration) { second in
                let subscription = try await second.subscribe(to: [self.topic], from: cursor)
                try await first.publish("201", to: self.topic)
                let received = try await subscription.collect(201)
                #expect(received.texts == texts(1...201))
                #expect(received.gaps.isEmpty)
            }
        }
    }

    @Test("bytes that no node of ours wrote are counted, reported and passed over")
    func poison() async throws {
        let broker = MemoryBroker()
        try await withBus(MemoryDriver(broker: broker)) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            let key = RecordKey(node: 99, incarnation: 1, sequence: 1)
            try broker.inject(Record(key: key, bytes: ByteBuffer(string: "nonsense")), to: self.stream)
            try await bus.publish("1", to: self.topic)
            let received = try await subscription.collect(1, gaps: 1)
            #expect(received.texts == ["1"])
            #expect(received.gaps.map(\.reason) == [.poison])
            #expect(bus.counts[0].received.poison == 1)
        }
    }
}
