import BusbarHub
import BusbarProtocol
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// Does what its clients tell it in so many words, and notes the rest.
private struct Raw: PersistentConnection {
    let call: PersistentCall
    let journal: Journal
    init(_ call: PersistentCall) { self.init(call, journal: Journal()) }
    init(_ call: PersistentCall, journal: Journal) { (self.call, self.journal) = (call, journal) }

    static func authorize(_ request: ConnectionRequest, user: Principal?) -> Bool { request.query["refuse"] == nil }
    static func signals(for context: ConnectionContext) -> [String] { context.request.query.values(of: "signal") }
    static func rejoiningGroups(_ groups: [String], context: ConnectionContext) -> [String] {
        groups.filter { $0 != "dropped" }
    }

    func connected() async throws {
        self.journal.note("connected \(self.context.id)")
        if self.context.request.query["fail"] != nil { throw HubError("no") }
    }
    func reconnected() async throws { self.journal.note("reconnected \(self.context.id)") }
    func disconnected(_ ending: Disconnection) async {
        self.journal.note("disconnected \(self.context.id) \(ending.reason)")
    }

    func received(_ data: String) async throws {
        let (command, rest) = data.firstIndex(of: " ").map { (data[..<$0], data[$0...].dropFirst()) } ?? (data[...], "")
        let text = String(rest)
        switch command {
        case "echo": try await self.connection.send(text, to: self.context.id)
        case "all": try await self.connection.broadcast(["text": text])
        case "others": try await self.connection.broadcast(text, except: [self.context.id])
        case "raw": try await self.connection.broadcast(try PreparedJSON(text))
        case "join": try await self.groups.add(self.context.id, to: text)
        case "leave": try await self.groups.remove(self.context.id, from: text)
        case "group": try await self.groups.send(text, to: text)
        case "groups": try await self.groups.send(1, to: ["g", "h"], except: [text])
        case "signal": try await self.connection.send("signalled", toSignal: text)
        case "answer": try self.respond(with: [text])
        case "crash": throw HubError(text)
        default: self.journal.note("received '\(data)'")
        }
    }
}

@Suite("Persistent connections")
struct PersistentConnectionTests {
    private func room(_ body: @escaping @Sendable (Room, Journal) async throws -> Void) async throws {
        let journal = Journal()
        try await Room.open(
            persistentConnections: [
                .connection(Raw.self, path: "/raw") { Raw($0, journal: journal) },
                .connection(Raw.self, path: "/raw/two") { Raw($0, journal: journal) },
            ]
        ) { room in try await body(room, journal) }
    }

    @Test("classic 86: each message is its text, the empty one too; what is sent is a JSON element of M")
    func echo() async throws {
        try await self.room { room, journal in
            let peer = try await room.raw("a")
            try await peer.send("")
            await journal.wait(for: "received ''")
            try await peer.send("{ not json")
            await journal.wait(for: "received '{ not json'")
            try await peer.send("echo +ü\"")
            #expect(try await peer.elements(1) == [#""+ü\"""#])
        }
    }

