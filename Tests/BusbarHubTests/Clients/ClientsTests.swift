import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

/// The contract of the example in the documentation.
private struct ChatClient: ClientContract {
    let proxy: ClientProxy

    init(_ proxy: ClientProxy) { self.proxy = proxy }

    func messageReceived(_ text: String) async throws {
        try await self.proxy.messageReceived(text)
    }
}

/// The hub of the example in the documentation.
private struct ChatHub: Hub {
    let call: HubCall

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [HubMethod("send", send), HubMethod("join", join), HubMethod("greet", greet)]
    }

    func send(text: String) async throws {
        try await self.clients.all.messageReceived(text)
    }

    func join(room: String) async throws {
        try await self.groups.add(self.context.id, to: room)
    }

    func greet() async throws {
        try await self.clients.typed(ChatClient.self).others.messageReceived("hello")
    }
}

@Suite("Whom hubs send to")
struct ClientsTests {
    private let recorder = Recorder()
    private var clients: HubCallerClients {
        ChatHub(HubCall(context: .make("me"), hub: "ChatHub", publisher: self.recorder)).clients
    }

    @Test("core 1: a call to all is one message with its name and arguments")
    func all() async throws {
        try await self.clients.all.Hello("World")
        let message = try #require(self.recorder.messages.first)
        #expect(self.recorder.messages.count == 1)
        #expect(message.hub == "ChatHub")
        #expect(message.audience == .all(except: []))
        #expect(message.method == "Hello")
        #expect(message.argumentsText == #"["World"]"#)
        #expect(message.callerState == nil)
    }

