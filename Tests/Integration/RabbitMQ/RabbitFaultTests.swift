import Busbar
import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRabbitMQ
import Foundation
import Logging
import NIOCore
import Synchronization
import Testing

private let stream = StreamID(0)

@Suite("faults of a real RabbitMQ", .serialized, .enabled(if: rabbitIsWanted), .timeLimit(.minutes(5)))
struct RabbitFaultTests {
    @Test("who isn't let in, finds no virtual host or other arguments is told what is wrong, without the password")
    func refused() async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            let (host, app) = (broker.url.hostAndPort, "app=refused")
            let cases = [
                ("amqp://guest:wrong-secret@\(host)/?\(app)", DriverError.Code.unauthorized, "ACCESS_REFUSED"),
                ("amqp://nobody:wrong-secret@\(host)/?\(app)", .unauthorized, "ACCESS_REFUSED"),
                ("amqp://guest:guest@\(host)/nowhere?\(app)", .rejected, "vhost nowhere not found"),
            ]
            for (url, code, words) in cases {
                let error = await Self.ending(of: url)
                #expect(error?.code == code && error?.recovery == .giveUp)
                #expect(error?.detail.contains(words) == true, "\(error?.detail ?? "it runs")")
                #expect(error?.description.contains("wrong-secret") == false)
            }
            try await broker.control("add_user reader reader-secret")
            try await broker.control("set_permissions reader '^$' '^$' '.*'")
            let error = await Self.ending(of: "amqp://reader:reader-secret@\(host)/?\(app)")
            #expect(error?.code == .unauthorized && error?.detail.contains("busbar.*") == true)

            try await withNode("\(broker.url.text)?\(app)") { node in
                let other = await Self.ending(of: "\(broker.url.text)?\(app)&retainedBytes=8000000")
                #expect(other?.code == .rejected)
                let words = ["received '8000000'", "current is '67108864'", "retainedBytes"]
                for word in words { #expect(other?.detail.contains(word) == true, "\(other?.detail ?? "it runs")") }
                _ = try await node.driver.append(batch(1, "x"), to: stream)
            }
        }
    }

    @Test("F-60 what others write into a queue is passed over; the newest record stays the newest")
    func foreignMessages() async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            try await withNode("\(broker.url.text)?app=foreign") { node in
                let first = try await node.driver.append(batch(1, "a", "b"), to: stream).last
                let publish = "rabbit_basic:publish(rabbit_misc:r(<<\"/\">>, exchange, <<>>), <<\"busbar.foreign.0\">>, [], <<\"junk\">>)"
                for _ in 0..<3 { try await broker.control("eval '\(publish).'") }
                try await node.until { extent in extent.newest == first.offset }
                let second = try await node.driver.append(batch(2, "c"), to: stream).last
                #expect(second.epoch == first.epoch && second.offset > first.offset)
                let page = try await node.driver.read(stream, after: .beginning, limitBytes: 1_000)
                #expect(page.records.map { String(buffer: $0.bytes) } == ["a", "b", "c"])
                try await node.inbox.hear(3)
                #expect(node.inbox.texts == ["a", "b", "c"])
            }
        }
    }

    @Test("F-66 a memory alarm is a health state and back-pressure; when it is lifted, everything arrives")
    func alarm() async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            try await withNode("\(broker.url.text)?app=alarm&requestLimit=1000") { node in
                _ = try await node.driver.append(batch(1, "before"), to: stream)
                try await broker.control("set_vm_memory_high_watermark 0")
                var writes: UInt64 = 1
                var refusal: DriverError?
                // Why several: the broker says that it takes no more when the next message reaches it.
                while refusal?.code != .overloaded, writes < 50 {
                    writes += 1
                    do throws(DriverError) { _ = try await node.driver.append(batch(writes, "x"), to: stream) } catch {
                        refusal = error
                        #expect(error.recovery != .giveUp)
                    }
                }
                #expect(refusal?.code == .overloaded && refusal?.detail.contains("memory") == true)
                #expect(node.inbox.lastInterruption?.code == .overloaded)
                // Reading goes on meanwhile.
                #expect(try await node.driver.read(stream, after: .beginning, limitBytes: 1_000).records.count >= 1)
                let lives = node.inbox.liveCount
                try await broker.control("set_vm_memory_high_watermark absolute 1GB")
                try await node.inbox.wait { $0.lives > lives }
                _ = try await node.driver.append(batch(writes + 1, "after"), to: stream)
                try await node.inbox.wait { $0.texts.last == "after" }
            }
        }
    }

    @Test("rights that are withdrawn are reported; the link comes back when they do")
    func rightsWithdrawn() async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            try await broker.control("add_user node node-secret")
            try await broker.control("set_permissions node '^busbar' '^busbar' '^busbar'")
            let url = "amqp://node:node-secret@\(broker.url.hostAndPort)/?app=rights&backOffCeiling=300"
            try await withNode(url) { node in
                _ = try await node.driver.append(batch(1, "before"), to: stream)
                try await broker.control("clear_permissions node")
                // Channels remember rights; a new one doesn't.
                try await broker.control("close_all_connections withdrawn")
                try await node.inbox.wait { $0.interruptions.contains { $0.code == .unauthorized || $0.code == .rejected } }
                let lives = node.inbox.liveCount
                try await broker.control("set_permissions node '^busbar' '^busbar' '^busbar'")
                try await node.inbox.wait { $0.lives > lives }
                _ = try await node.driver.append(batch(2, "after"), to: stream)
                try await node.inbox.wait { $0.texts.last == "after" }
                #expect(node.inbox.texts == ["before", "after"])
            }
        }
    }

    @Test("P-20 a queue that is deleted again and again under everybody's hands has a new epoch each time, and one only")
    func deleted() async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            let url = "\(broker.url.text)?app=deleted&backOffCeiling=200"
            try await withNode(url) { one in
                try await withNode(url) { other in
                    var epochs: Set<Epoch> = []
                    for round in 1...3 as ClosedRange<UInt64> {
                        let place = try await stubbornly { try await one.driver.append(batch(round, "\(round)"), to: stream).last }
                        try await other.until { $0.epoch == place.epoch }
                        try await one.until { $0.epoch == place.epoch }
                        epochs.insert(place.epoch)
                        try await broker.control("delete_queue busbar.deleted.0")
                    }
                    #expect(epochs.count == 3)
                }
            }
        }
    }
}

