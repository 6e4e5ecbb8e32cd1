import Busbar
import BusbarHub
import BusbarServer
import Synchronization

/// What the hubs of a test have seen, in order.
final class Diary: Sendable {
    private let lines = Mutex<[String]>([])

    func write(_ line: String) { self.lines.withLock { $0.append(line) } }

    var all: [String] { self.lines.withLock { $0 } }

    func count(_ line: String) -> Int { self.all.count { $0 == line } }
}

/// A hub whose methods send in all directions and whose events are written down.
struct ChattyHub: Hub {
    let call: HubCall
    let diary: Diary

    init(_ call: HubCall) { self.init(call, diary: Diary()) }

    init(_ call: HubCall, diary: Diary) {
        self.call = call
        self.diary = diary
    }

    static func registration(_ diary: Diary) -> HubRegistration {
        .hub(ChattyHub.self, path: "/echo") { ChattyHub($0, diary: diary) }
    }

    static var name: String { "EchoHub" }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("send", self.send), HubMethod("echo", self.echo), HubMethod("nothing", self.nothing),
            HubMethod("fail", self.fail), HubMethod("count", self.count), HubMethod("join", self.join),
            HubMethod("leave", self.leave), HubMethod("toGroup", self.toGroup), HubMethod("quit", self.quit),
            HubMethod("slow", self.slow), HubMethod("toCaller", self.toCaller),
        ]
    }

    func connected() async throws {
        self.diary.write("connected")
        let query = self.context.request.query
        if query["refuse"] != nil { throw HubError("not you") }
        if query["greet"] != nil {
            try await self.groups.add(self.context.id, to: "greeted")
            try await self.clients.group("greeted").send("greeting", 1)
            try await self.clients.caller.send("greeting", 2)
        }
    }

    func reconnected() async throws { self.diary.write("reconnected") }

    func disconnected(_ ending: Disconnection) async { self.diary.write("disconnected \(ending.reason)") }

    func send(text: String) async throws { try await self.clients.all.messageReceived(text) }
    func echo(text: String) -> String { text }
    func nothing() { self.diary.write("nothing") }
    func fail(text: String) throws { throw HubError(text, data: ["code": 7]) }
    func toCaller(text: String) async throws { try await self.clients.caller.messageReceived(text) }

    /// Counts aloud and returns where it came to.
    func count(to end: Int) async throws -> Int {
        for number in 1...end { try await self.clients.caller.counted(number) }
        return end
    }

    func join(group: String) async throws { try await self.groups.add(self.context.id, to: group) }
    func leave(group: String) async throws { try await self.groups.remove(self.context.id, from: group) }

    func toGroup(group: String, text: String) async throws {
        try await self.clients.group(group).messageReceived(text)
    }

    func quit() { self.context.abort() }

    /// Ends only with its connection.
    func slow() async { await self.context.aborted() }
}

extension TestServer {
    /// A server of the chatty hub.
    static func chat<Result: Sendable>(
        _ settings: HubConfiguration = .init(), bus: Bus? = nil,
        _ configure: (inout ServerConfiguration) -> Void = { _ in },
        body: @escaping @Sendable (TestServer, Diary) async throws -> Result
    ) async throws -> Result {
        let diary = Diary()
        return try await Self.run(
            hubs: [ChattyHub.registration(diary)], hubConfiguration: settings, bus: bus, configure
        ) { server in
            try await body(server, diary)
        }
    }

    /// Waits until `condition` holds, asking again with each answer of the server.
    func wait(for what: String, _ condition: @Sendable () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while !condition() {
            guard ContinuousClock.now < deadline else { throw MalformedResponse(text: "waited in vain for \(what)") }
            _ = try await self.get("/health")
        }
    }
}
