import BusbarHub
import BusbarProtocol
import NIOCore
import Synchronization
import Testing

private struct WorkHub: Hub {
    struct Broken: Error {}

    let call: HubCall
    let journal: Journal
    init(_ call: HubCall) { self.init(call, journal: Journal()) }
    init(_ call: HubCall, journal: Journal) { (self.call, self.journal) = (call, journal) }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("Add", add), HubMethod("crash", crash), HubMethod("send", send),
            HubMethod("secret", secret).requiring(.authenticated),
        ]
    }

    func connected() async throws { self.journal.note("hub connected") }
    func reconnected() async throws { self.journal.note("hub reconnected") }
    func disconnected(_ ending: Disconnection) async { self.journal.note("hub disconnected") }
    func add(_ left: Int, _ right: Int) -> Int {
        self.journal.note("hub add")
        return left + right
    }
    func crash() throws { throw Broken() }
    func send(_ text: String) async throws { try await self.clients.groupExcept("g", ["x"]).received(text) }
    func secret() {}
}

/// Writes down everything it sees, under its name.
private struct Scribe: HubModule {
    let name: String
    let journal: Journal

    func beforeIncoming(_ call: IncomingCall) async throws -> Bool {
        self.journal.note("\(self.name) before \(call.hub).\(call.method) \(call.arguments.count)")
        return true
    }
    func afterIncoming(_ result: CallResult, of call: IncomingCall) async throws -> CallResult {
        self.journal.note("\(self.name) after \(result.value)")
        return result
    }
    func incomingFailed(_ failure: inout IncomingFailure, of call: IncomingCall) async {
        self.journal.note("\(self.name) failed \(type(of: failure.error))")
    }
    func beforeOutgoing(_ message: OutgoingMessage) async -> Bool {
        self.journal.note("\(self.name) sends \(message.method) \(message.target) \(message.exceptions)")
        return true
    }
    func afterOutgoing(_ message: OutgoingMessage) async { self.journal.note("\(self.name) sent") }
    func beforeEvent(_ event: HubEvent) async throws -> Bool {
        self.journal.note("\(self.name) before \(event.hub) \(event.kind)")
        return true
    }
    func afterEvent(_ event: HubEvent) async throws { self.journal.note("\(self.name) after event") }
}

/// Decides by closures.
private struct Decider: HubModule {
    var call: @Sendable (IncomingCall) throws -> Bool = { _ in true }
    var result: @Sendable (CallResult) throws -> CallResult = { $0 }
    var failure: @Sendable (inout IncomingFailure) -> Void = { _ in }
    var message: @Sendable (OutgoingMessage) -> Bool = { _ in true }
    var event: @Sendable (HubEvent) throws -> Bool = { _ in true }
    var connect: @Sendable (AccessRequest) -> Bool = { _ in true }
    var groups: @Sendable ([String], String) -> [String] = { groups, _ in groups }

    func beforeIncoming(_ call: IncomingCall) async throws -> Bool { try self.call(call) }
    func afterIncoming(_ result: CallResult, of call: IncomingCall) async throws -> CallResult {
        try self.result(result)
    }
    func incomingFailed(_ failure: inout IncomingFailure, of call: IncomingCall) async { self.failure(&failure) }
    func beforeOutgoing(_ message: OutgoingMessage) async -> Bool { self.message(message) }
    func beforeEvent(_ event: HubEvent) async throws -> Bool { try self.event(event) }
    func mayConnect(_ request: AccessRequest) -> Bool { self.connect(request) }
    func rejoining(_ groups: [String], hub: String, context: ConnectionContext) -> [String] { self.groups(groups, hub) }
}

@Suite("Modules around hubs")
struct PipelineTests {
    private let journal = Journal()

    private func bench(_ modules: any HubModule...) throws -> Bench {
        let journal = self.journal
        return try Bench(
            .hub(WorkHub.self) { WorkHub($0, journal: journal) }, pipeline: HubPipeline(modules: modules))
    }

