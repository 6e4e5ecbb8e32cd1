import Busbar
import BusbarHub
import BusbarServer
import TestSupport

/// A hub for the cases of the specification: it sends in all directions, reports progress, and waits at a gate.
struct CaseHub: Hub {
    let call: HubCall
    let diary: Diary
    let gate: Gate

    init(_ call: HubCall) { self.init(call, diary: Diary(), gate: Gate()) }

    init(_ call: HubCall, diary: Diary, gate: Gate) {
        self.call = call
        self.diary = diary
        self.gate = gate
    }

    static var name: String { "EchoHub" }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("send", self.send), HubMethod("echo", self.echo), HubMethod("ping", self.ping),
            HubMethod("hold", self.hold), HubMethod("mix", self.mix), HubMethod("tell", self.tell),
            HubMethod("join", self.join), HubMethod("toGroup", self.toGroup), HubMethod("toCaller", self.toCaller),
            HubMethod("fail", self.fail),
        ]
    }

    func connected() async throws {
        self.diary.write("connected")
        if self.context.request.query["greet"] != nil {
            for number in 1...2 { try await self.clients.caller.greeted(number) }
            await self.gate.pass()
            self.diary.write("greeted")
        }
        if self.context.request.query["refuse"] != nil { throw HubError("not you") }
        if self.context.request.query["wait"] != nil { await self.gate.pass() }
        if self.context.request.query["ping"] != nil {
            try await self.groups.add(self.context.id, to: "pinged")
            try await self.ping()
        }
    }

    func reconnected() async throws { self.diary.write("reconnected") }

    func disconnected(_ ending: Disconnection) async { self.diary.write("disconnected \(ending.reason)") }

    func send(text: String) async throws { try await self.clients.all.messageReceived(text) }
    func echo(text: String) -> String { text }
    func ping() async throws { try await self.clients.group("pinged").pinged() }
    func fail(text: String) throws { throw HubError(text) }
    func tell(user: String, text: String) async throws { try await self.clients.user(user).messageReceived(text) }
    func join(group: String) async throws { try await self.groups.add(self.context.id, to: group) }
    func toCaller(text: String) async throws { try await self.clients.caller.messageReceived(text) }

    func toGroup(group: String, text: String) async throws {
        try await self.clients.group(group).messageReceived(text)
    }

    /// Takes until the gate is opened, whatever becomes of the connection.
    func hold(text: String) async -> String {
        self.diary.write("holding \(text)")
        await self.gate.pass()
        self.diary.write("held \(text)")
        return text
    }

    /// A message, a progress report and another message, then the result.
    func mix(number: Int, progress: ProgressReporter<Int>) async throws -> Int {
        try await self.clients.caller.before(number)
        try await progress.report(number)
        try await self.clients.all.behind(number)
        return number
    }
}

extension TestServer {
    /// A server of the hub for the cases.
    static func cases<Result: Sendable>(
        _ settings: HubConfiguration = .init(), bus: Bus? = nil,
        _ configure: (inout ServerConfiguration) -> Void = { _ in },
        body: @escaping @Sendable (TestServer, Diary, Gate) async throws -> Result
    ) async throws -> Result {
        let diary = Diary(), gate = Gate()
        return try await Self.run(
            hubs: [.hub(CaseHub.self, path: "/echo") { CaseHub($0, diary: diary, gate: gate) }],
            hubConfiguration: settings, bus: bus, configure
        ) { server in
            defer { gate.open() }
            return try await body(server, diary, gate)
        }
    }
}
