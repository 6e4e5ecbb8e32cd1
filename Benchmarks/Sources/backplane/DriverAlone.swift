import BusbarDriver
import CRawBrokers
import NIOCore
import Synchronization

/// A driver without a bus above it, to tell what each of the two costs.
enum DriverAlone {
    static func consume(_ url: String, count: Int) async throws {
        let inbox = MeasuringInbox(count: count)
        try await self.running(try Node.driver(url), inbox) { await inbox.finished() }
    }

    static func publish(_ url: String, count: Int, rate: Int) async throws {
        let driver = try Node.driver(url)
        let inbox = MeasuringInbox(count: .max)
        try await self.running(driver, inbox) {
            await inbox.becameLive()
            let (node, start) = (UInt64.random(in: 1...(.max)), ContinuousClock.now)
            var measurement = Measurement()
            for index in 0..<count {
                let due = start + .nanoseconds(index * 1_000_000_000 / rate)
                try await ContinuousClock().sleep(until: due, tolerance: .zero)
                let leaving = raw_now()
                let key = RecordKey(node: node, incarnation: 1, sequence: UInt64(index) + 1)
                let record = Record(key: key, bytes: payload())
                _ = try await driver.append(Batch(records: [record], highWater: nil), to: StreamID(0))
                measurement.took(since: leaving)
            }
            measurement.report("publisher")
        }
    }

    private static func running(
        _ driver: any BackplaneDriver, _ inbox: MeasuringInbox, body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await driver.run(following: [StreamID(0)], delivering: inbox) }
            try await body()
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}

/// Measures right where the driver delivers.
private final class MeasuringInbox: Inbox {
    private let measurement = Mutex(Measurement())
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
            let isOver = self.measurement.withLock { measurement in
                for record in records { measurement.took(since: madeAt(record.bytes)) }
                return measurement.count >= self.count
            }
            if isOver { self.done.continuation.yield() }
        }
    }

    func becameLive() async {
        for await _ in self.live.stream { return }
    }

    func finished() async {
        for await _ in self.done.stream { break }
        self.measurement.withLock { $0.report("subscriber") }
    }
}
