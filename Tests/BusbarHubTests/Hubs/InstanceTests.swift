import BusbarHub
import BusbarProtocol
import NIOCore
import Synchronization
import Testing

/// What happened to the instances of a hub.
private final class Ledger: Sendable {
    private let kept = Mutex<[String]>([])
    var entries: [String] { self.kept.withLock { $0 } }
    func note(_ entry: String) { self.kept.withLock { $0.append(entry) } }
}

/// A hub that is a class and depends on something.
private final class Counted: Hub {
    struct Closed: Error {}

    let call: HubCall
    let ledger: Ledger

    init(_ call: HubCall) {
        self.call = call
        self.ledger = Ledger()
    }

    init(_ call: HubCall, ledger: Ledger) {
        self.call = call
        self.ledger = ledger
        ledger.note("init")
    }

    deinit { self.ledger.note("deinit") }

    static var methods: [HubMethod<Counted>] {
        [HubMethod("work", work), HubMethod("crash", crash), HubMethod("meet", meet), HubMethod("wait", wait)]
    }

    func work() async -> String {
        self.ledger.note("work")
        return self.context.id
    }
    func crash() throws { throw Closed() }
    func wait() async throws {
        await self.context.aborted()
        self.ledger.note("waited")
        try Task.checkCancellation()
    }
    func meet(_ name: String) async throws { try await self.groups.add(self.context.id, to: name) }

    func connected() async throws {
        self.ledger.note("connected")
        if self.context.id == "unwelcome" { throw HubError("Go away.") }
    }
    func reconnected() async throws { self.ledger.note("reconnected") }
    func disconnected(_ ending: Disconnection) async { self.ledger.note("disconnected \(ending)") }
}

/// Methods of an actor are registered with closures.
private actor Tally: Hub {
    nonisolated let call: HubCall
    private var sum = 0

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Tally>] {
        [HubMethod("add") { (hub: Tally, value: Int) in await hub.add(value) }]
    }

    private func add(_ value: Int) -> Int {
        self.sum += value
        return self.sum
    }
}

@Suite("Instances of hubs")
struct InstanceTests {
    private let ledger = Ledger()

    private func bench(_ context: ConnectionContext = .make()) throws -> Bench {
        try Bench(.hub(Counted.self) { [ledger] in Counted($0, ledger: ledger) }, context: context)
    }

    @Test("classic 80: an instance is made for each call and gone exactly once after it")
    func perCall() async throws {
        let bench = try self.bench()
        #expect(try await bench.call("work").text == #""c1""#)
        #expect(self.ledger.entries == ["init", "work", "deinit"])
        #expect(try await bench.call("crash").failure?.kind == .thrown("Closed"))
        #expect(self.ledger.entries == ["init", "work", "deinit", "init", "deinit"])
    }

    @Test("an instance is made for each event")
    func perEvent() async throws {
        let bench = try self.bench()
        #expect(await bench.hub.connected(bench.context, publisher: bench.recorder) == nil)
        #expect(await bench.hub.reconnected(bench.context, publisher: bench.recorder) == nil)
        let ending = Disconnection(.lost)
        #expect(await bench.hub.disconnected(bench.context, ending: ending, publisher: bench.recorder) == nil)
        #expect(
            self.ledger.entries == [
                "init", "connected", "deinit", "init", "reconnected", "deinit", "init", "disconnected lost", "deinit",
            ])
    }

    @Test("no instance is made for a call that fits no method")
    func notMadeInVain() async throws {
        let bench = try self.bench()
        _ = try await bench.call("nothing")
        _ = try await bench.call("work", "[1]")
        _ = try await bench.call("meet", "[[]]")
        #expect(self.ledger.entries.isEmpty)
    }

    @Test("a connected event that throws is a failure with the hub error's text")
    func refused() async throws {
        let bench = try self.bench(.make("unwelcome"))
        let failure = await bench.hub.connected(bench.context, publisher: bench.recorder)
        #expect(failure == HubFailure(.hubError, "Go away."))
    }

    @Test("a factory that throws fails the call and the event, masked")
    func factoryThrows() async throws {
        let bench = try Bench(.hub(Counted.self) { _ in throw Counted.Closed() })
        let failure = try #require(try await bench.call("work").failure)
        #expect(failure.kind == .hubUnavailable("Closed"))
        #expect(
            failure.classicText(hub: "h", method: "work", detailed: false)
                == "There was an error invoking Hub method 'h.work'.")
        #expect(await bench.hub.connected(bench.context, publisher: bench.recorder)?.kind == .hubUnavailable("Closed"))
    }

    @Test("a call whose task is cancelled sees it, fails as cancelled and leaves the connection alone")
    func cancelled() async throws {
        let bench = try self.bench()
        let outcome = try await withThrowingTaskGroup(of: InvocationOutcome.self) { group in
            group.addTask { try await bench.call("wait") }
            group.cancelAll()
            return try await group.next()
        }
        #expect(outcome?.failure?.kind == .cancelled)
        #expect(self.ledger.entries == ["init", "waited", "deinit"])
        #expect(!bench.context.isAborted)
    }

    @Test("an actor can be a hub")
    func actorHub() async throws {
        let bench = try Bench(.hub(Tally.self))
        #expect(try await bench.call("add", "[2]").text == "2")
        #expect(try await bench.call("add", "[3]").text == "3", "each call has an instance of its own")
    }

    @Test("a hub method changes groups of its hub")
    func groups() async throws {
        let bench = try self.bench()
        #expect(try await bench.call("meet", #"["red"]"#) == .void)
        #expect(bench.recorder.changes == [GroupChange(.add, hub: "Counted", group: "red", connectionID: "c1")])
    }

    @Test("an empty group name fails the call with a typed error")
    func emptyGroup() async throws {
        let bench = try self.bench()
        #expect(try await bench.call("meet", #"[""]"#).failure?.kind == .thrown("HubSendError"))
        #expect(bench.recorder.changes.isEmpty)
    }
}
