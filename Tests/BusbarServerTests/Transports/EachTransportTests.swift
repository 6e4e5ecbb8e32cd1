import BusbarHub
import BusbarServer
import NIOCore
import TestSupport
import Testing

/// Cases that hold for all four transports alike.
@Suite("Classic clients over each transport", .timeLimit(.minutes(3)))
struct EachTransportTests {
    @Test(
        "19 T1 of every protocol version connect and call over WebSocket as well",
        arguments: [nil, "1.2", "1.3", "1.4", "1.5", "2.0", "2.1"] as [String?])
    func versions(version: String?) async throws {
        try await TestServer.cases { server, diary, _ in
            let client = try await ClassicTransport.webSockets.client(server, version: version ?? "")
            #expect(try await client.connect().contains(#""S":1,"#))
            if (version ?? "1.2") < "1.4" { #expect(diary.all == ["connected"]) }
            #expect(try await client.result(of: "send", #"["x"]"#) == #"{"I":"0"}"#)
            #expect(try await client.envelope(containing: "messageReceived").contains(#""A":["x"]"#))
        }
    }

    @Test(
        "28 hear what their connected event sends while it still runs, and are started when it has ended",
        arguments: ClassicTransport.allCases)
    func slowConnected(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, diary, gate in
            let client = try await transport.client(server, more: "greet=1")
            try await client.connect()
            async let start = server.get("/signalr/start?\(client.query)")
            let greetings = try await client.everything(until: #""A":[2]"#)
            #expect(greetings.count(of: #""A":[1]"#) == 1)
            let first = try #require(greetings.range(of: #""A":[1]"#))
            let second = try #require(greetings.range(of: #""A":[2]"#))
            #expect(first.lowerBound < second.lowerBound)
            #expect(diary.all == ["connected"], "the event still runs")
            gate.open()
            #expect(try await start.body == #"{ "Response": "started" }"#)
            #expect(diary.all == ["connected", "greeted"])
        }
    }

    @Test(
        "30 are pinged once by the group that their connected event puts them in, and once more when they ask for it",
        arguments: ClassicTransport.allCases)
    func twoPings(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, _, _ in
            let client = try await transport.started(server, more: "ping=1")
            #expect(try await client.result(of: "ping") == #"{"I":"0"}"#)
            _ = try await client.result(of: "send", #"["fence"]"#)
            #expect(try await client.everything(until: "fence").count(of: "pinged") == 2)
        }
    }

    @Test(
        "29 31 T12 before 1.4 are never initialized when their event fails: each receive request fails and leaves nothing",
        arguments: ClassicTransport.allCases)
    func neverInitialized(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, diary, _ in
            let client = try await transport.client(server, version: "1.3", more: "refuse=1")
            try await client.open("connect")
            await #expect(throws: (any Error).self) { try await client.envelope() }
            client.close()
            try await server.waitUntilNothingIsLeft()
            #expect(diary.all == ["connected", "disconnected refused"])
        }
    }

