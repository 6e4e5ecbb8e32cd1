import Busbar
import BusbarDriver
import BusbarFaults
import BusbarMemory
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Local bus", .timeLimit(.minutes(1)))
struct LocalBusTests {
    private let topic = Topic("orders")
    private let other = Topic("invoices")

    @Test("B-01 a subscriber without a position receives only later messages", arguments: Backplane.allCases)
    func joinsAtNow(backplane: Backplane) async throws {
        try await withBus(backplane.driver(), .watchful) { bus in
            for text in texts(1...20) { try await bus.publish(text, to: self.topic) }
            let subscription = try await bus.subscribe(to: [self.topic])
            for text in texts(21...40) { try await bus.publish(text, to: self.topic) }
            #expect(try await subscription.collect(20).texts == texts(21...40))
        }
    }

    @Test(
        "B-02 a message to a topic nobody listens to is published and leaves no topic behind",
        arguments: Backplane.allCases)
    func noListener(backplane: Backplane) async throws {
        try await withBus(backplane.driver(), .watchful) { bus in
            for index in 1...10 { try await bus.publish("x", to: Topic("nobody \(index)")) }
            #expect(bus.counts[0].published == 10)
            #expect(bus.counts[0].topics == 0)
        }
    }

    @Test("B-03 a subscriber that stops iterating is not served again and its topics are released")
    func stops() async throws {
        try await withBus(MemoryDriver()) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            try await bus.publish("1", to: self.topic)
            for try await delivery in subscription {
                #expect(delivery.messages.map(\.text) == ["1"])
                subscription.cancel()
            }
            try await bus.publish("2", to: self.topic)
            #expect(subscription.queuedBytes == 0)
            #expect(bus.counts[0].topics == 0)
            #expect(bus.counts[0].followers == 0)
        }
    }

    @Test("B-04 a subscriber whose handler throws is gone; its neighbours miss nothing and nothing leaks")
    func handlerThrows() async throws {
        struct Mistake: Error {}
        func consume(_ bus: Bus) async throws {
            for try await _ in try await bus.subscribe(to: [self.topic]) { throw Mistake() }
        }
        try await withBus(MemoryDriver()) { bus in
            let healthy = try await bus.subscribe(to: [self.topic])
            let faulty = Task { try await consume(bus) }
            while bus.counts[0].followers < 2 { try await Task.turn() }
            try await bus.publish("1", to: self.topic)
            await #expect(throws: Mistake.self) { try await faulty.value }
            try await bus.publish("2", to: self.topic)
            #expect(try await healthy.collect(2).texts == texts(1...2))
            #expect(bus.counts[0].followers == 1)
        }
    }

    @Test("B-05 a position in one topic resumes with exactly the later messages", arguments: Backplane.allCases)
    func resumes(backplane: Backplane) async throws {
        try await withBus(backplane.driver(), .watchful) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            for text in texts(1...10) { try await bus.publish(text, to: self.topic) }
            let first = try await subscription.collect(10)
            subscription.cancel()
            for text in texts(11...20) { try await bus.publish(text, to: self.topic) }
            let resumed = try await bus.subscribe(to: [self.topic], from: bus.cursor(at: first.frontier))
            for text in texts(21...30) { try await bus.publish(text, to: self.topic) }
            let second = try await resumed.collect(20)
            #expect(second.texts == texts(11...30))
            #expect(second.gaps.isEmpty)
        }
    }

    @Test("B-05 positions in several topics of several streams resume each from its own", arguments: Backplane.allCases)
    func resumesSeveral(backplane: Backplane) async throws {
        var configuration = BusConfiguration.watchful
        configuration.streams = 4
        let topics = (1...8).map { Topic("topic \($0)") }
        try await withBus(backplane.driver(), configuration) { bus in
            let subscription = try await bus.subscribe(to: topics)
            for topic in topics { try await bus.publish("1 \(topic)", to: topic) }
            let first = try await subscription.collect(8)
            subscription.cancel()
            for round in 2...4 { for topic in topics { try await bus.publish("\(round) \(topic)", to: topic) } }
            let resumed = try await bus.subscribe(to: topics, from: bus.cursor(at: first.frontier))
            let second = try await resumed.collect(24)
            for topic in topics {
                let mine = second.texts.filter { $0.hasSuffix(" \(topic)") }
                #expect(mine == (2...4).map { "\($0) \(topic)" })
            }
            #expect(second.gaps.isEmpty)
        }
    }

    @Test("B-06 a position from before a restart brings a gap notice and only new messages")
    func restarted() async throws {
        var configuration = BusConfiguration()
        configuration.farmKey = .generate()
        let cursor = try await withBus(MemoryDriver(), configuration) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            try await bus.publish("before", to: self.topic)
            return bus.cursor(at: try await subscription.collect(1).frontier)
        }
        try await withBus(MemoryDriver(), configuration) { bus in
            try await bus.publish("missed", to: self.topic)
            let subscription = try await bus.subscribe(to: [self.topic], from: cursor)
            try await bus.publish("after", to: self.topic)
            let received = try await subscription.collect(1, gaps: 1)
            #expect(received.texts == ["after"])
            #expect(received.gaps.map(\.reason) == [.newEpoch])
        }
    }

    @Test(
        "B-07 a position in a foreign format brings a gap notice and only new messages, never an error",
        arguments: ["", "d-1A2B3C4D-,0", "s-0,1F", "💥", "oversized", "AQEB"]
    )
    func foreign(text: String) async throws {
        try await withBus(MemoryDriver()) { bus in
            try await bus.publish("missed", to: self.topic)
            let text = text == "oversized" ? String(repeating: "A", count: 100_000) : text
            let subscription = try await bus.subscribe(to: [self.topic], from: Cursor(text: text))
            try await bus.publish("after", to: self.topic)
            let received = try await subscription.collect(1, gaps: 1)
            #expect(received.texts == ["after"])
            #expect(received.gaps.map(\.reason) == [.foreignCursor])
        }
    }

    @Test("B-08 a topic added twice is heard once, from the first add on, until it is removed")
    func addsAndRemoves() async throws {
        try await withBus(MemoryDriver()) { bus in
            let subscription = try await bus.subscribe(to: [self.other])
            try await bus.publish("early", to: self.topic)
            try await subscription.add([self.topic])
            try await bus.publish("1", to: self.topic)
            try await subscription.add([self.topic])
            try await bus.publish("2", to: self.topic)
            #expect(try await subscription.collect(2).texts == texts(1...2))
            subscription.remove([self.topic])
            try await bus.publish("late", to: self.topic)
            try await bus.publish("3", to: self.other)
            #expect(try await subscription.collect(1).texts == ["3"])
        }
    }

    @Test("B-09 ending a subscription twice, or while it is served, is harmless and final", arguments: 1...20)
    func endsTwice(round: Int) async throws {
        try await withBus(MemoryDriver()) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            async let publishing: Void = {
                for index in 1...50 { try await bus.publish("\(index)", to: self.topic) }
            }()
            async let ending: Void = {
                for _ in 0..<round { await Task.yield() }
                subscription.cancel()
                subscription.cancel()
            }()
            for try await _ in subscription {}
            await ending
            try await publishing
            #expect(try await subscription.makeAsyncIterator().next() == nil)
            #expect(bus.counts[0].followers == 0)
        }
    }

    @Test("B-10 a topic nobody listens to any more is released, its messages stay as long as the window does")
    func idleTopic() async throws {
        var configuration = BusConfiguration()
        configuration.windowCount = 4
        try await withBus(MemoryDriver(), configuration) { bus in
            let subscription = try await bus.subscribe(to: [self.topic])
            try await bus.publish("1", to: self.topic)
            let cursor = subscription.cursor
            try await bus.publish("2", to: self.topic)
            subscription.cancel()
            #expect(bus.counts[0].topics == 0)
            let revived = try await bus.subscribe(to: [self.topic], from: cursor)
            _ = revived
            for text in texts(3...20) { try await bus.publish(text, to: self.other) }
            let window = bus.streams[0].withCore { $0.window }
            #expect(window.count == 4)
            #expect((0..<window.entryCount).allSatisfy { window[$0].messages.allSatisfy { $0.topic == self.other } })
        }
    }

    @Test("B-11 a subscription that races with the end of its topic's last listener sits on a live topic")
    func racesWithRemoval() async throws {
        try await withBus(MemoryDriver()) { bus in
            for round in 1...2_000 {
                let leaving = try await bus.subscribe(to: [self.topic])
                async let gone: Void = leaving.cancel()
                let joining = try await bus.subscribe(to: [self.topic])
                await gone
                try await bus.publish("\(round)", to: self.topic)
                #expect(try await joining.collect(1).texts == ["\(round)"])
            }
            #expect(bus.counts[0].followers == 0)
        }
    }

    @Test("B-12 what is kept of topics nobody listens to is bounded, and the oldest goes first")
    func idleTopicsAreBounded() async throws {
        var configuration = BusConfiguration()
        configuration.windowBytes = 10_000
        try await withBus(MemoryDriver(), configuration) { bus in
            for index in 1...1_000 { try await bus.publish("\(index)", to: Topic("topic \(index)")) }
            let window = bus.streams[0].withCore { $0.window }
            #expect(bus.counts[0].topics == 0)
            #expect(window.bytes <= 10_000)
            let kept = (0..<window.entryCount).flatMap { window[$0].messages.map(\.text) }
            #expect(kept == texts((1_001 - kept.count)...1_000))
        }
    }

    @Test("B-13 reading from before what is retained starts at the oldest and says that it was truncated")
    func truncated() async throws {
        var limits = MemoryBroker.Limits()
        limits.retainedCount = 10
        var configuration = BusConfiguration()
        configuration.windowCount = 5
        let driver = MemoryDriver(broker: MemoryBroker(limits: limits))
        try await withBus(driver, configuration) { bus in
            let cursor = try await bus.subscribe(to: [self.topic]).cursor
            for text in texts(1...50) { try await bus.publish(text, to: self.topic) }
            let resumed = try await bus.subscribe(to: [self.topic], from: cursor)
            let received = try await resumed.collect(10, gaps: 1)
            #expect(received.texts == texts(41...50))
            #expect(received.gaps.map(\.reason) == [.truncated])
            #expect(received.gaps.first?.upTo.offset == Offset(40))
        }
    }

    @Test(
        "B-15 alternating between two topics, one subscriber sees the order of publishing",
        arguments: Backplane.allCases)
    func orderAcrossTopics(backplane: Backplane) async throws {
        try await withBus(backplane.driver(), .watchful) { bus in
            let subscription = try await bus.subscribe(to: [self.topic, self.other])
            for index in 1...60 {
                try await bus.publish("\(index)", to: index.isMultiple(of: 2) ? self.topic : self.other)
            }
            #expect(try await subscription.collect(60).texts == texts(1...60))
        }
    }

    @Test("B-16 a subscriber that joins while a message is on its way is woken for it without another publish")
    func joinsDuringAppend() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        try await withBus(driver, .watchful) { bus in
            _ = try await bus.subscribe(to: [self.topic])
            driver.script(appends: [.hang])
            async let publishing: Void = bus.publish("1", to: self.topic)
            while driver.hangingCount == 0 { try await Task.turn() }
            let subscription = try await bus.subscribe(to: [self.topic])
            driver.release()
            #expect(try await subscription.collect(1).texts == ["1"])
            try await publishing
        }
    }

    @Test("a tap hears every topic and is woken when its queue turns from empty to filled")
    func tap() async throws {
        try await withBus(MemoryDriver()) { bus in
            let wakes = Mutex(0)
            let tap = bus.tap(limits: SubscriberLimits()) { wakes.withLock { $0 += 1 } }
            for index in 1...3 { try await bus.publish("\(index)", to: Topic("topic \(index)")) }
            try await bus.settle(at: 3)
            while wakes.withLock({ $0 }) == 0 { try await Task.turn() }
            #expect(wakes.withLock { $0 } == 1)
            #expect(tap.take(limitBytes: 1_000)?.messages.map(\.text) == texts(1...3))
            #expect(tap.take(limitBytes: 1_000) == nil)
            try await bus.publish("4", to: self.topic)
            while wakes.withLock({ $0 }) == 1 { try await Task.turn() }
            #expect(wakes.withLock { $0 } == 2)
        }
    }

    @Test("before the broker was reached for the first time, what is delivered locally reaches the taps of this node")
    func localBeforeFirstLink() async throws {
        let driver = FaultyDriver(wrapping: MemoryDriver())
        driver.cut()
        var configuration = BusConfiguration()
        configuration.whileStarting = .deliverLocally
        try await withBus(driver, configuration) { bus in
            let tap = bus.tap(limits: SubscriberLimits()) {}
            for index in 1...3 { try await bus.publish("\(index)", to: self.topic) }
            #expect(tap.take(limitBytes: 1_000)?.messages.map(\.text) == texts(1...3))
            try await bus.publish("4", to: self.topic)
            while bus.status.phase != .live {
                try await driver.restore()
                try await Task.turn()
            }
            try await bus.publish("5", to: self.topic)
            try await bus.settle(at: 1)
            let later = [tap.take(limitBytes: 1_000), tap.take(limitBytes: 1_000)].compactMap(\.self)
            #expect(later.flatMap { $0.messages.map(\.text) } == texts(4...5))
            #expect(later.flatMap(\.gaps).isEmpty)
        }
    }

    @Test("a subscriber that cannot keep up loses its oldest messages, is told, and costs nobody else")
    func slowSubscriber() async throws {
        var limits = SubscriberLimits()
        limits.queuedBytes = 1_000
        try await withBus(MemoryDriver()) { bus in
            let slow = try await bus.subscribe(to: [self.topic], limits: limits)
            let healthy = try await bus.subscribe(to: [self.topic])
            for text in texts(1...100) { try await bus.publish(text, to: self.topic) }
            #expect(slow.queuedBytes <= 1_000)
            #expect(try await healthy.collect(100).texts == texts(1...100))
            let received = try await slow.collect(1, gaps: 1)
            #expect(received.gaps.map(\.reason) == [.slowSubscriber])
            #expect(received.texts.last == "100")
            #expect(received.gaps.first?.upTo.offset == Offset(UInt64(100 - received.texts.count)))
        }
    }

    @Test("a subscriber whose policy is to disconnect is cut off with an error when its queue is full")
    func disconnects() async throws {
        var limits = SubscriberLimits()
        limits.queuedBytes = 1_000
        limits.overflow = .disconnect
        try await withBus(MemoryDriver()) { bus in
            let slow = try await bus.subscribe(to: [self.topic], limits: limits)
            for text in texts(1...100) { try await bus.publish(text, to: self.topic) }
            let error = await #expect(throws: BusError.self) { _ = try await slow.collect(1) }
            #expect(error?.code == .subscriberTooSlow)
            #expect(bus.counts[0].followers == 0)
        }
    }

    @Test("publishing waits while a tap is more than half full, and goes on when it was emptied")
    func tapSlowsPublishing() async throws {
        var limits = SubscriberLimits()
        limits.queuedBytes = 1_000
        var configuration = BusConfiguration()
        configuration.slowDownLimit = .milliseconds(100)
        try await withBus(MemoryDriver(), configuration) { bus in
            let tap = bus.tap(limits: limits) {}
            var published = 0
            let error = await #expect(throws: BusError.self) {
                for text in texts(1...100) {
                    try await bus.publish(text, to: self.topic)
                    published += 1
                    // Why: while another thread still delivers, the tap doesn't hold yet what was published.
                    try await bus.settle(at: UInt64(published))
                }
            }
            #expect(error?.code == .slowedDown)
            #expect((4...10).contains(published))
            #expect(try await tap.take(published).count == published)
            try await bus.publish("more", to: self.topic)
        }
    }

    @Test("a replay brings what was published after a cursor up to a frontier, bounded, and says where it stopped")
    func replays() async throws {
        var configuration = BusConfiguration()
        configuration.windowCount = 10
        configuration.pageBytes = 1_024
        try await withBus(MemoryDriver(), configuration) { bus in
            let tap = bus.tap(limits: SubscriberLimits()) {}
            try await bus.publish("0", to: self.topic)
            #expect(try await tap.take(1).count == 1)
            var cursor = bus.cursor(at: tap.frontier)
            for index in 1...50 {
                try await bus.publish("\(index)", to: index.isMultiple(of: 2) ? self.topic : self.other)
            }
            #expect(try await tap.take(50).count == 50)
            let frontier = tap.frontier
            try await bus.publish("51", to: self.topic)
            var found: [String] = []
            while bus.cursor(at: frontier) != cursor {
                let delivery = try await bus.replay(from: cursor, upTo: frontier, limitBytes: 400) {
                    $0.topic == self.topic
                }
                found += delivery.messages.map(\.text)
                #expect(delivery.gaps.isEmpty)
                cursor = bus.cursor(at: delivery.frontier)
            }
            #expect(found == stride(from: 2, through: 50, by: 2).map(String.init))
        }
    }
}