    @Test("classic 59: others and all but some name who gets nothing")
    func exceptions() async throws {
        try await self.clients.others.m()
        try await self.clients.othersInGroup("g").m()
        try await self.clients.othersInGroups(["g", "h"]).m()
        try await self.clients.allExcept("a", "b").m()
        try await self.clients.allExcept(["a"]).m()
        #expect(
            self.recorder.audiences == [
                .all(except: ["me"]), .group("g", except: ["me"]), .group("g", except: ["me"]),
                .group("h", except: ["me"]), .all(except: ["a", "b"]), .all(except: ["a"]),
            ])
    }

    @Test("core 3, 4, 5: groups, groups but some, and single connections")
    func targets() async throws {
        try await self.clients.group("g").m()
        try await self.clients.groupExcept("g", ["c2"]).m()
        try await self.clients.client("c1").m()
        try await self.clients.caller.m()
        #expect(
            self.recorder.audiences == [
                .group("g", except: []), .group("g", except: ["c2"]), .connection("c1"), .connection("me"),
            ])
    }

    @Test("core 16, 19, 20: a list is one message for each target, all with the same arguments")
    func lists() async throws {
        try await self.clients.groups(["g1", "g2"]).m(1)
        try await self.clients.users(["A", "B"]).m(1)
        try await self.clients.clients(["c1", "c3"]).m(1)
        #expect(
            self.recorder.audiences == [
                .group("g1", except: []), .group("g2", except: []), .user("A"), .user("B"), .connection("c1"),
                .connection("c3"),
            ])
        #expect(self.recorder.messages.allSatisfy { $0.argumentsText == "[1]" })
    }

    @Test("core 18: user ids are compared exactly")
    func users() async throws {
        try await self.clients.user("A").m()
        try await self.clients.user("a").m()
        #expect(self.recorder.audiences == [.user("A"), .user("a")])
    }

    @Test("a name that appears twice in a list counts once")
    func repeats() async throws {
        try await self.clients.clients(["c1", "c2", "c1"]).m()
        #expect(self.recorder.audiences == [.connection("c1"), .connection("c2")])
    }

    @Test("classic 60: empty lists reach nobody and succeed")
    func emptyLists() async throws {
        let nobody: [String] = []
        try await self.clients.clients(nobody).m()
        try await self.clients.groups(nobody).m()
        try await self.clients.users(nobody).m()
        try await self.clients.othersInGroups(nobody).m()
        #expect(self.recorder.messages.isEmpty)
    }

    @Test("core 23: an empty name is a typed error, and nothing is sent to the others of its list")
    func emptyNames() async throws {
        let clients = self.clients
        let targets = [
            clients.group(""), clients.groups(["g", ""]), clients.client(""), clients.clients(["c", ""]),
            clients.user(""), clients.users(["u", ""]), clients.othersInGroup(""),
        ]
        for target in targets {
            let error = await #expect(throws: HubSendError.self) { try await target.m() }
            #expect(error?.code == .emptyName)
        }
        let error = await #expect(throws: HubSendError.self) { try await clients.all.send("") }
        #expect(error?.code == .emptyName)
        #expect(self.recorder.messages.isEmpty)
    }

    @Test("a name of more than 8 KiB is a typed error")
    func longNames() async throws {
        let clients = self.clients
        try await clients.group(String(repeating: "g", count: 8_192)).m()
        let error = await #expect(throws: HubSendError.self) {
            try await clients.group(String(repeating: "g", count: 8_193)).m()
        }
        #expect(error?.code == .tooLarge)
    }

    @Test("classic 79: a callback whose name is no identifier", arguments: [#"!!!|\CallMeBack,,,!!!"#, "a b", "send"])
    func oddNames(name: String) async throws {
        try await self.clients.all.send(name, 1, "two")
        #expect(self.recorder.messages.map(\.method) == [name])
        #expect(self.recorder.messages.map(\.argumentsText) == [#"[1,"two"]"#])
    }

    @Test("core 24: nil is sent as null, beside arguments of any kind")
    func argumentKinds() async throws {
        struct Move: Codable, Sendable { var from: String, to: String? }
        try await self.clients.all.m(
            String?.none, 1, 2.5, true, "x", ["a": [1]], Move(from: "e2", to: "e4"), JSONNode.null)
        #expect(
            self.recorder.messages.map(\.argumentsText)
                == [#"[null,1,2.5,true,"x",{"a":[1]},{"from":"e2","to":"e4"},null]"#])
    }

    @Test("an argument that JSON cannot express is a typed error, and nothing is sent")
    func unencodable() async throws {
        let clients = self.clients
        let error = await #expect(throws: HubSendError.self) { try await clients.all.m("x", Double.nan) }
        #expect(error?.code == .argumentNotEncodable)
        #expect(self.recorder.messages.isEmpty)
    }

    @Test("what the bus refuses with reaches the caller")
    func refused() async throws {
        let refusal = HubSendError(.notAccepted, "the backplane is away")
        let context = HubContext(hub: "ChatHub", publisher: Recorder(refusing: refusal))
        await #expect(throws: refusal) { try await context.clients.all.m() }
        await #expect(throws: refusal) { try await context.groups.add("c", to: "g") }
    }

    @Test("classic 62: from outside any call everybody can be reached and groups be changed")
    func outside() async throws {
        let context = HubContext(hub: "ChatHub", publisher: self.recorder)
        #expect(context.name == "ChatHub")
        try await context.clients.all.m()
        try await context.clients.group("g").m()
        try await context.clients.groups(["h"]).m()
        try await context.clients.client("c").m()
        try await context.clients.clients(["d"]).m()
        try await context.clients.user("u").m()
        try await context.clients.users(["v"]).m()
        try await context.groups.add("c", to: "g")
        try await context.groups.remove("c", from: "g")
        #expect(
            self.recorder.audiences == [
                .all(except: []), .group("g", except: []), .group("h", except: []), .connection("c"),
                .connection("d"), .user("u"), .user("v"),
            ])
        #expect(
            self.recorder.changes == [
                GroupChange(.add, hub: "ChatHub", group: "g", connectionID: "c"),
                GroupChange(.remove, hub: "ChatHub", group: "g", connectionID: "c"),
            ])
    }

    @Test("classic 78: a typed contract sends under its own names, to every kind of target")
    func typed() async throws {
        let chat = self.clients.typed(ChatClient.self)
        try await chat.all.messageReceived("a")
        try await chat.caller.messageReceived("b")
        try await chat.group("g").messageReceived("c")
        try await HubContext(hub: "ChatHub", publisher: self.recorder).clients.typed(ChatClient.self)
            .user("u").messageReceived("d")
        #expect(self.recorder.messages.map(\.method) == Array(repeating: "messageReceived", count: 4))
        #expect(
            self.recorder.audiences == [
                .all(except: []), .connection("me"), .group("g", except: []), .user("u"),
            ])
        #expect(self.recorder.messages.map(\.argumentsText) == [#"["a"]"#, #"["b"]"#, #"["c"]"#, #"["d"]"#])
    }

    @Test("the hub of the documentation does what it says")
    func documented() async throws {
        let bench = try Bench(.hub(ChatHub.self, path: "/chat"))
        #expect(try await bench.call("send", #"["hello"]"#) == .void)
        #expect(try await bench.call("greet") == .void)
        #expect(try await bench.call("join", #"["red"]"#) == .void)
        #expect(bench.recorder.audiences == [.all(except: []), .all(except: ["c1"])])
        #expect(bench.recorder.changes.map(\.group) == ["red"])
    }
}
