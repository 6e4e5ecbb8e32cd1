import Busbar
import BusbarHub
import BusbarServer
import NIOCore
import TestSupport
import Testing

@Suite("Classic clients that come back", .timeLimit(.minutes(3)))
struct ReturningTests {
    private static let room = "group$&+,/:;=?@[]1"

    /// Runs a server and hands over its port and its clients when it has stopped in good order.
    private func firstHost(_ key: FarmKey) async throws -> (port: Int, clients: [any ClassicTestClient]) {
        try await TestServer.cases(bus: TestBus.make(key: key)) { server, _, _ in
            var clients: [any ClassicTestClient] = []
            for transport in ClassicTransport.allCases {
                let client = try await transport.started(server)
                _ = try await client.result(of: "join", "[\"\(Self.room)\"]")
                while client.groupsToken == nil { _ = try await client.envelope() }
                if transport == .longPolling { try await client.open("poll") }
                clients.append(client)
            }
            await server.stop()
            for (transport, client) in zip(ClassicTransport.allCases, clients) {
                if transport == .longPolling {
                    #expect(try await client.envelope().contains(#","T":1,"M":[]}"#))
                }
                try await client.rest()
            }
            return (server.port, clients)
        }
    }

    @Test("42 43 N-46 when the host restarts with the same key, clients return once each, with their groups")
    func restart() async throws {
        let key = FarmKey.generate()
        let (port, clients) = try await self.firstHost(key)
        try await TestServer.cases(bus: TestBus.make(key: key), { $0.port = port }) { server, diary, _ in
            for client in clients { try await client.open("reconnect") }
            try await server.wait(for: "all events") { diary.count("reconnected") == clients.count }
            for (number, client) in clients.enumerated() {
                #expect(try await client.result(of: "toGroup", "[\"\(Self.room)\",\"\(number)\"]") == #"{"I":"0"}"#)
            }
            let last = "\"A\":[\"\(clients.count - 1)\"]"
            for client in clients {
                let heard = try await client.everything(until: last)
                for number in clients.indices { #expect(heard.count(of: "\"A\":[\"\(number)\"]") == 1) }
            }
            #expect(diary.all == clients.map { _ in "reconnected" })
        }
    }

    @Test("45 a bare path is a poll like any other, and no event tells of it")
    func barePoll() async throws {
        try await TestServer.cases { server, diary, _ in
            let client = try await ClassicTransport.longPolling.started(server)
            var cursor = try #require(client.cursor)
            for number in 1...3 {
                let poll = try await RawStream.open(
                    server, "/signalr?\(client.query)&messageId=\(ClassicClient.encoded(cursor))")
                #expect(poll.status == 200)
                _ = try await client.result(of: "send", "[\"\(number)\"]")
                let answer = try await poll.rest()
                #expect(answer.contains(#""A":["\#(number)"]"#))
                cursor = try #require(ClassicClient.field("C", in: answer))
            }
            #expect(diary.all == ["connected"])
        }
    }

    @Test("49 a WebSocket that breaks twice in a row is resumed each time, with one event and without loss or repeat")
    func socket() async throws {
        try await TestServer.cases { server, diary, _ in
            let client = try await ClassicTransport.webSockets.started(server)
            let other = try await ClassicTransport.serverSentEvents.started(server)
            _ = try await client.result(of: "join", #"["room"]"#)
            while client.groupsToken == nil { _ = try await client.envelope() }
            for round in 1...2 {
                client.close()
                for number in 0..<3 { _ = try await other.result(of: "toGroup", "[\"room\",\"\(round).\(number)\"]") }
                try await client.open("reconnect")
                _ = try await other.result(of: "send", "[\"live \(round)\"]")
                let heard = try await client.everything(until: "live \(round)")
                #expect(!heard.contains(#""S":1"#))
                let texts = heard.split(separator: "\"A\":[\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
                #expect(texts == (0..<3).map { "\(round).\($0)" } + ["live \(round)"])
                try await server.wait(for: "the event") { diary.count("reconnected") == round }
            }
        }
    }

    @Test("50 the result of a call that a client gave up with its WebSocket is not sent on the next one")
    func givenUpCall() async throws {
        try await TestServer.cases { server, diary, gate in
            let client = ClassicSocketClient(server, query: try await ClassicClient.negotiate(server))
            try await client.connect()
            try await client.call("hold", #"["x"]"#, id: 7)
            try await server.wait(for: "the call") { diary.all.last == "holding x" }
            client.close()
            try await client.open("reconnect")
            try await client.call("echo", #"["y"]"#, id: 8)
            gate.open()
            let socket = try #require(client.socket)
            var texts: [String] = []
            while texts.last != #"{"R":"y","I":"8"}"# { texts.append(try await socket.receiveText()) }
            #expect(!texts.contains { $0.contains(#""I":"7""#) })
            #expect(diary.all.contains("held x"))
        }
    }

    @Test(
        "38 T11 a receive request that was on its way when the client aborted ends, at whichever node it arrives, without an event",
        arguments: ClassicHTTPClient.Transport.allCases)
    func receivesAfterAbort(transport: ClassicHTTPClient.Transport) async throws {
        try await TestFarm.run(nodes: 3) { farm in
            let client = try await ClassicHTTPClient.start(farm.nodes[0].server, transport)
            #expect(try await client.abort().status == 200)
            let ending = transport == .longPolling ? "poll" : "reconnect"
            for node in farm.nodes {
                let late = try await RawStream.open(
                    node.server, "/signalr/\(ending)?\(client.query)\(client.place)&frameId=1")
                _ = try await late.rest()
                late.close()
            }
            client.close()
            for node in farm.nodes { try await node.server.waitUntilNothingIsLeft() }
            #expect(farm.events.filter { $0.hasPrefix("disconnected") } == ["disconnected stoppedByClient"])
        }
    }

    @Test("N-45 a poller that came to three nodes in turn, and vanishes, has one event, on the node of its last poll")
    func vanishedPoller() async throws {
        var settings = HubConfiguration()
        settings.classic.disconnectTimeout = .seconds(6)
        settings.classic.keepAlive = .seconds(2)
        try await TestFarm.run(nodes: 3, settings) { farm in
            let client = try await ClassicHTTPClient.start(farm.nodes[0].server, .longPolling)
            client.close()
            var cursor = try #require(client.cursor)
            var last = 0
            for number in 1...10 {
                last = number % farm.nodes.count
                let poll = try await RawStream.open(
                    farm.nodes[last].server,
                    "/signalr/poll?\(client.query)&messageId=\(ClassicClient.encoded(cursor))")
                try await farm.nodes[(last + 1) % farm.nodes.count].send("\(number).")
                let body = try await poll.rest()
                #expect(body.count(of: "messageReceived") == 1 && body.contains("\"\(number).\""))
                cursor = try #require(ClassicClient.field("C", in: body))
                poll.close()
            }
            for node in farm.nodes { try await node.server.waitUntilNothingIsLeft() }
            #expect(farm.nodes[last].diary.count("disconnected lost") == 1)
            #expect(farm.events.sorted() == ["connected", "disconnected lost"])
        }
    }
}
