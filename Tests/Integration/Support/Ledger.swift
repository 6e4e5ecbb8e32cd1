package import Busbar
package import BusbarDriver
import Logging
import NIOCore
import Synchronization

/// What was published and accepted, by all publishers.
package final class Published: Sendable {
    package init() {}

    private let texts = Mutex<Set<String>>([])
    private let isOver = Atomic(false)

    package var accepted: Set<String> { self.texts.withLock { $0 } }

    package func stop() { self.isOver.store(true, ordering: .relaxed) }

    /// Publishes one after the other until stopped; what fails counts as not published.
    package func publish(as publisher: String, on bus: Bus, to topic: Topic) async {
        var count = 0
        while !self.isOver.load(ordering: .relaxed), !Task.isCancelled {
            count += 1
            let text = "\(publisher) \(count)"
            do {
                try await bus.publish(ByteBuffer(string: text), to: topic)
                self.texts.withLock { _ = $0.insert(text) }
            } catch {}
        }
    }
}

/// What one node heard.
package final class NodeLedger: Sendable {
    package init() {}

    package static let end = "end"

    package struct Account: Sendable {
        package var order: [String] = []
        package var texts: Set<String> = []
        package var gaps: [Gap] = []
        package var repeats = 0
        package var swaps = 0
        package var ends = 0
        package var latest: [Substring: Int] = [:]
    }

    private struct State {
        var account = Account()
        var listeners: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    package var account: Account { self.state.withLock(\.account) }

    /// Consumes until both nodes have said that they are done.
    package func consume(_ subscription: Subscription) async throws {
        for try await delivery in subscription {
            let (isOver, listeners) = self.state.withLock { state in
                for message in delivery.messages { Self.enter(String(buffer: message.payload), into: &state.account) }
                state.account.gaps += delivery.gaps
                return (state.account.ends == 2, state.listeners)
            }
            for listener in listeners { listener.yield() }
            if isOver { return }
        }
    }

    package func waitForMore(_ count: Int) async throws {
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let goal = self.state.withLock { state in
            state.listeners.append(continuation)
            return state.account.order.count + count
        }
        defer { continuation.finish() }
        for await _ in changes where self.account.order.count >= goal { return }
        throw CancellationError()
    }

    private static func enter(_ text: String, into account: inout Account) {
        guard text != Self.end else {
            account.ends += 1
            return
        }
        let parts = text.split(separator: " ")
        let number = Int(parts[1]) ?? 0
        account.order.append(text)
        if !account.texts.insert(text).inserted { account.repeats += 1 }
        if number < account.latest[parts[0], default: 0] { account.swaps += 1 }
        account.latest[parts[0]] = number
    }
}

/// Runs buses for the time of `body`, each on a driver of its own.
package func withBuses<Result: Sendable>(
    count: Int, driver: () throws -> any BackplaneDriver, body: ([Bus]) async throws -> Result
) async throws -> Result {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var configuration = BusConfiguration()
    configuration.farmKey = .generate()
    configuration.checkInterval = .milliseconds(500)
    let buses = try (0..<count).map { _ in
        Bus(driver: try driver(), configuration: configuration, logger: logger)
    }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        for bus in buses { group.addTask { try await bus.run() } }
        let result = try await body(buses)
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// Two buses talk while `strike` does something to the broker beneath them; what each heard is compared with what was accepted.
///
/// - Parameter mayLose: something may be gone for good; it must then have been reported.
/// - Returns: what is wrong with the ledger; nothing if published = delivered + reported, nothing came twice and nothing was swapped.
package func keepLedger(
    mayLose: Bool, driver: () throws -> any BackplaneDriver,
    strike: @escaping @Sendable (_ witness: NodeLedger) async throws -> Void
) async throws -> [String] {
    let published = Published()
    let nodes = try await withBuses(count: 2, driver: driver) { buses in
        let topic = Topic("ledger")
        var subscriptions: [Subscription] = []
        for bus in buses { subscriptions.append(try await bus.subscribe(to: [topic])) }
        let nodes = [NodeLedger(), NodeLedger()]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (subscription, node) in zip(subscriptions, nodes) {
                group.addTask { try await node.consume(subscription) }
            }
            group.addTask {
                try await withThrowingTaskGroup(of: Void.self) { publishers in
                    for (index, bus) in buses.enumerated() {
                        for lane in 0..<3 {
                            publishers.addTask {
                                await published.publish(as: "\(index)/\(lane)", on: bus, to: topic)
                            }
                        }
                    }
                    try await nodes[0].waitForMore(200)
                    try await strike(nodes[0])
                    // Why on both: each has come through the fault when it hears what was published after it.
                    for node in nodes { try await node.waitForMore(200) }
                    published.stop()
                    try await publishers.waitForAll()
                }
                for bus in buses { try await bus.publish(ByteBuffer(string: NodeLedger.end), to: topic) }
            }
            try await group.waitForAll()
        }
        return nodes
    }
    var problems: [String] = []
    for (index, account) in nodes.map(\.account).enumerated() {
        if account.repeats > 0 { problems.append("node \(index) heard \(account.repeats) messages twice") }
        if account.swaps > 0 { problems.append("node \(index) heard \(account.swaps) messages out of order") }
        let missing = published.accepted.subtracting(account.texts)
        if !missing.isEmpty, !mayLose || account.gaps.isEmpty {
            problems.append("node \(index) lost \(missing.count) messages, and reported \(account.gaps)")
        }
        if !mayLose, !account.gaps.isEmpty { problems.append("node \(index) reported \(account.gaps)") }
    }
    if !mayLose, nodes[0].account.order != nodes[1].account.order { problems.append("the nodes' orders differ") }
    return problems
}
