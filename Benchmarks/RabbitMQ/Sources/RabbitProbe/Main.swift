import Busbar
import BusbarRabbitMQ
import CRabbitClient
import Logging
import NIOCore

/// `RabbitProbe ROLE PORT COUNT [RATE | PUBLISHERS]`, ROLE being `raw` or `bus`, then `-subscribe`, `-publish` or `-flood`.
///
/// A subscriber prints "ready", hears COUNT messages and reports; a publisher sends COUNT messages at RATE per second, and a
/// flood as fast as it can.
@main
enum Main {
    private static let queue = "busbar-benchmark"

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 5, let port = Int(arguments[2]), let count = Int(arguments[3]),
            let rate = Int(arguments[4])
        else { fail("usage: RabbitProbe ROLE PORT COUNT RATE|PUBLISHERS") }
        switch arguments[1] {
        case "raw-subscribe": self.rawSubscribe(port, count)
        case "raw-publish": self.rawPublish(port, count, rate: rate, window: 1)
        case "raw-flood": self.rawPublish(port, count, rate: 0, window: rate)
        case "bus-subscribe": try await self.busSubscribe(port, count)
        case "bus-publish": try await self.busPublish(port, count, rate)
        case "bus-flood": try await self.busFlood(port, count, tasks: rate)
        default: fail("unknown role \(arguments[1])")
        }
    }

    // MARK: Bare librabbitmq

    private static func rawSubscribe(_ port: Int, _ count: Int) {
        var latencies = Latencies()
        let error = withUnsafeMutablePointer(to: &latencies) { pointer in
            rabbit_consume(Int32(port), self.queue, Int32(count), pointer) { _ in
                say("ready")
            } _: { context, body, byteCount in
                let bytes = UnsafeRawBufferPointer(start: body, count: Int(byteCount))
                context?.assumingMemoryBound(to: Latencies.self).pointee.heard(publishedAt(bytes))
            }
        }
        if let error { fail(String(cString: error)) }
        latencies.report("raw")
    }

    private static func rawPublish(_ port: Int, _ count: Int, rate: Int, window: Int) {
        let start = now()
        if let error = rabbit_publish(Int32(port), self.queue, Int32(count), Int32(rate), Int32(window)) {
            fail(String(cString: error))
        }
        if rate == 0 { self.sayFlood(count, since: start) }
    }

    private static func sayFlood(_ count: Int, since start: UInt64) {
        say("flood\t\(UInt64(count) * 1_000_000_000 / (now() - start)) msg/s")
    }

    // MARK: The bus

    private static func withBus(_ port: Int, body: (Bus) async throws -> Void) async throws {
        var logger = Logger(label: "probe")
        logger.logLevel = .error
        let bus = Bus(
            driver: try .rabbitMQ(host: "127.0.0.1", port: port, app: "probe"), configuration: BusConfiguration(),
            logger: logger)
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
            let clock = ContinuousClock()
            let start = clock.now
            for index in 0..<count {
                try await clock.sleep(until: start + .nanoseconds(index * 1_000_000_000 / rate), tolerance: .zero)
                try await bus.publish(ByteBuffer(bytes: payload()), to: Topic("probe"))
            }
        }
    }

    private static func busFlood(_ port: Int, _ count: Int, tasks: Int) async throws {
        try await self.withBus(port) { bus in
            try await bus.publish(ByteBuffer(string: "warm"), to: Topic("other"))
            let start = now()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<tasks {
                    group.addTask {
                        for _ in 0..<(count / tasks + (task < count % tasks ? 1 : 0)) {
                            try await bus.publish(ByteBuffer(bytes: payload()), to: Topic("probe"))
                        }
                    }
                }
                try await group.waitForAll()
            }
            self.sayFlood(count, since: start)
        }
    }
}
