import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("Classic clients over server-sent events", .timeLimit(.minutes(3)))
struct EventStreamTests {
    private func open(_ server: TestServer, version: String = "2.1") async throws -> (RawStream, query: String) {
        let query = try await ClassicClient.negotiate(server, version: version, transport: "serverSentEvents")
        return (try await RawStream.open(server, "/signalr/connect?\(query)"), query)
    }

    @Test("12 T4 get the bytes of the document: fields, the first event, the init message")
    func bytes() async throws {
        try await TestServer.chat { server, _ in
            let (stream, _) = try await self.open(server)
            #expect(stream.status == 200)
            #expect(stream["content-type"] == "text/event-stream")
            #expect(stream["x-content-type-options"] == "nosniff")
            #expect(stream["cache-control"] == "no-store")
            #expect(stream["x-accel-buffering"] == "no")
            #expect(stream["transfer-encoding"] == "chunked")
            #expect(stream["content-length"] == nil)
            #expect(try await stream.chunk() == "data: initialized\n\n")
            let first = try await stream.chunk()
            let cursor = try #require(ClassicClient.field("C", in: first))
            #expect(first == "data: {\"C\":\"\(cursor)\",\"S\":1,\"M\":[]}\r\n\r\n")
        }
    }

    @Test("T6 T10 get a message as one line, and the result of a call as the answer to its request only")
    func message() async throws {
        try await TestServer.chat { server, _ in
            let (stream, query) = try await self.open(server)
            let client = try await server.connect()
            let call = ClassicClient.encoded(#"{"H":"echohub","M":"Send","A":["hi"],"I":0}"#)
            try await client.send(RawRequest.text("/signalr/send?\(query)", method: "POST", body: "data=\(call)"))
            let answer = try await client.receiveResponse()
            #expect(answer.status == 200)
            #expect(answer["content-type"] == "application/json; charset=UTF-8")
            #expect(answer.body == #"{"I":"0"}"#)
            _ = try await stream.chunk()
            _ = try await stream.chunk()
            let event = try await stream.chunk()
            let cursor = try #require(ClassicClient.field("C", in: event))
            #expect(
                event
                    == "data: {\"C\":\"\(cursor)\",\"M\":[{\"H\":\"EchoHub\",\"M\":\"messageReceived\",\"A\":[\"hi\"]}]}"
                    + "\r\n\r\n")
        }
    }

