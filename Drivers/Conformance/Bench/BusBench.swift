import Busbar
import BusbarDriver
import Logging
import NIOCore

/// Real buses on the driver under test: what the port's laws are for.
extension Bench {
    /// Runs one bus per node; begins `body` once all are live. Past the end none of them is running.
    func withBuses<R>(
        _ count: Int, _ configuration: BusConfiguration = .watchful, _ body: ([Bus]) async throws -> R
    ) async throws -> R {
        self.doing("making \(count) buses")
        var buses: [Bus] = []
        let logger = Logger(label: "busbar.conformance") { _ in SwiftLogNoOpLogHandler() }
        for _ in 0..<count {
            buses.append(Bus(driver: try await self.app.makeNode(), configuration: configuration, logger: logger))
        }
        let made = buses
        let outcome: Result<R, any Error> = await withTaskGroup(of: String?.self) { group in
            for bus in made {
                group.addTask {
                    do {
                        try await bus.run()
                        return nil
                    } catch {
                        return "\(error)"
                    }
                }
            }
            let result: Result<R, any Error>
            do { result = .success(try await body(made)) } catch { result = .failure(error) }
            let doing = self.progress.doing
            group.cancelAll()
            self.doing("waiting for the buses to stop")
            await group.waitForAll()
            self.doing(doing)
            return result
        }
        return try outcome.get()
    }

    func publish(_ text: String, to topic: String, on bus: Bus) async throws {
        self.doing("publishing \"\(text.prefix(40))\"")
        try await bus.publish(ByteBuffer(string: text), to: Topic(topic))
    }

    func subscribe(_ topics: [String], on bus: Bus, from cursor: Cursor? = nil) async throws -> Listener {
        self.doing("subscribing to \(topics.count) topics")
        // Why: cases publish first and listen then; how a bus treats the slow is not the driver's doing.
        var limits = SubscriberLimits()
        limits.queuedBytes = 64 << 20
        let subscription = try await bus.subscribe(to: topics.map { Topic($0) }, from: cursor, limits: limits)
        return Listener(subscription: subscription, bus: bus, bench: self)
    }

    /// Texts that came are those that should have.
    func expect(_ texts: [String], toBe right: [String], at place: String) throws {
        guard texts != right else { return }
        let index = zip(texts, right).enumerated().first { $1.0 != $1.1 }?.offset ?? min(texts.count, right.count)
        let should = index < right.count ? "\"\(right[index].prefix(40))\"" : "nothing more"
        let was = index < texts.count ? "\"\(texts[index].prefix(40))\"" : "missing"
        throw LawBroken(
            seen:
                "\(place): \(texts.count) messages for \(right.count); number \(index + 1) should be \(should): \(was)"
        )
    }
}

extension BusConfiguration {
    /// Checks positions often, so that a lost last message is noticed at once in human terms.
    static var watchful: Self {
        var configuration = Self()
        configuration.checkInterval = .milliseconds(100)
        configuration.holdTime = .seconds(5)
        configuration.publishDeadline = .seconds(20)
        return configuration
    }
}
