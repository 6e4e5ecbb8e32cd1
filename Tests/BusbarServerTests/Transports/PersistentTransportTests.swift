import BusbarHub
import BusbarServer
import NIOCore
import Testing

/// Gives back what it is sent, to its client or to everybody, and keeps a diary.
private struct Mirror: PersistentConnection {
    let call: PersistentCall
    let diary: Diary
    init(_ call: PersistentCall) { self.init(call, diary: Diary()) }
    init(_ call: PersistentCall, diary: Diary) { (self.call, self.diary) = (call, diary) }

    func connected() async throws { self.diary.write("connected") }
    func reconnected() async throws { self.diary.write("reconnected") }
    func disconnected(_ ending: Disconnection) async { self.diary.write("disconnected \(ending.reason)") }

    func received(_ data: String) async throws {
        switch data {
        case "direct": try self.respond(with: ["direct": true])
        case "object": try await self.connection.broadcast(["xyz": "uvw"])
        case "array": try await self.connection.broadcast([1, 2])
        case "null": try await self.connection.broadcast(String?.none)
        case "raw": try await self.connection.broadcast(try PreparedJSON(#"{"a": [ 1 ]}"#))
        case "join": try await self.groups.add(self.context.id, to: "g")
        case "group": try await self.groups.send("to the group", to: "g")
        default: try await self.connection.broadcast(data)
        }
    }
}

@Suite("Persistent connections over each transport", .timeLimit(.minutes(1)))
struct PersistentTransportTests {
    /// A client of the endpoint at `/mirror`.
    private struct Client {
        let server: TestServer
        let transport: ClassicTransport
        let query: String
        var socket: RawClient?
        var stream: RawStream?
        var cursor = ""
        var token: String?

        static func connect(_ server: TestServer, _ transport: ClassicTransport) async throws -> Self {
            let answer = try await server.get("/mirror/negotiate?clientProtocol=2.1")
            let token = try #require(ClassicClient.field("ConnectionToken", in: answer.body))
            #expect(answer.body.contains(#""Url":"/mirror""#))
            let query =
                "transport=\(transport.rawValue)&clientProtocol=2.1&frameId=3"
                + "&connectionToken=\(ClassicClient.encoded(token))"
            var client = Self(server: server, transport: transport, query: query)
            try await client.open("connect")
            #expect(try await client.envelope().contains(#""S":1"#))
            let start = try await server.get("/mirror/start?\(query)")
            #expect(start.body == #"{ "Response": "started" }"#)
            return client
        }

        mutating func open(_ ending: String) async throws {
            var target = "/mirror/\(ending)?\(self.query)"
            if !self.cursor.isEmpty { target += "&messageId=\(ClassicClient.encoded(self.cursor))" }
            if let token { target += "&groupsToken=\(ClassicClient.encoded(token))" }
            if self.transport == .webSockets {
                self.socket = try await RawClient.openSocket(port: self.server.port, target)
            } else {
                self.stream = try await RawStream.open(self.server, target)
            }
        }

        mutating func envelope() async throws -> String {
            while true {
                let text: String
                if let socket {
                    text = try await socket.receiveText()
                } else {
                    if self.stream == nil { try await self.open("poll") }
                    text = try await self.stream?.chunk() ?? ""
                    if text.isEmpty || self.transport == .longPolling {
                        self.stream?.close()
                        self.stream = nil
                    }
                }
                guard let cursor = ClassicClient.field("C", in: text) else { continue }
                self.cursor = cursor
                self.token = ClassicClient.field("G", in: text) ?? self.token
                return text
            }
        }

        /// What `M` holds in the next envelope that has messages.
        mutating func elements() async throws -> String {
            while true {
                let envelope = try await self.envelope()
                let parts = envelope.split(separator: #""M":["#, maxSplits: 1)
                guard parts.count == 2, let end = parts[1].ranges(of: "]}").last else { continue }
                let inside = parts[1][..<end.lowerBound]
                if !inside.isEmpty { return String(inside) }
            }
        }

        /// Sends data; what comes back of it directly is returned.
        func send(_ data: String) async throws -> String? {
            if let socket {
                try await socket.sendText(data)
                return nil
            }
            let answer = try await self.server.get(
                "/mirror/send?\(self.query)&data=\(ClassicClient.encoded(data))", method: "POST")
            #expect(answer.status == 200)
            return answer.body
        }

        func drop() {
            self.socket?.close()
            self.stream?.close()
        }
    }

    private static func run(_ body: @escaping @Sendable (TestServer, Diary) async throws -> Void) async throws {
        let diary = Diary()
        try await TestServer.run(
            persistentConnections: [.connection(Mirror.self, path: "/mirror") { Mirror($0, diary: diary) }]
        ) { server in try await body(server, diary) }
    }

    @Test(
        "86 87 get strings, objects, arrays, null and prepared bytes as elements of M",
        arguments: ClassicTransport.allCases)
    func elements(transport: ClassicTransport) async throws {
        try await Self.run { server, _ in
            var client = try await Client.connect(server, transport)
            for (data, element) in [
                ("1.test", #""1.test""#), ("object", #"{"xyz":"uvw"}"#), ("array", "[1,2]"), ("null", "null"),
                ("raw", #"{"a": [ 1 ]}"#), ("+ & %", #""+ & %""#),
            ] {
                let answer = try await client.send(data)
                #expect(answer == nil || answer == "")
                #expect(try await client.elements() == element)
            }
        }
    }

    @Test(
        "§4.5 get what they are answered directly: as a message of its own, or as the answer to the request",
        arguments: ClassicTransport.allCases)
    func direct(transport: ClassicTransport) async throws {
        try await Self.run { server, _ in
            let client = try await Client.connect(server, transport)
            let answer = try await client.send("direct")
            if let socket = client.socket {
                #expect(try await socket.receiveText() == #"{"direct":true}"#)
            } else {
                #expect(answer == #"{"direct":true}"#)
            }
        }
    }

    @Test(
        "49 58 come back with cursor and groups token, miss nothing and are in their groups; 38 and end by abort",
        arguments: ClassicTransport.allCases)
    func returning(transport: ClassicTransport) async throws {
        try await Self.run { server, diary in
            var client = try await Client.connect(server, transport)
            _ = try await client.send("join")
            while client.token == nil { _ = try await client.envelope() }
            client.drop()
            let other = try await Client.connect(server, .serverSentEvents)
            for data in ["missed", "group", "last"] { _ = try await other.send(data) }
            try await client.open("reconnect")
            var heard = ""
            while !heard.contains("last") { heard += try await client.elements() + "," }
            #expect(heard == #""missed","to the group","last","#)
            try await server.wait(for: "the event") { diary.count("reconnected") == 1 }
            #expect(try await server.get("/mirror/abort?\(client.query)").status == 200)
            try await server.wait(for: "the end") { diary.count("disconnected stoppedByClient") == 1 }
            client.drop()
            #expect(try await server.get("/mirror/abort?\(other.query)").status == 200)
            other.drop()
            try await server.waitUntilNothingIsLeft()
        }
    }
}
