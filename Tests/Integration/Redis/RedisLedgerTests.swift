import Busbar
import BusbarDriver
import BusbarRedis
import Foundation
import Logging
import NIOCore
import Synchronization
import Testing

/// What can happen to a Redis while two nodes talk through it.
enum Fault: CaseIterable, CustomTestStringConvertible {
    case nothing, killedTenTimes, scriptsForgotten, stopped, crashedWithData, crashedWithoutData, restoredOlder, flushed

    /// Whether something may be gone for good; it must then be reported.
    var mayLose: Bool {
        switch self {
        case .nothing, .killedTenTimes, .scriptsForgotten, .stopped, .crashedWithData: false
        case .crashedWithoutData, .restoredOlder, .flushed: true
        }
    }

    var testDescription: String {
        switch self {
        case .nothing: "nothing happens"
        case .killedTenTimes: "connections are killed ten times"
        case .scriptsForgotten: "scripts are forgotten"
        case .stopped: "Redis stands still"
        case .crashedWithData: "Redis crashes and comes back with its data"
        case .crashedWithoutData: "Redis crashes and comes back empty"
        case .restoredOlder: "Redis crashes and comes back with an older state"
        case .flushed: "everything is deleted"
        }
    }
}

@Suite(
    "the ledger of two buses on a real Redis", .enabled(if: RedisTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct RedisLedgerTests {
    @Test(
        "F-53 F-54 F-55 F-57 published = delivered + reported, nothing twice, nothing swapped, nodes agree",
        arguments: Fault.allCases
    )
    func ledger(fault: Fault) async throws {
        let persistence = fault == .crashedWithData ? RedisServer.Persistence.appendOnly : .none
        let server = try await RedisServer.started("--appendfsync", "always", persistence: persistence)
        let published = Published()
        let nodes = try await withBuses(on: server, count: 2) { buses in
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
                        try await fault.strike(server, witness: nodes[0])
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
        for node in nodes {
            let account = node.account
            #expect(account.repeats == 0 && account.swaps == 0)
            let missing = published.accepted.subtracting(account.texts)
            #expect(
                missing.isEmpty || (fault.mayLose && !account.gaps.isEmpty), "\(missing.count) lost, \(account.gaps)")
            if !fault.mayLose { #expect(account.gaps.isEmpty) }
        }
        if !fault.mayLose { #expect(nodes[0].account.order == nodes[1].account.order) }
    }
}

extension Fault {
    func strike(_ server: RedisServer, witness: NodeLedger) async throws {
        switch self {
        case .nothing:
            break
        case .killedTenTimes:
            for round in 0..<10 {
                try server.command(
                    "CLIENT", "KILL", "TYPE", round.isMultiple(of: 2) ? "pubsub" : "normal", "SKIPME", "yes")
                try await witness.waitForMore(20)
            }
        case .scriptsForgotten:
            for _ in 0..<5 {
                try server.command("SCRIPT", "FLUSH")
                try await witness.waitForMore(50)
            }
        case .stopped:
            server.signal(SIGSTOP)
            // Why a real wait: the silence itself is the fault, and it has to outlast the probe's limits.
            try await Task.sleep(for: .seconds(2))
            server.signal(SIGCONT)
        case .crashedWithData:
            server.crash()
            try await server.start(["--appendfsync", "always"], persistence: .appendOnly)
        case .crashedWithoutData:
            server.crash()
            try await server.start()
        case .restoredOlder:
            try server.command("SAVE")
            let dump = server.directory.appending(path: "dump.rdb")
            let older = server.directory.appending(path: "older.rdb")
            try FileManager.default.copyItem(at: dump, to: older)
            try await witness.waitForMore(100)
            server.crash()
            try FileManager.default.removeItem(at: dump)
            try FileManager.default.copyItem(at: older, to: dump)
            try await server.start()
        case .flushed:
            try server.command("FLUSHALL")
        }
    }
}

/// What was published and accepted, by all publishers.
final class Published: Sendable {
    private let texts = Mutex<Set<String>>([])
    private let isOver = Atomic(false)

    var accepted: Set<String> { self.texts.withLock { $0 } }

    func stop() { self.isOver.store(true, ordering: .relaxed) }

    /// Publishes one after the other until stopped; what fails counts as not published.
    func publish(as publisher: String, on bus: Bus, to topic: Topic) async {
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
final class NodeLedger: Sendable {
    static let end = "end"

    struct Account: Sendable {
        var order: [String] = []
        var texts: Set<String> = []
        var gaps: [Gap] = []
        var repeats = 0
        var swaps = 0
        var ends = 0
        var latest: [Substring: Int] = [:]
    }

    private struct State {
        var account = Account()
        var listeners: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    var account: Account { self.state.withLock(\.account) }

    /// Consumes until both nodes have said that they are done.
    func consume(_ subscription: Subscription) async throws {
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

    func waitForMore(_ count: Int) async throws {
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

/// Runs buses for the time of `body`.
func withBuses<Result: Sendable>(
    on server: RedisServer, count: Int, body: ([Bus]) async throws -> Result
) async throws -> Result {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var configuration = BusConfiguration()
    configuration.farmKey = .generate()
    configuration.checkInterval = .milliseconds(500)
    let buses = try (0..<count).map { _ in
        Bus(driver: RedisDriver(try server.configuration()), configuration: configuration, logger: logger)
    }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        for bus in buses { group.addTask { try await bus.run() } }
        let result = try await body(buses)
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}