    @Test("broadcasts reach everybody of the endpoint but those excepted, and nobody of another")
    func broadcast() async throws {
        try await self.room { room, _ in
            let one = try await room.raw("a"), two = try await room.raw("b")
            let other = try await room.raw("c", endpoint: 1), hub = try await room.classic("d")
            _ = try await hub.envelope()
            try await one.send("others 1")
            try await one.send("all 2")
            #expect(try await two.elements(2) == [#""1""#, #"{"text":"2"}"#])
            #expect(try await one.elements(1) == [#"{"text":"2"}"#])
            try await other.send("echo end")
            #expect(try await other.elements(1) == [#""end""#])
            try await hub.call("toCaller", #"["end"]"#)
            #expect(try await hub.messages(until: #"["end"]"#) == [#"["end"]"#])
        }
    }

    @Test(
        "classic 87: prepared JSON is embedded byte for byte",
        arguments: [#"{"price":1.50,"b":[ 1 ]}"#, "null", #""\u0041""#, "1e2"])
    func prepared(text: String) async throws {
        try await self.room { room, _ in
            let peer = try await room.raw("a")
            try await peer.send("raw " + text)
            #expect(try #require(await peer.next()).hasSuffix("\"M\":[\(text)]}"))
        }
    }

    @Test(
        "prepared JSON that is none, or that takes more than one line, is refused",
        arguments: ["", "{", "1 2", "[1,\n2]"])
    func badJSON(text: String) {
        let error = #expect(throws: HubSendError.self) { try PreparedJSON(text) }
        #expect(error?.code == .argumentNotEncodable)
    }

    @Test("classic 52, 53: a group is joined once however often, and heard until it is left")
    func groups() async throws {
        try await self.room { room, _ in
            let peer = try await room.raw("a")
            for command in ["join g", "join g", "group g", "leave g", "group g", "join h", "groups b", "groups a"] {
                try await peer.send(command)
            }
            try await peer.send("echo end")
            #expect(try await peer.elements(3) == [#""g""#, "1", #""end""#])
        }
    }

    @Test("what is sent to a signal reaches those that listen to it")
    func signals() async throws {
        try await self.room { room, _ in
            let one = try await room.raw("a", query: [("signal", "s"), ("signal", "t")])
            let two = try await room.raw("b", query: [("signal", "t")])
            try await one.send("signal s")
            try await one.send("signal t")
            try await one.send("signal unheard")
            #expect(try await one.elements(2) == [#""signalled""#, #""signalled""#])
            #expect(try await two.elements(1) == [#""signalled""#])
        }
    }

    @Test("a direct answer over a WebSocket is a message of its own")
    func answer() async throws {
        try await self.room { room, _ in
            let peer = try await room.raw("a")
            try await peer.send("answer x")
            #expect(await peer.next() == #"["x"]"#)
        }
    }

    @Test("§4.5 data that comes by a request is answered by it: with nothing, the direct answer, or a failure")
    func send() async throws {
        try await self.room { room, journal in
            let peer = try await room.raw("a")
            func send(_ data: String) async -> ClassicSend {
                await room.runtime.classic.send(id: "a", payload: ByteBuffer(string: data))
            }
            #expect(await send("") == .nothing)
            await journal.wait(for: "received ''")
            #expect(await send("answer x") == .result(ByteBuffer(string: #"["x"]"#)))
            #expect(await send("crash x") == .failed)
            #expect(await send("echo x") == .nothing)
            #expect(try await peer.elements(1) == [#""x""#])
            #expect(await room.runtime.classic.send(id: "nobody", payload: ByteBuffer(string: "x")) == .unknown)
        }
    }

    @Test("an error in received concerns nobody else: the connection goes on")
    func crash() async throws {
        try await self.room { room, _ in
            let peer = try await room.raw("a")
            try await peer.send("crash x")
            try await peer.send("echo end")
            #expect(try await peer.elements(1) == [#""end""#])
        }
    }

    @Test("classic 27, 29: the connected event runs at /start, once, and its failure is told")
    func events() async throws {
        try await self.room { room, journal in
            let peer = try await room.raw("a")
            #expect(await room.runtime.classic.start(id: "a") == .started)
            #expect(await room.runtime.classic.start(id: "a") == .started)
            #expect(journal.count("connected a") == 1)
            try await peer.close()
            _ = try await room.raw("a", kind: .reconnect(cursor: nil))
            await journal.wait(for: "reconnected a")
            await room.runtime.classic.abort(id: "a")
            await journal.wait(for: "disconnected a stoppedByClient")
            _ = try await room.raw("b", query: [("fail", "1")])
            #expect(await room.runtime.classic.start(id: "b") == .failed)
        }
    }

    @Test("what was missed is replayed: values, groups and signals")
    func replay() async throws {
        try await self.room { room, journal in
            let peer = try await room.raw("a", query: [("signal", "s")]), other = try await room.raw("b")
            try await peer.send("join g")
            let joined = try await peer.envelope()
            let token = try #require(joined.groupsToken)
            try await peer.close()
            for command in ["all 1", "group g", "signal s", "group h"] { try await other.send(command) }
            try await other.send("done")
            await journal.wait(for: "received 'done'")
            let back = try await room.raw(
                "a", kind: .reconnect(cursor: joined.cursor), token: token, query: [("signal", "s")])
            #expect(try await back.elements(3) == [#"{"text":"1"}"#, #""g""#, #""signalled""#])
        }
    }

    @Test("classic 54, 57: groups from a token are rejoined as the endpoint lets them")
    func rejoining() async throws {
        try await self.room { room, journal in
            let name = room.runtime.persistentConnections[0].name
            let token = room.runtime.groupsToken(
                [HubGroup(hub: name, name: "kept"), HubGroup(hub: name, name: "dropped")], connectionID: "a")
            let peer = try await room.raw("a", kind: .reconnect(cursor: nil), token: token)
            await journal.wait(for: "reconnected a")
            for command in ["group dropped", "group kept"] { try await peer.send(command) }
            #expect(try await peer.elements(1) == [#""kept""#])
            let thief = try await room.raw("b", kind: .reconnect(cursor: nil), token: token)
            await journal.wait(for: "reconnected b")
            try await thief.send("group kept")
            try await thief.send("echo end")
            #expect(try await thief.elements(1) == [#""end""#])
        }
    }

    @Test("from outside, an endpoint is known by its type or its path")
    func outside() async throws {
        try await self.room { room, _ in
            let peer = try await room.raw("a")
            let context = try #require(room.runtime.context(for: Raw.self))
            try await context.groups.add("a", to: "g")
            try await context.groups.send("g", to: "g")
            try await room.runtime.persistentConnection(at: "/RAW/two")?.connection.broadcast("elsewhere")
            try await room.runtime.persistentConnection(at: "/raw")?.connection.send("a", to: ["a", "nobody"])
            #expect(try await peer.elements(2) == [#""g""#, #""a""#])
            #expect(room.runtime.persistentConnection(at: "/none") == nil)
        }
    }

    @Test("empty names are refused before anything is sent")
    func emptyNames() async throws {
        try await self.room { room, _ in
            let context = try #require(room.runtime.context(for: Raw.self))
            for send in [
                { @Sendable in try await context.connection.send(1, to: "") },
                { @Sendable in try await context.connection.send(1, to: ["a", ""]) },
                { @Sendable in try await context.connection.send(1, toSignal: "") },
                { @Sendable in try await context.groups.send(1, to: "") },
                { @Sendable in try await context.groups.add("", to: "g") },
            ] {
                let error = await #expect(throws: HubSendError.self) { try await send() }
                #expect(error?.code == .emptyName)
            }
        }
    }

    @Test("paths must be paths, and differ", arguments: [["raw"], ["/a/"], ["/a b"], ["/a", "/A"], [""]])
    func badPaths(paths: [String]) async throws {
        await #expect(throws: HubRegistrationError.self) {
            try await Room.open(persistentConnections: paths.map { .connection(Raw.self, path: $0) }) { _ in }
        }
    }
}

extension Room {
    /// A client of a persistent connection, after the init message of a connect.
    func raw(
        _ id: String, kind: ClassicOpening.Kind = .connect, endpoint: Int = 0, token: String? = nil,
        query: [(String, String)] = []
    ) async throws -> ClassicPeer {
        let peer = try await ClassicPeer(
            room: self, loop: Array(self.loops.makeIterator())[0],
            opening: Self.opening(
                id, kind: kind, hubs: [self.runtime.persistentConnections[endpoint]], token: token, query: query),
            sink: Sink())
        if case .connect = kind { _ = await peer.next() }
        return peer
    }
}

/// An envelope of any values.
private struct RawEnvelope: Decodable {
    var elements: [JSONNode]?

    private enum CodingKeys: String, CodingKey { case elements = "M" }
}

extension ClassicPeer {
    /// The next elements as JSON, at least `count`.
    func elements(_ count: Int) async throws -> [String] {
        var all: [String] = []
        while all.count < count, let text = await self.next() {
            let envelope = try JSONValueText(text).decode(RawEnvelope.self)
            all += try (envelope.elements ?? []).map { try JSONValueText(encoding: $0).text }
        }
        return all
    }
}
