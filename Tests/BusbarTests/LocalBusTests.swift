import Busbar
import BusbarDriver
import BusbarMemory
import NIOCore
import Synchronization
import Testing

@Suite("Local bus", .timeLimit(.minutes(1)))
struct LocalBusTests {
    private let topic = Topic("orders")

    @Test("B-01 a subscriber without a position receives only later messages")
    func joinsAtNow() async throws {
        try await withBus(MemoryDriver()) { bus in
            for text in texts(1...3) { try await bus.publish(text, to: self.topic) }
            let subscription = try await bus.subscribe(to: [self.topic])
            for text in texts(4...6) { try await bus.publish(text, to: self.topic) }
            #expect(try await subscription.collect(3).texts == texts(4...6))
        }
    }

    @Test("a tap hears every topic and is woken when its queue turns from empty to filled")
    func tap() async throws {
        try await withBus(MemoryDriver()) { bus in
            let wakes = Mutex(0)
            let tap = bus.tap(limits: SubscriberLimits()) { wakes.withLock { $0 += 1 } }
            for index in 1...3 { try await bus.publish("\(index)", to: Topic("topic \(index)")) }
            #expect(wakes.withLock { $0 } == 1)
            #expect(tap.take(limitBytes: 1_000)?.messages.map(\.text) == texts(1...3))
            #expect(tap.take(limitBytes: 1_000) == nil)
            try await bus.publish("4", to: self.topic)
            #expect(wakes.withLock { $0 } == 2)
        }
    }
}
