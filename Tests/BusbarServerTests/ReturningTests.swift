import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("Stateful reconnect over WebSocket", .timeLimit(.minutes(2)))
struct ReturningTests {
    private static let separator = "\u{1E}"

    /// What a client did before it is away: it has a token, and a socket past its handshake.
    private static func open(_ server: TestServer, version: Int = 2) async throws -> (token: String, socket: RawClient)
    {
        let answer = try await server.get(
            "/echo/negotiate?negotiateVersion=1&useStatefulReconnect=true", method: "POST")
        #expect(answer.body.contains(#","useStatefulReconnect":true,"availableTransports":"#))
        let token = try #require(ClassicClient.field("connectionToken", in: answer.body))
        let socket = try await RawClient.openSocket(port: server.port, "/echo?id=\(token)")
        try await socket.sendText(#"{"protocol":"json","version":\#(version)}"# + Self.separator)
        #expect(try await socket.receiveText() == "{}" + Self.separator)
        return (token, socket)
    }

    private static func comeBack(_ server: TestServer, _ token: String) async throws -> RawClient {
        try await RawClient.openSocket(port: server.port, "/echo?id=\(token)")
    }

    /// Waits until the server has nothing to come back to any more.
    private static func expectGone(_ server: TestServer, _ token: String) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        var status = 0
        while status != 404, ContinuousClock.now < deadline {
            let client = try await server.connect()
            try await client.send(RawRequest.upgrade("/echo?id=\(token)"))
            status = try await client.receiveResponse().status
            client.close()
        }
        #expect(status == 404)
    }

    private static func heard(_ text: String) -> String {
        #"{"type":1,"target":"messageReceived","arguments":["\#(text)"]}"# + Self.separator
    }

    private static func answered(_ id: Int, _ result: String) -> String {
        #"{"type":3,"invocationId":"\#(id)","result":"\#(result)"}"# + Self.separator
    }

