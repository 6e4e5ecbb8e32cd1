import Busbar
import BusbarDriver
import BusbarPostgreSQL
import BusbarRabbitMQ
import BusbarRedis
import CRawBrokers
import Logging
import NIOCore

/// A node of an app on a broker: a bus as programs use it.
enum Node {
    static func driver(_ url: String) throws -> any BackplaneDriver {
        try DriverRegistry([.redis, .postgreSQL, .rabbitMQ]).makeDriver(for: BackplaneURL(url), app: "benchmark")
    }

    private static func withBus(_ url: String, body: (Bus) async throws -> Void) async throws {
        var logger = Logger(label: "backplane")
        logger.logLevel = .error
        let bus = Bus(driver: try self.driver(url), configuration: BusConfiguration(), logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bus.run() }
            try await body(bus)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    /// Says "ready", hears `count` messages and reports; nil: hears until it is ended.
    static func consume(_ url: String, count: Int?) async throws {
        try await self.withBus(url) { bus in
            var limits = SubscriberLimits()
            limits.queuedBytes = 256 << 20
            let subscription = try await bus.subscribe(to: [Topic("benchmark")], limits: limits)
            say("ready")
            var measurement = Measurement()
            for try await delivery in subscription {
                guard let count else { continue }
                // Why: what is missing would be waited for in vain.
                if let gap = delivery.gaps.first { fail("\(gap)") }
                for message in delivery.messages { measurement.took(since: madeAt(message.payload)) }
                if measurement.count >= count { break }
            }
            measurement.report("subscriber")
        }
    }

    /// Publishes `count` messages at `rate` a second, one after the other, or so many at a time whatever became of those before, as
    /// many clients do; or, when the rate is 0, as fast as it goes, from so many tasks that each wait for their own.
    /// - Parameter turns: when the rate is kept, and when nothing is published; nil keeps it all the time.
    static func publish(_ url: String, count: Int, rate: Int, tasks: Int, turns: Turns?) async throws {
        try await self.withBus(url) { bus in
            try await bus.publish(ByteBuffer(string: "warm"), to: Topic("other"))
            var all = Measurement()
            all.begin()
            let start = turns?.begin ?? ContinuousClock.now
            guard rate > 0 else {
                try await Self.publish(count, from: tasks, on: bus, into: &all)
                return all.report("publisher")
            }
            try await withThrowingTaskGroup(of: Span.self) { group in
                var underWay = 0
                for index in stride(from: 0, to: count, by: tasks) {
                    var due = Duration.nanoseconds(index * 1_000_000_000 / rate)
                    if let turns { due += turns.silence(before: due) }
                    try await ContinuousClock().sleep(until: start + due, tolerance: .zero)
                    guard tasks > 1 else {
                        all.took(try await self.publish(on: bus))
                        continue
                    }
                    for _ in 0..<min(tasks, count - index) {
                        underWay += 1
                        group.addTask { try await self.publish(on: bus) }
                    }
                    while underWay > Self.mostUnderWay, let span = try await group.next() {
                        underWay -= 1
                        all.took(span)
                    }
                }
                for try await span in group { all.took(span) }
            }
            all.report("publisher")
        }
    }

    /// How many publishes may wait for their outcome at a time.
    private static let mostUnderWay = 1_000

    private static func publish(
        _ count: Int, from tasks: Int, on bus: Bus, into all: inout Measurement
    ) async throws {
        if tasks == 1 {
            all.add(try await self.publish(count, on: bus))
            return
        }
        try await withThrowingTaskGroup(of: Measurement.self) { group in
            for task in 0..<tasks {
                group.addTask { try await self.publish(count / tasks + (task < count % tasks ? 1 : 0), on: bus) }
            }
            for try await measurement in group { all.add(measurement) }
        }
    }

    private static func publish(_ count: Int, on bus: Bus) async throws -> Measurement {
        var measurement = Measurement()
        for _ in 0..<count { measurement.took(try await self.publish(on: bus)) }
        return measurement
    }

    private static func publish(on bus: Bus) async throws -> Span {
        let start = raw_now()
        try await bus.publish(payload(), to: Topic("benchmark"))
        return Span(start: start, end: raw_now())
    }
}
