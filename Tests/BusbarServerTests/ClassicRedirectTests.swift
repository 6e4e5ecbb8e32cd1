import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("Classic clients that are sent elsewhere when they negotiate", .timeLimit(.minutes(1)))
struct ClassicRedirectTests {
    private static func run(
        _ redirect: @escaping @Sendable (ConnectionRequest, Principal?) async -> ClassicRedirect,
        _ body: @escaping @Sendable (TestServer) async throws -> Void
    ) async throws {
        try await TestServer.run({ $0.classicRedirect = redirect }, body: body)
    }

    @Test(
        "23 24 T1 from 2.0 on are told the URL as it is, its query too, and the token that goes along",
        arguments: [
            (
                "2.0", "https://host2/signalr?name1=v1", "eyJ",
                #","RedirectUrl":"https://host2/signalr?name1=v1","AccessToken":"eyJ"}"#
            ),
            ("2.1", "https://host2/signalr/", nil, #","RedirectUrl":"https://host2/signalr/"}"#),
            ("9.0", "/elsewhere", nil, #","RedirectUrl":"/elsewhere"}"#),
        ] as [(String, String, String?, String)])
    func redirected(version: String, url: String, token: String?, rest: String) async throws {
        try await Self.run({ _, _ in .redirect(to: url, accessToken: token) }) { server in
            let answer = try await server.get("/signalr/negotiate?clientProtocol=\(version)")
            #expect(answer.status == 200)
            #expect(answer["content-type"] == "application/json; charset=UTF-8")
            let answered = version == "9.0" ? "2.1" : version
            #expect(answer.body == #"{"ProtocolVersion":"\#(answered)""# + rest)
        }
    }

    @Test(
        "25 before 2.0 would not go there, and are served here",
        arguments: [nil, "1.2", "1.3", "1.4", "1.5", "1.9"]
            as [String?])
    func tooOld(version: String?) async throws {
        try await Self.run({ _, _ in .redirect(to: "https://host2/signalr", accessToken: "t") }) { server in
            let parameter = version.map { "?clientProtocol=\($0)" } ?? ""
            let answer = try await server.get("/signalr/negotiate\(parameter)")
            #expect(answer.status == 200)
            #expect(ClassicClient.field("ConnectionToken", in: answer.body) != nil)
            #expect(!answer.body.contains("Redirect") && !answer.body.contains("AccessToken"))
            #expect(answer.body.contains("\"ProtocolVersion\":\"\(version ?? "1.2")\""))
        }
    }

    @Test("26 from 2.0 on are told why they are refused, and older ones get 403 with the text")
    func refused() async throws {
        let text = "Server-provided negotiate error message!"
        try await Self.run({ _, _ in .refuse(text) }) { server in
            for version in ["2.0", "2.1"] {
                let answer = try await server.get("/signalr/negotiate?clientProtocol=\(version)")
                #expect(answer.status == 200)
                #expect(answer.body == #"{"ProtocolVersion":"\#(version)","Error":"\#(text)"}"#)
            }
            let answer = try await server.get("/signalr/negotiate?clientProtocol=1.5")
            #expect(answer.status == 403)
            #expect(answer.body == text)
        }
    }

    @Test("22 are never answered a version that they would refuse", arguments: ["1.1", "2.2", "3.0", "0.9", "2.1.9"])
    func versions(version: String) async throws {
        try await TestServer.run { server in
            let answer = try await server.get("/signalr/negotiate?clientProtocol=\(version)")
            let answered = try #require(ClassicClient.field("ProtocolVersion", in: answer.body))
            #expect(["1.2", "2.1"].contains(answered))
        }
    }

    @Test("17 25 in circles cost nothing, however long they go on, and no answer is an HTTP redirect")
    func circles() async throws {
        try await Self.run({ request, _ in
            let hop = request.query["hop"].flatMap { Int($0) } ?? 0
            return .redirect(to: "/signalr?hop=\(hop + 1)")
        }) { server in
            for hop in 0..<200 {
                let answer = try await server.get("/signalr/negotiate?clientProtocol=2.1&hop=\(hop)")
                #expect(answer.status == 200)
                #expect(answer.body.contains(#""RedirectUrl":"/signalr?hop=\#(hop + 1)""#))
            }
            try await server.waitUntilNothingIsLeft()
        }
    }

    @Test(
        "23 24 who follows is served there: each transport brings the token along, and the last hop's query is in use",
        arguments: ClassicTransport.allCases)
    func followed(transport: ClassicTransport) async throws {
        try await TestServer.run({
            $0.authenticator = { request in
                let bearer = request.headers["authorization"] ?? request.query["access_token"].map { "Bearer \($0)" }
                guard bearer == "Bearer sesame+=" else { throw AccessDenied.unauthenticated }
                return Principal(name: "ann")
            }
            $0.userID = { request, user in user.map { "\($0.name) \(request.query["name1"] ?? "none")" } }
        }) { target in
            let url = "http://127.0.0.1:\(target.port)/signalr?name1=v1"
            try await Self.run({ _, _ in .redirect(to: url, accessToken: "sesame+=") }) { first in
                let answer = try await first.get("/signalr/negotiate?clientProtocol=2.1&name1=mine")
                #expect(ClassicClient.field("RedirectUrl", in: answer.body) == url)
                let token = try #require(ClassicClient.field("AccessToken", in: answer.body))
                try await self.follow(transport, to: target, token: token)
            }
        }
    }

    /// Connects and calls as clients of 2.4 do: the token is a header where they can send one, else a parameter.
    private func follow(_ transport: ClassicTransport, to target: TestServer, token: String) async throws {
        let header = ["Authorization: Bearer \(token)"]
        let query =
            try await ClassicClient.negotiate(target, transport: transport.rawValue, fields: header) + "&name1=v1"
        let parameter = "&access_token=\(ClassicClient.encoded(token))"
        let call = ClassicClient.encoded(#"{"H":"echoHub","M":"tell","A":["ann v1","hello"],"I":0}"#)
        #expect(try await target.get("/signalr/connect?\(query)").status == 401)
        switch transport {
        case .webSockets:
            let socket = try await RawClient.openSocket(port: target.port, "/signalr/connect?\(query)\(parameter)")
            _ = try await socket.receiveText { $0.contains(#""S":1"#) }
            try await socket.sendText(#"{"H":"echoHub","M":"tell","A":["ann v1","hello"],"I":0}"#)
            _ = try await socket.receiveText { $0.contains(#""A":["hello"]"#) }
        case .serverSentEvents, .foreverFrame:
            let frame = transport == .foreverFrame ? "&frameId=1" : ""
            let stream = try await RawStream.open(target, "/signalr/connect?\(query)\(frame)\(parameter)")
            #expect(stream.status == 200)
            #expect(try await target.get("/signalr/send?\(query)&data=\(call)", fields: header).status == 200)
            _ = try await stream.chunk(containing: #""A":["hello"]"#)
        case .longPolling:
            let first = try await RawStream.open(target, "/signalr/connect?\(query)", method: "POST", fields: header)
            let cursor = try #require(ClassicClient.field("C", in: try await first.rest()))
            let poll = try await RawStream.open(
                target, "/signalr/poll?\(query)", method: "POST", fields: header,
                body: "messageId=\(ClassicClient.encoded(cursor))")
            #expect(try await target.get("/signalr/send?\(query)&data=\(call)", fields: header).status == 200)
            #expect(try await poll.rest().contains(#""A":["hello"]"#))
        }
    }
}