    private static func sequence(_ number: Int) -> String { #"{"type":9,"sequenceId":\#(number)}"# + self.separator }

    private static func ack(_ number: Int) -> String { #"{"type":8,"sequenceId":\#(number)}"# + self.separator }

    /// The next message that is neither a ping nor an acknowledgement.
    private static func next(_ socket: RawClient) async throws -> String {
        try await socket.receiveText { !$0.contains(#""type":6"#) && !$0.contains(#""type":8"#) }
    }

    @Test(
        "core 1.21: whoever comes back gets what it has not acknowledged, then what was said meanwhile, each once and in order"
    )
    func resent() async throws {
        try await TestServer.run { server in
            let (token, first) = try await Self.open(server)
            let other = try await CoreClient.open(server)
            func say(_ text: String) async throws {
                try await other.sendText(CoreClient.invocation("send", text))
                _ = try await other.receiveText { $0.contains("\"\(text)\"") }
            }
            try await say("one")
            #expect(try await Self.next(first) == Self.heard("one"))
            first.close()
            try await say("two")
            try await say("three")
            let second = try await Self.comeBack(server, token)
            for expected in [Self.sequence(1), Self.heard("one"), Self.heard("two"), Self.heard("three")] {
                #expect(try await Self.next(second) == expected)
            }
            try await second.sendText(Self.sequence(1) + Self.ack(2) + CoreClient.invocation("echo", "x", id: "1"))
            #expect(try await Self.next(second) == Self.answered(1, "x"))
            second.close()
            try await say("four")
            let third = try await Self.comeBack(server, token)
            for expected in [Self.sequence(3), Self.heard("three"), Self.answered(1, "x"), Self.heard("four")] {
                #expect(try await Self.next(third) == expected)
            }
        }
    }

    @Test("core 1.21: calls of a client are acknowledged within about a second, and those that it repeats run once")
    func repeats() async throws {
        try await TestServer.run { server in
            let (token, first) = try await Self.open(server)
            try await first.sendText(CoreClient.invocation("echo", "a", id: "1"))
            #expect(try await Self.next(first) == Self.answered(1, "a"))
            _ = try await first.receiveText { $0 == Self.ack(1) }
            try await first.sendText(Self.ack(1))
            try await first.sendText(CoreClient.invocation("echo", "b", id: "2"))
            #expect(try await Self.next(first) == Self.answered(2, "b"))
            first.close()
            let second = try await Self.comeBack(server, token)
            #expect(try await Self.next(second) == Self.sequence(2))
            #expect(try await Self.next(second) == Self.answered(2, "b"))
            try await second.sendText(
                CoreClient.invocation("echo", "before its number", id: "0") + Self.sequence(2)
                    + CoreClient.invocation("echo", "b", id: "2") + CoreClient.invocation("echo", "c", id: "3"))
            #expect(try await Self.next(second) == Self.answered(3, "c"))
            _ = try await second.receiveText { $0 == Self.ack(3) }
        }
    }

    @Test("core 1.21: a new socket takes the place of one that still seems alive, which ends without a goodbye")
    func replaced() async throws {
        try await TestServer.run { server in
            let (token, first) = try await Self.open(server)
            let second = try await Self.comeBack(server, token)
            #expect(try await Self.next(second) == Self.sequence(1))
            #expect(try await first.receiveEnd().readableBytes == 0)
            let third = try await Self.comeBack(server, token)
            #expect(try await Self.next(third) == Self.sequence(1))
            #expect(try await second.receiveEnd().readableBytes == 0)
            try await third.sendText(Self.sequence(1) + CoreClient.invocation("echo", "still here", id: "1"))
            #expect(try await Self.next(third) == Self.answered(1, "still here"))
        }
    }

    @Test("a client that is back may say and hear as much as before")
    func large() async throws {
        try await TestServer.run { server in
            let (token, first) = try await Self.open(server)
            first.close()
            let second = try await Self.comeBack(server, token)
            try await second.sendText(Self.sequence(1))
            let long = String(repeating: "x", count: 30_000)
            for number in 1...40 {
                try await second.sendText(CoreClient.invocation("echo", "\(number) \(long)", id: "\(number)"))
                #expect(
                    try await second.receiveText { $0.contains(#""type":3"#) }
                        == Self.answered(number, "\(number) \(long)"))
                try await second.sendText(Self.ack(number))
            }
        }
    }

    @Test("core 1.21, 1.25: numbers that can't be close the connection with an error, for good", arguments: [9, 8])
    func impossible(type: Int) async throws {
        try await TestServer.run { server in
            let (token, socket) = try await Self.open(server)
            try await socket.sendText(#"{"type":\#(type),"sequenceId":2}"# + Self.separator)
            #expect(
                try await Self.next(socket)
                    == #"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"# + Self.separator)
            #expect(try await socket.receiveClose() == 1000)
            try await Self.expectGone(server, token)
        }
    }

    @Test("core 1.21: after a close frame, a Close message or too long an absence there is nothing to come back to")
    func gone() async throws {
        var settings = HubConfiguration()
        settings.core.reconnectTimeout = .milliseconds(500)
        try await TestServer.run(hubConfiguration: settings) { server in
            let (closed, first) = try await Self.open(server)
            try await first.send(MaskedFrame.close(1000))
            try await first.receiveEnd()
            try await Self.expectGone(server, closed)
            let (ended, second) = try await Self.open(server)
            try await second.sendText(#"{"type":7}"# + Self.separator)
            #expect(try await second.receiveClose() == 1000)
            try await Self.expectGone(server, ended)
            let (late, third) = try await Self.open(server)
            third.close()
            // Why only looked at: a socket in between would count as coming back.
            let deadline = ContinuousClock.now + .seconds(30)
            var body = ""
            while !body.hasPrefix("No Connection"), ContinuousClock.now < deadline {
                body = try await server.get("/echo?id=\(late)", method: "POST").body
            }
            #expect(body == "No Connection with that ID")
        }
    }

    @Test("core 1.21: handshake version 1 turns it off: nothing is acknowledged, and a broken link is the end")
    func version1() async throws {
        try await TestServer.run { server in
            let (token, socket) = try await Self.open(server, version: 1)
            try await socket.sendText(Self.sequence(7) + Self.ack(7) + CoreClient.invocation("echo", "a", id: "1"))
            #expect(try await socket.receiveText() == Self.answered(1, "a"))
            socket.close()
            try await Self.expectGone(server, token)
        }
    }

    @Test("core 1.2: it is not offered where the application does not allow it, whatever the client asks")
    func notAllowed() async throws {
        var settings = HubConfiguration()
        settings.core.allowsStatefulReconnect = false
        try await TestServer.run(hubConfiguration: settings) { server in
            let answer = try await server.get(
                "/echo/negotiate?negotiateVersion=1&useStatefulReconnect=true", method: "POST")
            #expect(answer.body.contains("connectionToken") && !answer.body.contains("useStatefulReconnect"))
        }
    }

    @Test("what a client never acknowledges is held back, then it is too slow, and nobody else notices")
    func neverAcknowledged() async throws {
        var settings = HubConfiguration()
        settings.core.statefulReconnectBufferBytes = 2_000
        settings.outboundLimitBytes = 20_000
        try await TestServer.run(hubConfiguration: settings) { server in
            let (token, silent) = try await Self.open(server)
            let (_, healthy) = try await Self.open(server)
            let text = String(repeating: "y", count: 1_000)
            for number in 1...60 {
                try await healthy.sendText(CoreClient.invocation("send", "\(number) \(text)"))
                #expect(try await Self.next(healthy) == Self.heard("\(number) \(text)"))
                try await healthy.sendText(Self.ack(number))
            }
            let got = try await silent.receiveEnd()
            #expect(got.readableBytes < 4_000, "two messages, the second of which goes beyond the limit")
            try await Self.expectGone(server, token)
        }
    }
}