// MARK: Nodes

private struct Node {
    let driver: RabbitMQDriver
    let inbox: HearingInbox

    /// Asks the store until it answers as wanted; the test's time limit is the deadline.
    func until(_ isMet: (StreamExtent) -> Bool) async throws {
        while true {
            let extent = try await stubbornly { try await self.driver.extent(of: stream) }
            if isMet(extent) { return }
            await Task.yield()
        }
    }
}

private final class HearingInbox: Inbox {
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

private func withNode(_ url: String, _ body: (Node) async throws -> Void) async throws {
    let node = Node(driver: RabbitMQDriver(try RabbitMQConfiguration(url: url)), inbox: HearingInbox())
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await node.driver.run(following: [stream], delivering: node.inbox) }
        try await node.inbox.wait { $0.lives > 0 }
        try await body(node)
        group.cancelAll()
        try await group.waitForAll()
    }
}

private func batch(_ sequence: UInt64, _ texts: String...) -> Batch {
    let records = texts.enumerated().map { index, text in
        Record(
            key: RecordKey(node: 1, incarnation: 1, sequence: sequence * 10 + UInt64(index)), bytes: ByteBuffer(string: text))
    }
    return Batch(records: records, highWater: nil)
}

/// Asks again as long as the error says that it may help.
private func stubbornly<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
    while true {
        do { return try await body() } catch let error as DriverError {
            guard case .retry = error.recovery else { throw error }
            try Task.checkCancellation()
            await Task.yield()
        }
    }
}

extension RabbitFaultTests {
    /// How a driver ends that is hopeless.
    fileprivate static func ending(of url: String) async -> DriverError? {
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
    fileprivate var hostAndPort: Substring {
        let rest = self.text.split(separator: "@").last ?? ""
        return rest.prefix { $0 != "/" }
    }
}
