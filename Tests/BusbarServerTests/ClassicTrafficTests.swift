import BusbarHub
import BusbarServer
import NIOCore
import Testing

/// A classic client past `/start`.
struct StartedClassicClient: Sendable {
    let socket: RawClient
    let query: String

    static func open(_ server: TestServer, base: String = "/signalr") async throws -> Self {
        let query = try await ClassicClient.negotiate(server, base: base)
        let socket = try await RawClient.openSocket(port: server.port, "\(base)/connect?\(query)&tid=3")
        _ = try await socket.receiveText { $0.contains(#""S":1"#) && $0.contains(#""M":["#) }
        let start = try await server.get("\(base)/start?\(query)")
        guard start.status == 200, start.body == #"{ "Response": "started" }"# else {
            throw MalformedResponse(text: "\(start.status) \(start.body)")
        }
        return Self(socket: socket, query: query)
    }

    func call(_ method: String, _ argument: String, id: Int) async throws {
        try await self.socket.sendText(#"{"H":"echoHub","M":"\#(method)","A":["\#(argument)"],"I":\#(id)}"#)
    }
}

@Suite("Classic clients over WebSocket")
struct ClassicTrafficTests {
    @Test("and core clients of one hub hear each other")
    func bothGenerations() async throws {
        try await TestServer.run { server in
            let classic = try await StartedClassicClient.open(server)
            let core = try await CoreClient.open(server)
            for text in ["from classic", "from core"] {
                if text == "from core" {
                    try await core.sendText(CoreClient.invocation("send", text))
                } else {
                    try await classic.call("send", text, id: 0)
                }
                let heardByClassic = try await classic.socket.receiveText { $0.contains(text) }
                #expect(heardByClassic.contains(#""M":"messageReceived","A":["\#(text)"]"#))
                let heardByCore = try await core.receiveText { $0.contains(text) }
                #expect(heardByCore.contains(#""target":"messageReceived","arguments":["\#(text)"]"#))
            }
        }
    }

    @Test("64 T19 get results of their calls with the id they sent, whatever the case of the method")
    func results() async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server)
            try await client.call("ECHO", "x", id: 7)
            let result = try await client.socket.receiveText { $0.contains(#""I":"7""#) }
            #expect(result == #"{"R":"x","I":"7"}"#)
        }
    }

    @Test("81 may send messages up to the limit, and lose the connection beyond it")
    func longMessages() async throws {
        var settings = HubConfiguration()
        settings.classic.maximumWebSocketMessageBytes = 131_072
        settings.core.maximumReceiveMessageBytes = 131_072
        try await TestServer.run(hubConfiguration: settings) { server in
            let client = try await StartedClassicClient.open(server)
            let long = String(repeating: "x", count: 65_536)
            try await client.call("echo", long, id: 1)
            let result = try await client.socket.receiveText { $0.contains(#""I":"1""#) }
            #expect(result.contains(long))
            try await client.call("echo", long + long, id: 2)
            #expect(try await client.socket.receiveClose() == 1009)
        }
    }

    @Test("81 lose the connection by 65,536 characters at the usual limit")
    func usualLimit() async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server)
            try await client.call("echo", String(repeating: "x", count: 65_536), id: 1)
            #expect(try await client.socket.receiveClose() == 1009)
        }
    }

    @Test(
        "81 may send 8 KiB, or not, as the limit says",
        arguments: [(nil, 65_536, true), (131_072, 65_536, true), (8_192, 8_192, false)] as [(Int?, Int, Bool)])
    func limit(bytes: Int?, length: Int, isAccepted: Bool) async throws {
        var settings = HubConfiguration()
        settings.classic.maximumWebSocketMessageBytes = bytes
        try await TestServer.run(hubConfiguration: settings) { server in
            let client = try await StartedClassicClient.open(server)
            try await client.call("echo", String(repeating: "x", count: length), id: 1)
            if isAccepted {
                #expect(try await client.socket.receiveText { $0.contains(#""I":"1""#) }.utf8.count > length)
            } else {
                #expect(try await client.socket.receiveClose() == 1009)
            }
        }
    }

    @Test("4 35 whose base URL ends like the script's connect, start and call twice, of a hub that has no events")
    func baseURLLikeScript() async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server, base: "/signalr/js")
            for id in 1...2 {
                try await client.call("echo", "call \(id)", id: id)
                let result = try await client.socket.receiveText { $0.contains(#""I":"# + "\"\(id)\"") }
                #expect(result.contains("call \(id)"))
            }
        }
    }

    @Test("that send a binary message are closed")
    func binary() async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server)
            try await client.socket.send(MaskedFrame.make(opcode: 2, ByteBuffer(string: "{}")))
            #expect(try await client.socket.receiveClose() == 1003)
        }
    }

    @Test("40 that abort are closed with 1000, whatever the method of the request", arguments: ["GET", "POST"])
    func abort(method: String) async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server)
            let response = try await server.get("/signalr/abort?\(client.query)", method: method)
            #expect(response.status == 200)
            #expect(try await client.socket.receiveClose() == 1000)
        }
    }

    @Test("T13 are replaced by a second connect with the same token")
    func replaced() async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server)
            let second = try await RawClient.openSocket(port: server.port, "/signalr/connect?\(client.query)")
            _ = try await second.receiveText { $0.contains(#""S":1"#) }
            #expect(try await client.socket.receiveClose() == 1000)
        }
    }

    @Test("46 49 that return with their cursor get what they missed, and no init message")
    func reconnect() async throws {
        try await TestServer.run { server in
            let client = try await StartedClassicClient.open(server)
            let other = try await StartedClassicClient.open(server)
            try await other.call("send", "before", id: 0)
            let envelope = try await client.socket.receiveText { $0.contains("before") }
            let cursor = try #require(ClassicClient.field("C", in: envelope))
            client.socket.close()
            try await other.call("send", "missed", id: 1)
            _ = try await other.socket.receiveText { $0.contains("missed") }
            let back = try await RawClient.openSocket(
                port: server.port,
                "/signalr/reconnect?\(client.query)&messageId=\(ClassicClient.encoded(cursor))")
            let first = try await back.receiveText { $0.contains("messageReceived") }
            #expect(first.contains("missed"))
            #expect(!first.contains("before"))
            #expect(!first.contains(#""S":1"#))
        }
    }
}
