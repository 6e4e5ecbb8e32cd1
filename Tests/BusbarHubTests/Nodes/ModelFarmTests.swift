import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

private struct Mirror: PersistentConnection {
    let call: PersistentCall
    init(_ call: PersistentCall) { self.call = call }

    func received(_ data: String) async throws {
        try await self.groups.add(self.context.id, to: "g")
        try await self.connection.broadcast(data)
        try self.respond(with: data.count)
    }
}

private struct LongHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] { [HubMethod("work", work)] }

    func work(progress: ProgressReporter<Int>) async throws -> String? {
        let name: String? = self.clients.callerState.name
        self.clients.callerState.seen = true
        try await progress.report(50)
        try await self.clients.caller.heard(name)
        return name
    }
}

@Suite("The classic programming model on a farm")
struct ModelFarmTests {
    @Test("case 63: data that arrives at another node is handled where the connection is, and answered by that node")
    func data() async throws {
        try await RoomFarm.open(persistentConnections: [.connection(Mirror.self, path: "/mirror")]) { farm in
            let one = try await farm.rooms[0].raw("a"), two = try await farm.rooms[1].raw("b")
            let answer = await farm.rooms[1].runtime.classic.send(id: "a", payload: ByteBuffer(string: "four"))
            #expect(answer == .result(ByteBuffer(string: "4")))
            #expect(try await one.elements(1) == [#""four""#])
            #expect(try await two.elements(1) == [#""four""#])
            try await farm.rooms[1].runtime.context(for: Mirror.self)?.groups.send("g", to: "g")
            #expect(try await one.elements(1) == [#""g""#])
        }
    }

    @Test("classic 74, 75: state and progress of a call that arrives at another node reach its client")
    func stateAndProgress() async throws {
        try await RoomFarm.open(hubs: [.hub(LongHub.self)]) { farm in
            let peer = try await farm.rooms[0].classic("a", hubs: ["LongHub"])
            _ = try await peer.envelope()
            let call = ByteBuffer(string: #"{"H":"longHub","M":"work","I":7,"S":{"name":"Bob"}}"#)
            let answer = await farm.rooms[1].runtime.classic.send(id: "a", payload: call)
            #expect(answer == .result(ByteBuffer(string: #"{"S":{"seen":true},"R":"Bob","I":"7"}"#)))
            let progress = #"{"S":{"seen":true},"I":"P|7","P":{"I":"7","D":50}}"#
            let message = #"{"H":"LongHub","M":"heard","A":["Bob"],"S":{"seen":true}}"#
            var heard = ""
            while !heard.contains(message), let text = await peer.next() { heard += text }
            let order = try [progress, message].map { try #require(heard.firstRange(of: $0)).lowerBound }
            #expect(order[0] < order[1])
        }
    }

    @Test("classic 57: who comes back to the other node is in its groups there")
    func comingBack() async throws {
        try await RoomFarm.open(persistentConnections: [.connection(Mirror.self, path: "/mirror")]) { farm in
            let peer = try await farm.rooms[0].raw("a")
            try await peer.send("join")
            var token: String?
            var cursor: String?
            while token == nil || cursor == nil, let text = await peer.next() {
                let found = try? JSONValueText(text).decode([String: JSONNode].self)
                if case .string(let text)? = found?["G"] { token = text }
                if case .string(let text)? = found?["C"] { cursor = text }
            }
            let back = try await farm.rooms[1].raw("a", kind: .reconnect(cursor: cursor), token: token)
            try await farm.rooms[0].runtime.context(for: Mirror.self)?.groups.send("still in", to: "g")
            var elements: [String] = []
            // Why anywhere: what the connection itself was saying may come behind it.
            while !elements.contains(#""still in""#) {
                let more = try await back.elements(1)
                if more.isEmpty { break }
                elements += more
            }
            #expect(elements.contains(#""still in""#))
        }
    }
}
