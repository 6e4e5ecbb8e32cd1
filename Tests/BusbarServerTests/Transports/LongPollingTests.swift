import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("Classic clients over long polling", .timeLimit(.minutes(3)))
struct LongPollingTests {
    private static let jsonType = "application/json; charset=UTF-8"

    @Test("88 T5 get the init message as the first answer, with fields of the document and a cursor")
    func bytes() async throws {
        try await TestServer.chat { server, _ in
            let query = try await ClassicClient.negotiate(server, transport: "longPolling")
            let stream = try await RawStream.open(server, "/signalr/connect?\(query)", method: "POST")
            #expect(stream.status == 200)
            #expect(stream["content-type"] == Self.jsonType)
            #expect(stream["x-content-type-options"] == "nosniff")
            #expect(stream["transfer-encoding"] == "chunked")
            let body = try await stream.chunk()
            let cursor = try #require(ClassicClient.field("C", in: body))
            #expect(!cursor.isEmpty)
            #expect(body == "{\"C\":\"\(cursor)\",\"S\":1,\"M\":[]}")
            #expect(try await stream.chunk() == "")
        }
    }

    @Test("are answered at once with the head, and with the message when there is one")
    func head() async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            let cursor = try #require(client.cursor)
            let poll = try await RawStream.open(
                server, "/signalr/poll?\(client.query)", method: "POST",
                body: "messageId=\(ClassicClient.encoded(cursor))")
            #expect(poll.status == 200)
            _ = try await client.call("send", #"["hi"]"#)
            let body = try await poll.chunk()
            let next = try #require(ClassicClient.field("C", in: body))
            #expect(next != cursor)
            #expect(body == "{\"C\":\"\(next)\",\"M\":[{\"H\":\"EchoHub\",\"M\":\"messageReceived\",\"A\":[\"hi\"]}]}")
            #expect(try await poll.chunk() == "")
            #expect(try await poll.client.get("/health").status == 200)
        }
    }

    @Test("45 hear everything once and in order, of which no event tells, however the messages fall between polls")
    func everything() async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            let speaker = try await ClassicHTTPClient.start(server, .serverSentEvents)
            async let said: Void = {
                for number in 0..<200 { _ = try await speaker.call("send", "[\"\(number).\"]") }
            }()
            var heard: [String] = []
            while heard.last != "199." {
                let envelope = try await client.envelope()
                heard += envelope.split(separator: "\"A\":[\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
            }
            try await said
            #expect(heard == (0..<200).map { "\($0)." })
            #expect(diary.all == ["connected", "connected"])
        }
    }

    @Test("44 whose poll lasts too long get an empty envelope and poll again, of which no event tells")
    func timeout() async throws {
        var settings = HubConfiguration()
        settings.classic.connectionTimeout = .seconds(2)
        settings.classic.keepAlive = nil
        try await TestServer.chat(settings) { server, diary in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            for _ in 0..<2 {
                let envelope = try await client.envelope()
                let cursor = try #require(ClassicClient.field("C", in: envelope))
                #expect(envelope == "{\"C\":\"\(cursor)\",\"M\":[]}")
            }
            _ = try await client.call("send", #"["x"]"#)
            _ = try await client.envelope(containing: "messageReceived")
            #expect(diary.all == ["connected"])
        }
    }

    @Test("89 are sent single blanks while they wait, in front of the envelope")
    func keepAlive() async throws {
        var settings = HubConfiguration()
        settings.classic.keepAlive = .seconds(2)
        try await TestServer.chat(settings) { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            try await client.open("poll")
            let poll = try #require(client.stream)
            #expect(try await poll.chunk() == " ")
            _ = try await client.call("send", #"["x"]"#)
            #expect(try await poll.chunk(containing: "messageReceived").hasPrefix("{\"C\":"))
            #expect(try await poll.chunk() == "")
        }
    }

    @Test("are told how long to wait before the next poll, in each envelope")
    func delay() async throws {
        var settings = HubConfiguration()
        settings.classic.longPollDelay = .milliseconds(500)
        try await TestServer.chat(settings) { server, _ in
            let client = try await ClassicHTTPClient.negotiate(server, .longPolling)
            let first = try await client.connect()
            let cursor = try #require(client.cursor)
            #expect(first == "{\"C\":\"\(cursor)\",\"S\":1,\"L\":500,\"M\":[]}")
            try await client.open("poll")
            _ = try await client.call("send", #"["x"]"#)
            #expect(try await client.envelope(containing: "messageReceived").contains(#"","L":500,"M":[{"#))
        }
    }

    @Test("43 N-46 are told that the server stops, so that they reconnect")
    func stopping() async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            try await client.open("poll")
            await server.stop()
            let envelope = try await client.envelope()
            let cursor = try #require(ClassicClient.field("C", in: envelope))
            #expect(envelope == "{\"C\":\"\(cursor)\",\"T\":1,\"M\":[]}")
        }
    }

    @Test("T14 53 a change of groups answers the poll with the token and no message, and joining again is no change")
    func groups() async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            try await client.open("poll")
            for _ in 0..<3 { #expect(try await client.call("join", #"["room"]"#).body == #"{"I":"0"}"#) }
            let envelope = try await client.envelope()
            let token = try #require(ClassicClient.field("G", in: envelope))
            #expect(envelope == "{\"C\":\"\(client.cursor ?? "")\",\"G\":\"\(token)\",\"M\":[]}")
            _ = try await client.call("toGroup", #"["room","one"]"#)
            let message = try await client.envelope()
            #expect(message.contains(#""A":["one"]"#))
            #expect(message.count(of: "messageReceived") == 1)
        }
    }

    @Test("38 T11 that abort while they poll get their answer at once, and the event")
    func abortInPoll() async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            try await client.open("poll")
            #expect(try await client.post("abort", "").status == 200)
            #expect(try await client.envelope().contains(#""M":[]"#))
            try await server.wait(for: "the event") { diary.all.last == "disconnected stoppedByClient" }
        }
    }

    @Test("40 T11 that abort between two polls have their event at once, and once")
    func abortBetweenPolls() async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            for _ in 0..<2 { #expect(try await client.post("abort", "").status == 200) }
            try await server.wait(for: "the event") { diary.all.last == "disconnected stoppedByClient" }
            #expect(diary.all == ["connected", "disconnected stoppedByClient"])
        }
    }

    @Test("39 that vanish between two polls are given up when their time is over")
    func vanished() async throws {
        var settings = HubConfiguration()
        settings.classic.disconnectTimeout = .seconds(6)
        settings.classic.keepAlive = .seconds(2)
        try await TestServer.chat(settings) { server, diary in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            try await client.open("poll")
            client.close()
            try await server.wait(for: "the event") { diary.all.last == "disconnected lost" }
            #expect(diary.all == ["connected", "disconnected lost"])
        }
    }

    @Test("14 88 that want a callback get each envelope and each result as its argument, as JavaScript")
    func callback() async throws {
        var settings = HubConfiguration()
        settings.classic.jsonp = true
        try await TestServer.chat(settings) { server, _ in
            let query = try await ClassicClient.negotiate(server, transport: "longPolling")
            let first = try await RawStream.open(server, "/signalr/connect?\(query)&callback=jQuery182_13")
            #expect(first["content-type"] == "application/javascript; charset=UTF-8")
            let body = try await first.rest()
            let cursor = try #require(ClassicClient.field("C", in: body))
            #expect(body == "jQuery182_13({\"C\":\"\(cursor)\",\"S\":1,\"M\":[]});")
            let poll = try await RawStream.open(
                server, "/signalr/poll?\(query)&callback=a.b&messageId=\(ClassicClient.encoded(cursor))")
            let data = ClassicClient.encoded("{\"H\":\"echoHub\",\"M\":\"send\",\"A\":[\"ø\u{2028}\"],\"I\":0}")
            let answer = try await server.get("/signalr/send?\(query)&callback=$x&data=\(data)")
            #expect(answer["content-type"] == "application/javascript; charset=UTF-8")
            #expect(answer.body == #"$x({"I":"0"});"#)
            let message = try await poll.rest()
            #expect(message.hasPrefix("a.b({\"C\":"))
            #expect(message.hasSuffix(#""A":["\u00f8\u2028"]}]});"#))
            let start = try await server.get("/signalr/start?\(query)&callback=cb")
            #expect(start.body == #"cb({ "Response": "started" });"#)
        }
    }

    @Test("15 a callback that is no name of a function is refused wherever it is given", arguments: ["poll", "send"])
    func badCallback(ending: String) async throws {
        var settings = HubConfiguration()
        settings.classic.jsonp = true
        try await TestServer.chat(settings) { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            let call = ClassicClient.encoded(#"{"H":"echoHub","M":"nothing","A":[],"I":0}"#)
            for callback in ["1nogood", "%3Cyeahright%3E", "(function()%7B%7D)", "enum", "bar.class.foo", "foo."] {
                let response = try await server.get(
                    "/signalr/\(ending)?\(client.query)&callback=\(callback)&data=\(call)")
                #expect(response.status == 400)
            }
        }
    }

    @Test(
        "13 a callback is refused before anything else while it is switched off", arguments: ["poll", "send", "abort"])
    func callbackIsOff(ending: String) async throws {
        try await TestServer.chat { server, _ in
            let response = try await server.get("/signalr/\(ending)?callback=foo")
            #expect(response.status == 403)
            #expect(response.reason == "Forbidden: JSONP is disabled.")
            #expect(response.body.isEmpty)
        }
    }

    @Test(
        "48 a cursor that can't be one fails its poll and nothing else",
        arguments: ["d-|", "d-A|", "d-test", "d-,A|,B"])
    func malformedCursor(cursor: String) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            let response = try await server.get(
                "/signalr/poll?\(client.query)&messageId=\(ClassicClient.encoded(cursor))")
            #expect(response.status == 400)
            _ = try await client.call("send", #"["x"]"#)
            #expect(try await client.envelope().contains("messageReceived"))
        }
    }

    @Test("47 T15 a cursor of another server means from now on", arguments: ["s-0,1", "d-14393A7F-A,2", "whatever"])
    func foreignCursor(cursor: String) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            _ = try await client.call("send", #"["before"]"#)
            let poll = try await RawStream.open(
                server, "/signalr/poll?\(client.query)&messageId=\(ClassicClient.encoded(cursor))")
            let body = try await {
                while true {
                    _ = try await client.call("send", #"["after"]"#)
                    if let body = try? await poll.chunk(within: .seconds(2)) { return body }
                }
            }()
            #expect(body.contains("after"))
            #expect(!body.contains("before"))
        }
    }

    @Test("that leave in the middle of a poll come back to what they would have got")
    func abortedPoll() async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .longPolling)
            for round in 0..<20 {
                try await client.open("poll")
                client.close()
                _ = try await client.call("send", "[\"\(round).\"]")
                try await client.open("poll")
                #expect(try await client.envelope().contains("[\"\(round).\"]"))
            }
        }
    }
}

extension String {
    func count(of needle: String) -> Int { self.split(separator: needle, omittingEmptySubsequences: false).count - 1 }
}
