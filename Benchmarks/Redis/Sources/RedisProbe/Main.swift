import Busbar
import BusbarDriver
import BusbarRedis
import CHiredisClient
import Logging
import NIOCore
import Synchronization

/// `RedisProbe ROLE PORT COUNT [RATE | PUBLISHERS | DIGEST]`, ROLE being `raw`, `driver` or `bus`, then `-subscribe` or
/// `-publish`; or `bus-flood`, or `script`.
///
/// A subscriber prints "ready", hears COUNT messages and reports; a publisher sends COUNT messages at RATE per second.
@main
enum Main {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 5, let port = Int(arguments[2]), let count = Int(arguments[3]) else {
            fail("usage: RedisProbe ROLE PORT COUNT RATE|PUBLISHERS|DIGEST")
        }
        let rate = Int(arguments[4]) ?? 500
        switch arguments[1] {
        case "raw-subscribe": self.rawSubscribe(port, count)
        case "raw-publish": self.rawPublish(port, count, rate)
        case "script": self.script(port, count, digest: arguments[4])
        case "driver-subscribe": try await self.driverSubscribe(port, count)
        case "driver-publish": try await self.driverPublish(port, count, rate)
        case "bus-subscribe": try await self.busSubscribe(port, count)
        case "bus-publish": try await self.busPublish(port, count, rate)
        case "bus-flood": try await self.busFlood(port, count, tasks: rate)
        default: fail("unknown role \(arguments[1])")
        }
    }

    // MARK: Bare hiredis

    private static func rawSubscribe(_ port: Int, _ count: Int) {
        let client = RawClient(port: port)
        client.append([Array("SUBSCRIBE".utf8), Array("probe".utf8)])
        client.reply { _ in say("ready") }
        var latencies = Latencies()
        while latencies.count < count {
            client.reply { reply in _ = reply.withMessage { latencies.heard(publishedAt($0)) } }
        }
        latencies.report("raw")
    }

    private static func rawPublish(_ port: Int, _ count: Int, _ rate: Int) {
        let client = RawClient(port: port)
        let start = now()
        for index in 0..<count {
            sleep(until: start + UInt64(index) * 1_000_000_000 / UInt64(rate))
            client.append([Array("PUBLISH".utf8), Array("probe".utf8), payload()])
            client.reply { _ in }
        }
    }

    /// The append script, one record per call, sixteen calls in flight: what the same log costs without packing.
    private static func script(_ port: Int, _ count: Int, digest: String) {
        let client = RawClient(port: port)
        let words =
            [
                "EVALSHA", digest, "2", "busbar:{script:0}:log", "busbar:{script:0}:head", "busbar:{script:0}:live:0",
                "0", "0",
            ]
            + ["w1.\(now())", "1", "100000", "4194304"]
        let head = words.map { Array($0.utf8) }
        let start = now()
        for index in 1...count {
            let sequence = withUnsafeBytes(of: UInt64(index).bigEndian) { Array($0) }
            client.append(head + [[UInt8](repeating: 1, count: 16) + sequence + payload()])
            guard index.isMultiple(of: 16) || index == count else { continue }
            for _ in 0..<((index - 1) % 16 + 1) {
                client.reply { reply in
                    if reply.type == REDIS_REPLY_ERROR { fail(String(cString: reply.str)) }
                }
            }
        }
        say("script\tpipeline 16: \(UInt64(count) * 1_000_000_000 / (now() - start)) msg/s")
    }

    // MARK: The driver alone

    private static func driver(_ port: Int) throws -> RedisDriver {
        RedisDriver(try RedisConfiguration(host: "127.0.0.1", port: port, app: "probe"))
    }

    private static func driverSubscribe(_ port: Int, _ count: Int) async throws {
        let inbox = MeasuringInbox(count: count)
        try await self.running(try self.driver(port), inbox) { await inbox.finished() }
    }

    private static func driverPublish(_ port: Int, _ count: Int, _ rate: Int) async throws {
        let driver = try self.driver(port)
        let inbox = MeasuringInbox(count: .max)
        try await self.running(driver, inbox) {
            await inbox.becameLive()
            let node = UInt64.random(in: 1...(.max))
            try await self.pace(count, rate) { index in
                let key = RecordKey(node: node, incarnation: 1, sequence: UInt64(index) + 1)
                let record = Record(key: key, bytes: ByteBuffer(bytes: payload()))
                _ = try await driver.append(Batch(records: [record], highWater: nil), to: StreamID(0))
            }
        }
    }

    private static func running(
        _ driver: RedisDriver, _ inbox: MeasuringInbox, body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await driver.run(following: [StreamID(0)], delivering: inbox) }
            try await body()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    // MARK: The bus

    private static func withBus(_ port: Int, body: (Bus) async throws -> Void) async throws {
        var logger = Logger(label: "probe")
        logger.logLevel = .error
        let bus = Bus(driver: try self.driver(port), configuration: BusConfiguration(), logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bus.run() }
            try await body(bus)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private static func busSubscribe(_ port: Int, _ count: Int) async throws {
        try await self.withBus(port) { bus in
            var limits = SubscriberLimits()
            limits.queuedBytes = 256 << 20
            let subscription = try await bus.subscribe(to: [Topic("probe")], limits: limits)
            say("ready")
            var latencies = Latencies()
            for try await delivery in subscription {
                // Why: what is missing would be waited for in vain.
                if let gap = delivery.gaps.first { fail("\(gap)") }
                for message in delivery.messages {
                    message.payload.withUnsafeReadableBytes { latencies.heard(publishedAt($0)) }
                }
                if latencies.count >= count { break }
            }
            latencies.report("bus")
        }
    }

    private static func busPublish(_ port: Int, _ count: Int, _ rate: Int) async throws {
        try await self.withBus(port) { bus in
            try await bus.publish(ByteBuffer(string: "warm"), to: Topic("other"))
            try await self.pace(count, rate) { _ in
                try await bus.publish(ByteBuffer(bytes: payload()), to: Topic("probe"))
            }
        }
    }

    private static func busFlood(_ port: Int, _ count: Int, tasks: Int) async throws {
        try await self.withBus(port) { bus in
            try await bus.publish(ByteBuffer(string: "warm"), to: Topic("other"))
            let start = now()
            let cpu = cpuMicroseconds()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<tasks {
                    group.addTask {
                        for _ in 0..<(count / tasks) {
                            try await bus.publish(ByteBuffer(bytes: payload()), to: Topic("probe"))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let sent = count / tasks * tasks
            let rate = UInt64(sent) * 1_000_000_000 / (now() - start)
            say(
                "flood\t\(tasks) publishers: \(rate) msg/s, publisher CPU \((cpuMicroseconds() - cpu) / Double(sent)) us/msg"
            )
        }
    }

    private static func pace(_ count: Int, _ rate: Int, _ work: (Int) async throws -> Void) async throws {
        let clock = ContinuousClock()
        let start = clock.now
        for index in 0..<count {
            try await clock.sleep(until: start + .nanoseconds(index * 1_000_000_000 / rate), tolerance: .zero)
            try await work(index)
        }
    }
}

/// Measures right where the driver delivers.
private final class MeasuringInbox: Inbox {
    private let latencies = Mutex(Latencies())
    private let count: Int
    private let live = AsyncStream.makeStream(of: Void.self)
    private let done = AsyncStream.makeStream(of: Void.self)

    init(count: Int) {
        self.count = count
    }

    func receive(_ event: DriverEvent) {
        switch event {
        case .live:
            if self.count != .max { say("ready") }
            self.live.continuation.yield()
        case .interrupted(let error):
            say("interrupted: \(error)")
        case .records(_, _, let records):
            let isOver = self.latencies.withLock { latencies in
                for record in records { record.bytes.withUnsafeReadableBytes { latencies.heard(publishedAt($0)) } }
                return latencies.count >= self.count
            }
            if isOver { self.done.continuation.yield() }
        }
    }

    func becameLive() async {
        for await _ in self.live.stream { return }
    }

    func finished() async {
        for await _ in self.done.stream { break }
        self.latencies.withLock { $0.report("driver") }
    }
}
