import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("Traps of the classic protocol", .timeLimit(.minutes(1)))
struct ClassicTrapTests {
    @Test("T22 negotiate creates no state: a thousand cost no place, and a token is good however many came after it")
    func negotiateKeepsNothing() async throws {
        var settings = HubConfiguration()
        settings.classic.connectionLimit = 1
        try await TestServer.cases(settings) { server, diary, _ in
            let first = try await ClassicTransport.longPolling.client(server)
            let kept = try await server.connect()
            for _ in 0..<1_000 { #expect(try await kept.get("/signalr/negotiate").status == 200) }
            kept.close()
            try await server.waitUntilNothingIsLeft()
            #expect(try await first.connect().contains(#""S":1"#))
            #expect(diary.all.isEmpty)
        }
    }

    @Test("T22 an id comes from the token alone: no parameter, header or body takes the place of it")
    func idsComeFromTokens() async throws {
        try await TestServer.cases { server, _, _ in
            let negotiated = try await server.get("/signalr/negotiate?clientProtocol=2.1")
            let id = try #require(ClassicClient.field("ConnectionId", in: negotiated.body))
            let token = try #require(ClassicClient.field("ConnectionToken", in: negotiated.body))
            let hubs = ClassicClient.encoded(#"[{"name":"echohub"}]"#)
            let victim = ClassicSocketClient(
                server,
                query: "transport=webSockets&clientProtocol=2.1&connectionToken=\(ClassicClient.encoded(token))"
                    + "&connectionData=\(hubs)")
            try await victim.connect()
            let forged = "connectionId=\(id)&id=\(id)&ConnectionID=\(id)"
            let thief = try await ClassicTransport.serverSentEvents.started(server, more: forged)
            _ = try await thief.result(of: "toCaller", #"["for the thief"]"#)
            _ = try await thief.result(of: "send", #"["fence"]"#)
            #expect(try await thief.everything(until: "fence").contains("for the thief"))
            #expect(try await !victim.everything(until: "fence").contains("for the thief"))
            #expect(try await victim.result(of: "echo", #"["here"]"#) == #"{"R":"here","I":"0"}"#)
        }
    }

    @Test(
        "T7 T16 who listed no hub hears none, not even as the caller, and still calls; no answer ever has a null id",
        arguments: ClassicTransport.allCases)
    func unlisted(transport: ClassicTransport) async throws {
        try await TestServer.cases { server, _, _ in
            let client = try await transport.client(server, hub: nil)
            try await client.connect()
            let other = try await ClassicTransport.serverSentEvents.started(server)
            for method in ["toCaller", "send"] {
                #expect(try await client.result(of: method, #"["unheard"]"#) == #"{"I":"0"}"#)
            }
            #expect(try await client.result(of: "echo", #"["x"]"#) == #"{"R":"x","I":"0"}"#)
            _ = try await other.envelope(containing: "unheard")
            client.close()
            // Why back: what a client missed is replayed to it, and must be nothing.
            try await client.open("reconnect")
            _ = try await client.abort()
            let left = try await client.rest()
            #expect(!left.contains("unheard"))
            #expect(!left.contains(#""I":null"#))
        }
    }

    @Test("T20 group names and user ids are compared exactly, names of hubs, methods and parameters in any case")
    func letterCase() async throws {
        try await TestServer.cases(.init(), { $0.userID = { request, _ in request.query["uid"] } }) { server, _, _ in
            let client = try await ClassicTransport.serverSentEvents.started(server, more: "uid=Ann")
            for (method, arguments) in [
                ("join", #"["Room"]"#), ("toGroup", #"["room","unheard"]"#), ("tell", #"["ann","unheard"]"#),
                ("toGroup", #"["Room","1"]"#), ("tell", #"["Ann","2"]"#),
            ] {
                #expect(try await client.result(of: method, arguments) == #"{"I":"0"}"#)
            }
            let query = client.query.replacing("transport=", with: "TRANSPORT=")
                .replacing("connectionToken=", with: "ConnectionTOKEN=")
            let call = ClassicClient.encoded(#"{"H":"ECHOHUB","M":"TOCALLER","A":["end"],"I":0}"#)
            #expect(try await server.get("/SIGNALR/Send?\(query)&DATA=\(call)").body == #"{"I":"0"}"#)
            let heard = try await client.everything(until: #"["end"]"#)
            let texts = heard.split(separator: "\"A\":[\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
            #expect(texts == ["1", "2", "end"])
        }
    }

    @Test("T23 without a list of origins no answer has a CORS field; with one, listed pages are named exactly")
    func crossOrigin() async throws {
        let origin = "https://app.example", listed = ["Origin: https://app.example"]
        for allowed in [nil, [origin]] as [Set<String>?] {
            try await TestServer.run({ $0.allowedOrigins = allowed }) { server in
                let query = try await ClassicClient.negotiate(server, transport: "serverSentEvents")
                let stream = try await RawStream.open(server, "/signalr/connect?\(query)", fields: listed)
                let call = ClassicClient.encoded(#"{"H":"echoHub","M":"echo","A":["x"],"I":0}"#)
                var answers = [stream.fields]
                let targets = [
                    "negotiate", "ping", "start?\(query)", "send?\(query)&data=\(call)", "send?\(query)&data=%7B",
                    "abort?\(query)", "connect",
                ]
                for target in targets {
                    answers.append(try await server.get("/signalr/\(target)", fields: listed).fields)
                }
                for fields in answers {
                    let cors = fields.filter { $0.name.lowercased().hasPrefix("access-control-") }
                    guard allowed != nil else {
                        #expect(cors.isEmpty)
                        continue
                    }
                    #expect(cors.map(\.value) == [origin, "true"])
                    #expect(fields.contains { $0.name == "Vary" && $0.value == "Origin" })
                }
                let evil = try await server.get("/signalr/negotiate", fields: ["Origin: https://evil.example"])
                #expect(evil["access-control-allow-origin"] == nil)
                let preflight = try await server.get(
                    "/signalr/negotiate", method: "OPTIONS",
                    fields: listed + [
                        "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization",
                    ])
                #expect((preflight.status == 204) == (allowed != nil))
                #expect(
                    preflight["access-control-allow-headers"]?.contains("authorization")
                        == (allowed == nil ? nil : true))
            }
        }
    }
}
