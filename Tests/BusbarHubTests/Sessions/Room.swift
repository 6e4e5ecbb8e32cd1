import Busbar
import BusbarHub
import BusbarMemory
import BusbarProtocol
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

/// What the hub of the tests has seen, in order.
final class Journal: Sendable {
    private struct State {
        var entries: [String] = []
        var waiters: [(wanted: String, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var entries: [String] { self.state.withLock { $0.entries } }

    func note(_ entry: String) {
        let ready = self.state.withLock { state in
            state.entries.append(entry)
            let ready = state.waiters.filter { $0.wanted == entry }
            state.waiters.removeAll { $0.wanted == entry }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    /// Returns when the entry has been made.
    func wait(for entry: String) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                if state.entries.contains(entry) { return true }
                state.waiters.append((entry, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func count(_ entry: String) -> Int { self.entries.filter { $0 == entry }.count }
}

/// The hub that most tests use.
struct TestHub: Hub {
    let call: HubCall
    let journal: Journal
    let gate: Gate

    init(_ call: HubCall) {
        self.init(call, journal: Journal(), gate: Gate())
    }

    init(_ call: HubCall, journal: Journal, gate: Gate) {
        self.call = call
        self.journal = journal
        self.gate = gate
    }

    static var name: String { "TestHub" }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("send", send), HubMethod("echo", echo), HubMethod("nothing", nothing), HubMethod("fail", fail),
            HubMethod("crash", crash), HubMethod("join", join), HubMethod("leave", leave),
            HubMethod("toGroup", toGroup),
            HubMethod("toOthers", toOthers), HubMethod("toUser", toUser), HubMethod("toOne", toOne),
            HubMethod("toCaller", toCaller), HubMethod("wait", wait), HubMethod("quit", quit), HubMethod("odd", odd),
            HubMethod("hang", hang), HubMethod("giveUp", giveUp), HubMethod("unwritable", unwritable),
        ]
    }

    func connected() async throws {
        self.journal.note("connected \(self.context.id)")
        if self.context.request.query["refuse"] != nil { throw HubError("not you") }
        if self.context.request.query["greet"] != nil {
            try await self.groups.add(self.context.id, to: "greeted")
            try await self.clients.group("greeted").send("hello", 1)
            try await self.clients.caller.send("hello", 2)
        }
    }

    func reconnected() async throws { self.journal.note("reconnected \(self.context.id)") }

    func disconnected(_ ending: Disconnection) async {
        self.journal.note("disconnected \(self.context.id) \(ending.reason)")
        if self.context.request.query["linger"] != nil { await self.gate.pass() }
    }

    func send(text: String) async throws { try await self.clients.all.send("received", text) }
    func echo(value: JSONNode) -> JSONNode { value }
    func nothing() { self.journal.note("nothing") }
    func fail(text: String) throws { throw HubError(text, data: ["code": 7]) }
    func crash() throws { throw CocoaError() }
    func join(group: String) async throws { try await self.groups.add(self.context.id, to: group) }
    func leave(group: String) async throws { try await self.groups.remove(self.context.id, from: group) }
    func toGroup(group: String, text: String) async throws {
        try await self.clients.group(group).send("received", text)
    }
    func toOthers(text: String) async throws { try await self.clients.others.send("received", text) }
    func toUser(user: String, text: String) async throws { try await self.clients.user(user).send("received", text) }
    func toOne(id: String, text: String) async throws { try await self.clients.client(id).send("received", text) }
    func toCaller(text: String) async throws { try await self.clients.caller.send("received", text) }
    func odd(text: String) async throws { try await self.clients.all.send("!!!|\\CallMeBack,,,!!!", text) }
    func wait(text: String) async {
        self.journal.note("began \(text)")
        await self.gate.pass()
        self.journal.note("ended \(text)")
    }
    func hang() async throws {
        self.journal.note("hanging")
        do { try await Task.sleep(for: .seconds(3600)) } catch { self.journal.note("cancelled") }
    }
    func quit() { self.context.abort() }
    func giveUp() throws { throw CancellationError() }
    func unwritable() -> Double { .infinity }

    struct CocoaError: Error, CustomStringConvertible { var description: String { "secret of the server" } }
}

/// A hub runtime on a bus of its own, with real event loops.
struct Room: Sendable {
    let runtime: HubRuntime
    let loops: MultiThreadedEventLoopGroup
    let journal: Journal
    let gate: Gate

    /// Runs `body` in a room and takes the room apart.
    /// - Parameter more: hubs beside those that every room has.
    static func open(
        loops count: Int = 1,
        hubs more: [HubRegistration] = [],
        persistentConnections: [PersistentConnectionRegistration] = [],
        pipeline: HubPipeline = .init(),
        configuration: HubConfiguration = .init(),
        _ body: @escaping @Sendable (Room) async throws -> Void
    ) async throws {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: count)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let bus = Self.makeBus(logger)
        let journal = Journal(), gate = Gate()
        let hubs: [HubRegistration] = [
            .hub(TestHub.self) { TestHub($0, journal: journal, gate: gate) },
            .hub(TestHub.self, name: "Other") { TestHub($0, journal: journal, gate: gate) },
        ]
        let runtime = try HubRuntime(
            bus: bus, hubs: hubs + more, persistentConnections: persistentConnections, pipeline: pipeline,
            configuration: configuration, eventLoops: loops, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bus.run() }
            group.addTask { try await runtime.run() }
            let room = Room(runtime: runtime, loops: loops, journal: journal, gate: gate)
            await runtime.settle()
            do {
                try await body(room)
            } catch {
                gate.open()
                group.cancelAll()
                throw error
            }
            gate.open()
            group.cancelAll()
        }
        try await loops.shutdownGracefully()
    }

    func core(
        _ id: String, user: String? = nil, query: [(String, String)] = [], on index: Int = 0, hub: String = "TestHub",
        language: CoreProtocol = .json
    ) async throws -> CorePeer {
        let loop = Array(self.loops.makeIterator())[index]
        return try await CorePeer(
            room: self, loop: loop, id: id, user: user, query: query, hub: hub, language: language)
    }

    /// A core client whose handshake is done.
    func connected(
        _ id: String, user: String? = nil, on index: Int = 0, language: CoreProtocol = .json
    ) async throws -> CorePeer {
        let peer = try await self.core(id, user: user, on: index, language: language)
        try await peer.shakeHands()
        await self.journal.wait(for: "connected \(id)")
        return peer
    }

    static func identity(_ id: String, user: String?, query: [(String, String)]) -> ConnectionIdentity {
        ConnectionIdentity(
            id: id, userID: user, user: user.map { Principal(name: $0) },
            request: ConnectionRequest(path: "/test", query: NamedValues(query)), transport: .webSockets)
    }
}

/// A core client at the other end of a session.
struct CorePeer: Sendable {
    let id: String
    let sink = Sink()
    let loop: any EventLoop
    /// What it is sent is shown in JSON, whatever it speaks.
    let language: CoreProtocol
    private let session: NIOLoopBound<CoreSession>

    init(
        room: Room, loop: any EventLoop, id: String, user: String?, query: [(String, String)], hub name: String,
        language: CoreProtocol
    ) async throws {
        self.id = id
        self.loop = loop
        self.language = language
        let sink = self.sink
        let identity = Room.identity(id, user: user, query: query)
        self.session = try await loop.submit {
            let hub = try #require(room.runtime.hubs.hub(named: name))
            let session = CoreSession(
                runtime: room.runtime, loop: loop, hub: hub, identity: identity,
                outlet: RecordingOutlet(sink, splitsRecords: true, language: language),
                framing: .webSocket)
            session.started()
            return NIOLoopBound(session, eventLoop: loop)
        }.get()
    }

    /// What was written has been taken.
    func drained() async throws {
        try await self.loop.submit { self.session.value.drained() }.get()
    }

    /// Sends the handshake and takes its answer.
    func shakeHands() async throws {
        try await self.sendBytes("{\"protocol\":\"\(self.language.rawValue)\",\"version\":1}\u{1E}")
        #expect(await self.next() == "{}")
    }

    /// Sends records, each given in JSON and without its separator, in the protocol that the peer speaks.
    func send(_ records: String...) async throws {
        var bytes = ByteBuffer()
        for record in records {
            switch self.language {
            case .json: bytes.writeString(record + "\u{1E}")
            case .messagePack: CoreMessagePack.write(try CoreJSON.parse(ByteBuffer(string: record)), into: &bytes)
            }
        }
        try await self.sendBytes(bytes)
    }

    func sendBytes(_ text: String) async throws { try await self.sendBytes(ByteBuffer(string: text)) }

    func sendBytes(_ bytes: ByteBuffer) async throws {
        try await self.loop.submit {
            var bytes = bytes
            self.session.value.received(&bytes)
        }.get()
    }

    func close(_ closing: TransportClosing) async throws {
        try await self.loop.submit { self.session.value.transportClosed(closing) }.get()
    }

    func next() async -> String? { await self.sink.next() }

    /// Everything before the answer to a call that comes after all that was asked so far.
    func textsUntilEcho(_ mark: String) async throws -> [String] {
        try await self.send(#"{"type":1,"invocationId":"mark-\#(mark)","target":"echo","arguments":[0]}"#)
        var texts: [String] = []
        while let text = await self.next() {
            if text.contains("mark-\(mark)") { break }
            texts.append(text)
        }
        return texts
    }
}