    @Test("T9 get other characters than ASCII as escapes, on the stream and in answers")
    func ascii() async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .serverSentEvents)
            let text = "smørrebrød \u{1F96A} \u{85}\u{2028}\u{2029}"
            let answer = try await client.call("send", "[\"\(text)\"]")
            #expect(answer.status == 200)
            let envelope = try await client.envelope(containing: "messageReceived")
            #expect(envelope.utf8.allSatisfy { $0 < 0x80 })
            #expect(envelope.contains(#"sm\u00f8rrebr\u00f8d \ud83e\udd6a \u0085\u2028\u2029"#))
            let echo = try await client.call("echo", "[\"\(text)\"]")
            #expect(echo.body == #"{"R":"sm\u00f8rrebr\u00f8d \ud83e\udd6a \u0085\u2028\u2029","I":"0"}"#)
        }
    }

    @Test("89 are sent keep-alives or envelopes without messages, which show the cursor as well")
    func keepAlive() async throws {
        var settings = HubConfiguration()
        settings.classic.keepAlive = .seconds(2)
        try await TestServer.chat(settings) { server, _ in
            let client = try await ClassicHTTPClient.start(server, .serverSentEvents)
            _ = try await client.call("send", #"["x"]"#)
            _ = try await client.envelope(containing: "messageReceived")
            let stream = try #require(client.stream)
            let chunk = try await stream.chunk()
            #expect(
                chunk == "data: {}\n\n" || (chunk.hasPrefix("data: {\"C\":") && chunk.hasSuffix("\"M\":[]}\r\n\r\n")))
        }
    }

    @Test("41 T11 that abort get an empty answer of plain text, and their stream ends", arguments: ["GET", "POST"])
    func abort(method: String) async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, .serverSentEvents)
            let answer = try await server.get("/signalr/abort?\(client.query)", method: method)
            #expect(answer.status == 200)
            #expect(answer["content-type"] == "text/plain")
            #expect(answer.body.isEmpty)
            try await client.stream?.rest()
            try await server.wait(for: "the event") { diary.all.last == "disconnected stoppedByClient" }
            #expect(diary.all == ["connected", "disconnected stoppedByClient"])
        }
    }

    @Test("whose stream ended can use the same connection for what comes next")
    func connectionIsKept() async throws {
        try await TestServer.chat { server, _ in
            let (stream, query) = try await self.open(server)
            _ = try await server.get("/signalr/abort?\(query)")
            try await stream.rest()
            #expect(try await stream.client.get("/health").status == 200)
        }
    }

    @Test("of HTTP/1.0 get the stream as it is, until the connection ends")
    func oldHTTP() async throws {
        try await TestServer.chat { server, _ in
            let query = try await ClassicClient.negotiate(server, transport: "serverSentEvents")
            let client = try await server.connect()
            try await client.send("GET /signalr/connect?\(query) HTTP/1.0\r\n\r\n")
            let head = try await client.receiveHead()
            #expect(!head.fields.contains { $0.name.lowercased() == "transfer-encoding" })
            #expect(head.fields.contains { $0.name == "Connection" && $0.value == "close" })
            let body = try await client.receive("the init message") { bytes, _ in
                let text = String(buffer: bytes)
                return text.hasSuffix("\"M\":[]}\r\n\r\n") ? text : nil
            }
            #expect(body.hasPrefix("data: initialized\n\ndata: {\"C\":"))
            _ = try await server.get("/signalr/abort?\(query)")
            try await client.receiveEnd()
        }
    }

    @Test("34 a second connect with the same token replaces the first, whose stream ends, and no event tells")
    func replaced() async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, .serverSentEvents)
            let old = try #require(client.stream)
            let first = try await client.connect()
            #expect(first.contains(#""S":1"#))
            try await old.rest()
            _ = try await client.call("send", #"["still here"]"#)
            _ = try await client.envelope(containing: "still here")
            #expect(diary.all == ["connected"])
        }
    }

    @Test("49 that return with their cursor get what they missed and the event, and no init message")
    func reconnect() async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, .serverSentEvents)
            let other = try await ClassicHTTPClient.start(server, .serverSentEvents)
            for round in 1...2 {
                _ = try await other.call("send", "[\"seen \(round)\"]")
                _ = try await client.envelope(containing: "seen \(round)")
                client.close()
                for number in 2...4 { _ = try await other.call("send", "[\"missed \(round) \(number)\"]") }
                try await client.open("reconnect")
                _ = try await other.call("send", "[\"live \(round)\"]")
                var all = ""
                while !all.contains("live \(round)") {
                    let envelope = try await client.envelope()
                    #expect(!envelope.contains(#""S":1"#))
                    all += envelope
                }
                let heard = all.split(separator: "\"A\":[\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
                #expect(heard == (2...4).map { "missed \(round) \($0)" } + ["live \(round)"])
                try await server.wait(for: "the event") { diary.count("reconnected") == round }
            }
        }
    }

    @Test("that do not read are cut off at their limit, and their neighbours miss nothing")
    func slowReader() async throws {
        var settings = HubConfiguration()
        settings.outboundLimitBytes = 65_536
        try await TestServer.chat(settings) { server, diary in
            let slow = try await ClassicHTTPClient.negotiate(server, .serverSentEvents)
            let raw = try await RawClient.connect(port: server.port, receiveBufferBytes: 4_096)
            let stream = try await RawStream.open(raw, "/signalr/connect?\(slow.query)")
            _ = try await stream.chunk(containing: #""S":1"#)
            try await raw.stopReading()
            let healthy = try await ClassicHTTPClient.start(server, .serverSentEvents)
            let text = String(repeating: "x", count: 50_000)
            for number in 0..<200 {
                let answer = try await healthy.call("send", "[\"\(number) \(text)\"]")
                #expect(answer.status == 200)
                _ = try await healthy.envelope(containing: "\"\(number) x")
            }
            try await raw.startReading()
            await #expect(throws: (any Error).self) { try await stream.chunk(containing: "\"199 x") }
        }
    }
}