    @Test(
        "32 45 before 1.4 a poll that is answered before the connected event has ended is followed by one with the init message"
    )
    func initInSecondAnswer() async throws {
        try await TestServer.cases { server, diary, gate in
            let client = try await ClassicTransport.longPolling.client(server, version: "1.3", more: "wait=1")
            let other = try await ClassicTransport.serverSentEvents.started(server)
            func poll(_ cursor: String) async throws -> RawStream {
                try await RawStream.open(
                    server, "/signalr/poll?\(client.query)&messageId=\(ClassicClient.encoded(cursor))")
            }
            let first = try await RawStream.open(server, "/signalr/connect?\(client.query)")
            try await server.wait(for: "the event") { diary.count("connected") == 2 }
            let second = try await RawStream.open(server, "/signalr/connect?\(client.query)")
            var answer = try await first.rest()
            #expect(!answer.contains(#""S":1"#))
            let third = try await poll(try #require(ClassicClient.field("C", in: answer)))
            #expect(try await !second.rest().contains(#""S":1"#))
            _ = try await other.result(of: "send", #"["early"]"#)
            answer = try await third.rest()
            #expect(answer.contains("early") && !answer.contains(#""S":1"#))
            gate.open()
            answer = try await poll(try #require(ClassicClient.field("C", in: answer))).rest()
            #expect(answer.contains(#""S":1"#) && !answer.contains("early"))
            let last = try await poll(try #require(ClassicClient.field("C", in: answer)))
            _ = try await other.result(of: "send", #"["last"]"#)
            #expect(try await last.rest().split(separator: "messageReceived").count == 2)
        }
    }

    @Test(
        "38 41 T11 abort gets an empty answer, ends the channel, and has the event tell of the client's wish, once",
        arguments: ClassicTransport.allCases)
    func abort(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, diary, _ in
            let client = try await transport.started(server)
            if transport == .longPolling { try await client.open("poll") }
            // Why a call before: stopping right after one must be no slower.
            _ = try await client.result(of: "echo", #"["x"]"#)
            for _ in 0..<2 {
                let answer = try await client.abort()
                #expect(answer.status == 200)
                #expect(answer["content-type"] == "text/plain")
                #expect(answer.body.isEmpty)
            }
            try await client.rest()
            try await server.wait(for: "the event") { diary.all.last == "disconnected stoppedByClient" }
            #expect(diary.all == ["connected", "disconnected stoppedByClient"])
        }
    }

    @Test("40 abort after the channel is gone still counts as the client's wish", arguments: ClassicTransport.allCases)
    func lateAbort(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, diary, _ in
            let client = try await transport.started(server)
            client.close()
            #expect(try await client.abort().status == 200)
            try await server.wait(for: "the event") { diary.all.last == "disconnected stoppedByClient" }
            #expect(diary.all == ["connected", "disconnected stoppedByClient"])
            try await server.waitUntilNothingIsLeft()
        }
    }

    @Test("39 who vanishes without a word is given up when its time is over, once, whatever its transport")
    func vanished() async throws {
        var settings = HubConfiguration()
        settings.classic.disconnectTimeout = .seconds(6)
        settings.classic.keepAlive = .seconds(2)
        try await TestServer.cases(settings) { server, diary, _ in
            let transports = ClassicTransport.allCases
            for transport in transports {
                let client = try await transport.started(server)
                if transport == .longPolling { try await client.open("poll") }
                client.close()
            }
            try await server.waitUntilNothingIsLeft()
            #expect(diary.count("disconnected lost") == transports.count)
            #expect(diary.all.count == 2 * transports.count)
        }
    }

    @Test("61 a user's three connections on three transports hear what is for the user, and nobody else does")
    func users() async throws {
        try await TestServer.cases(.init(), { $0.userID = { request, _ in request.query["uid"] } }) { server, _, _ in
            let mine: [ClassicTransport] = [.webSockets, .serverSentEvents, .longPolling]
            var clients: [any ClassicTestClient] = []
            for transport in mine { clients.append(try await transport.started(server, more: "uid=u")) }
            let other = try await ClassicTransport.foreverFrame.started(server, more: "uid=v")
            _ = try await other.result(of: "tell", #"["u","for u"]"#)
            _ = try await other.result(of: "send", #"["fence"]"#)
            for client in clients { #expect(try await client.everything(until: "fence").count(of: "for u") == 1) }
            #expect(try await !other.everything(until: "fence").contains("for u"))
        }
    }

    @Test(
        "69 91 text comes and goes unchanged: plus signs, what looks like a date, what looks like markup",
        arguments: ClassicTransport.allCases)
    func texts(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, _, _ in
            let client = try await transport.started(server)
            for text in ["+", "2013-08-13T17:41:25.7342Z", "/Date(1198908717056)/", "2012-02-30", "a+b%20&=;#"] {
                #expect(try await client.result(of: "echo", "[\"\(text)\"]") == #"{"R":"\#(text)","I":"0"}"#)
                _ = try await client.result(of: "send", "[\"\(text)\"]")
                #expect(try await client.envelope(containing: "messageReceived").contains(#""A":["\#(text)"]"#))
            }
        }
    }

    @Test("34 T13 of a thousand WebSockets with one id the newest stays, the others are closed in good order")
    func sockets() async throws {
        try await TestServer.cases { server, diary, _ in
            let query = try await ClassicClient.negotiate(server)
            var sockets: [RawClient] = []
            try await withThrowingTaskGroup(of: RawClient.self) { group in
                for _ in 0..<1_000 {
                    group.addTask { try await RawClient.openSocket(port: server.port, "/signalr/connect?\(query)") }
                }
                for try await socket in group { sockets.append(socket) }
            }
            let last = ClassicSocketClient(server, query: query)
            #expect(try await last.connect().contains(#""S":1"#))
            for socket in sockets {
                #expect(try await socket.receiveClose() == 1_000)
                socket.close()
            }
            #expect(try await last.started().result(of: "echo", #"["x"]"#) == #"{"R":"x","I":"0"}"#)
            #expect(diary.all == ["connected"])
        }
    }

    @Test("75 T6 on one WebSocket messages, progress and results never overtake each other, however many calls are out")
    func order() async throws {
        try await TestServer.cases { server, _, _ in
            let client = ClassicSocketClient(server, query: try await ClassicClient.negotiate(server))
            try await client.connect()
            async let noise: Void = {
                let other = try await ClassicTransport.serverSentEvents.started(server)
                for _ in 0..<100 { _ = try await other.result(of: "send", #"["noise"]"#) }
            }()
            let socket = try #require(client.socket)
            let calls = 0..<50
            for number in calls { try await client.call("mix", "[\(number)]", id: number) }
            var seen = ""
            while !seen.contains(#"{"R":49,"I":"49"}"#) { seen += try await socket.receiveText() }
            try await noise
            let pattern = /"M":"(before|behind)","A":\[(\d+)\]|"P":\{"I":"(\d+)"|\{"R":\d+,"I":"(\d+)"\}/
            let order = seen.matches(of: pattern).map { match in
                if let kind = match.1 { return "\(kind) \(match.2 ?? "")" }
                return match.3.map { "progress \($0)" } ?? "result \(match.4 ?? "")"
            }
            let isResult = { (entry: String) in entry.hasPrefix("result") }
            #expect(
                order.filter { !isResult($0) }
                    == calls.flatMap { ["before \($0)", "progress \($0)", "behind \($0)"] })
            #expect(order.filter(isResult) == calls.map { "result \($0)" })
            // Why no more: the next call may already speak while a result still waits for what its own call has said.
            for number in calls {
                let said = try #require(order.firstIndex(of: "behind \(number)"))
                #expect(try #require(order.firstIndex(of: "result \(number)")) > said)
            }
        }
    }
}