    @Test("the first module is the outermost; calls pass all of them on their way in and out")
    func order() async throws {
        let bench = try self.bench(
            Scribe(name: "one", journal: self.journal), Scribe(name: "two", journal: self.journal))
        #expect(try await bench.call("ADD", "[1,2]").text == "3")
        #expect(
            self.journal.entries == [
                "one before WorkHub.Add 2", "two before WorkHub.Add 2", "hub add", "two after integer(3)",
                "one after integer(3)",
            ])
    }

    @Test("classic 77: of a call that is refused no module hears, of one without method they do")
    func authorizationIsOutermost() async throws {
        let bench = try self.bench(Scribe(name: "one", journal: self.journal))
        #expect(try await bench.call("secret").failure?.kind == .notAuthorized)
        #expect(self.journal.entries == [])
        #expect(try await bench.call("nothing").failure?.kind == .unknownMethod)
        #expect(self.journal.entries == ["one before WorkHub.nothing 0", "one failed HubFailure"])
    }

    @Test("a skipped call has no result, and its method is not called")
    func skipped() async throws {
        let bench = try self.bench(Decider(call: { $0.arguments != [1, 2] }))
        #expect(try await bench.call("add", "[1,2]") == .void)
        #expect(self.journal.entries == [])
        #expect(try await bench.call("add", "[2,2]").text == "4")
    }

    @Test("a call with an argument that can't be shown to modules reaches neither them nor the hub")
    func nothingPassesBy() async throws {
        let bench = try self.bench(Scribe(name: "one", journal: self.journal))
        #expect(try await bench.call("add", #"[1,{"hidden":1e999}]"#).failure?.kind == .argumentMismatch)
        #expect(self.journal.entries == [])
    }

    @Test("what a module throws before a call fails the call")
    func refusing() async throws {
        let bench = try self.bench(Decider(call: { _ in throw HubError("We are back at noon.") }))
        let failure = try await bench.call("add", "[1,2]").failure
        #expect(failure?.isHubError == true)
        #expect(failure?.message == "We are back at noon.")
    }

    @Test("a module may exchange the result")
    func results() async throws {
        let bench = try self.bench(Decider(result: { try CallResult([$0.value]) }))
        #expect(try await bench.call("add", "[1,2]").text == "[3]")
        #expect(try await bench.call("send", #"["x"]"#).text == "[null]")
    }

    @Test("classic 73: a module turns a failure into a success, or into an error that the client sees")
    func failures() async throws {
        let healed = try self.bench(Decider(failure: { $0.result = $0.error is WorkHub.Broken ? .nothing : nil }))
        #expect(try await healed.call("crash") == .void)
        #expect(try await healed.call("nothing").failure?.kind == .unknownMethod)
        let valued = try self.bench(Decider(failure: { $0.result = try? CallResult(["ok": true]) }))
        #expect(try await valued.call("crash").text == #"{"ok":true}"#)
        let told = try self.bench(Decider(failure: { $0.error = HubError("told", data: 7) }))
        let failure = try #require(try await told.call("crash").failure)
        #expect(failure.isHubError)
        #expect(failure.data?.text == "7")
        let untouched = try self.bench(Decider())
        #expect(try await untouched.call("crash").failure?.kind == .thrown("Broken"))
    }

    @Test("classic 73: over a connection the client gets what the module made of the failure")
    func failureOverTheWire() async throws {
        let pipeline = HubPipeline(modules: [Decider(failure: { $0.error = HubError("told", data: ["code": 7]) })])
        try await Room.open(pipeline: pipeline) { room in
            let peer = try await room.classic("a")
            _ = try await peer.envelope()
            try await peer.call("crash", id: 1)
            #expect(await peer.next() == #"{"I":"1","H":true,"E":"told","D":{"code":7}}"#)
        }
    }

    @Test("messages to clients pass the modules, those from outside hubs too, and may be kept back")
    func outgoing() async throws {
        let journal = self.journal
        let pipeline = HubPipeline(modules: [
            Scribe(name: "one", journal: journal), Decider(message: { $0.arguments != ["secret"] }),
        ])
        try await Room.open(pipeline: pipeline) { room in
            let peer = try await room.classic("a")
            _ = try await peer.envelope()
            try await peer.call("send", #"["secret"]"#, id: 1)
            #expect(await peer.next() == #"{"I":"1"}"#)
            let context = try #require(room.runtime.context(for: TestHub.self))
            try await context.clients.all.received("secret")
            try await context.clients.groupExcept("g", ["x"]).received("nobody")
            try await context.clients.client("a").received("open")
            #expect(try await peer.messages(until: #"["open"]"#) == [#"["open"]"#])
        }
        #expect(
            journal.entries.filter { $0.contains("sen") && !$0.contains("TestHub") } == [
                "one sends received all []", "one sent", "one sends received all []", "one sent",
                #"one sends received group("g") ["x"]"#, "one sent", #"one sends received connection("a") []"#,
                "one sent",
            ])
    }

    @Test("events pass the modules, which may keep them from the hub or fail them")
    func events() async throws {
        let bench = try self.bench(Scribe(name: "one", journal: self.journal))
        let ending = Disconnection(.stoppedByClient)
        #expect(await bench.hub.connected(bench.context, publisher: bench.recorder) == nil)
        #expect(await bench.hub.reconnected(bench.context, publisher: bench.recorder) == nil)
        #expect(await bench.hub.disconnected(bench.context, ending: ending, publisher: bench.recorder) == nil)
        #expect(
            self.journal.entries == [
                "one before WorkHub connected", "hub connected", "one after event", "one before WorkHub reconnected",
                "hub reconnected", "one after event", "one before WorkHub disconnected(stoppedByClient)",
                "hub disconnected", "one after event",
            ])
        let skipping = try self.bench(Decider(event: { $0.kind != .connected }))
        #expect(await skipping.hub.connected(bench.context, publisher: bench.recorder) == nil)
        #expect(self.journal.count("hub connected") == 1)
        let failing = try self.bench(Decider(event: { _ in throw HubError("no") }))
        #expect(await failing.hub.connected(bench.context, publisher: bench.recorder)?.message == "no")
    }

    @Test("a module may keep somebody from connecting, whatever the hub asks for")
    func connecting() throws {
        let bench = try self.bench(Decider(connect: { $0.request.path == "/open" && $0.method == nil }))
        #expect(bench.hub.admits(nil, ConnectionRequest(path: "/open")))
        #expect(!bench.hub.admits(nil, ConnectionRequest(path: "/other")))
    }

    @Test("classic 57: who comes back to another node rejoins what the modules let it, hub by hub, without prefixes")
    func rejoining() async throws {
        let seen = Mutex<[String: [String]]>([:])
        let pipeline = HubPipeline(modules: [
            Decider(groups: { groups, hub in
                seen.withLock { $0[hub] = groups.sorted() }
                return groups.filter { $0 != "dropped" }
            })
        ])
        try await Room.open(pipeline: pipeline) { room in
            let token = room.runtime.groupsToken(
                [
                    HubGroup(hub: "TestHub", name: "kept"), HubGroup(hub: "TestHub", name: "dropped"),
                    HubGroup(hub: "Other", name: "theirs"), HubGroup(hub: "Gone", name: "gone"),
                ], connectionID: "a")
            let peer = try await room.classic(
                "a", kind: .reconnect(cursor: nil), hubs: ["testhub", "other"], token: token)
            await room.journal.wait(for: "reconnected a")
            for group in ["dropped", "theirs", "kept"] { try await peer.call("toGroup", "[\"\(group)\",\"\(group)\"]") }
            #expect(try await peer.messages(until: #"["kept"]"#) == [#"["kept"]"#])
        }
        #expect(seen.withLock { $0 } == ["TestHub": ["dropped", "kept"], "Other": ["theirs"]])
    }

    @Test("trap 12: a hub that can't be made hears of no event and keeps no other from its own")
    func unavailable() async throws {
        struct Unmade: Error {}
        try await Room.open(hubs: [.hub(WorkHub.self) { _ in throw Unmade() }]) { room in
            let peer = try await room.classic("a", hubs: ["workhub", "testhub"])
            _ = try await peer.envelope()
            #expect(await room.runtime.classic.start(id: "a") == .started)
            #expect(room.journal.count("connected a") == 1)
        }
    }
}
