import BusbarHub
import BusbarServer
import NIOCore
import Testing

/// Whoever connects must be a member; methods ask for nothing more.
private struct MemberHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var authorization: HubAuthorization { .required(.roles("member")) }
    static var methods: [HubMethod<Self>] { [HubMethod("echo") { (_: Self, text: String) in text }] }
}

/// Says who it is to whoever listens.
private struct Named: PersistentConnection {
    let call: PersistentCall
    let name: String
    init(_ call: PersistentCall) { self.init(call, name: "") }
    init(_ call: PersistentCall, name: String) { (self.call, self.name) = (call, name) }

    static func authorize(_ request: ConnectionRequest, user: Principal?) -> Bool {
        request.query["member"] == nil || user?.roles.contains("member") == true
    }

    func received(_ data: String) async throws {
        if data == "answer" { return try self.respond(with: ["of": self.name]) }
        if data == "fail" { throw HubError("no") }
        try await self.connection.send("\(self.name): \(data)", to: self.context.id)
    }
}

@Suite("The classic programming model over HTTP")
struct ClassicModelTests {
    private static let member = ["X-User: ann", "X-Role: member"]
    private static let stranger = ["X-User: eve"]

    private func run(
        hubs: [HubRegistration] = [.hub(EchoHub.self, path: "/echo"), .hub(MemberHub.self, path: "/member")],
        pipeline: HubPipeline = .init(),
        takesUserFromQuery: Bool = false,
        _ body: @escaping @Sendable (TestServer) async throws -> Void
    ) async throws {
        try await TestServer.run(
            hubs: hubs,
            persistentConnections: [
                .connection(Named.self, path: "/raw") { Named($0, name: "raw") },
                .connection(Named.self, path: "/raw2") { Named($0, name: "raw2") },
                .connection(Named.self, path: "/signalr/deep") { Named($0, name: "deep") },
            ],
            pipeline: pipeline,
            { configuration in
                configuration.authenticator = { request in
                    request.headers["x-user"].map {
                        Principal(name: $0, roles: Set(request.headers.values(of: "x-role")))
                    }
                }
                if takesUserFromQuery {
                    configuration.userID = { request, user in request.query["uid"] ?? user?.name }
                }
            }, body: body)
    }

    private func expect(
        _ status: Int, _ server: TestServer, _ target: String, method: String = "GET", fields: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let response = try await server.get(target, method: method, fields: fields)
        #expect(response.status == status, "\(target)", sourceLocation: sourceLocation)
    }

    private static func negotiate(_ hubs: [String]) -> String {
        let data = hubs.map { "{\"name\":\"\($0)\"}" }.joined(separator: ",")
        return "/signalr/negotiate?connectionData=" + ClassicClient.encoded("[\(data)]")
    }

    // MARK: Authorization

    @Test(
        "classic 76: who may connect to none of the hubs listed gets 401 when nobody, 403 when somebody, on any request"
    )
    func refused() async throws {
        try await self.run { server in
            for (fields, status) in [([], 401), (Self.stranger, 403), (Self.member, 200)] {
                try await self.expect(status, server, Self.negotiate(["memberhub"]), fields: fields)
                let script = Self.negotiate(["memberhub"]).replacing("negotiate", with: "hubs")
                try await self.expect(status, server, script, fields: fields)
            }
            #expect(try await server.get(Self.negotiate(["memberhub"])).body == "")
        }
    }

    @Test("classic 5.2: hubs that somebody may not connect to are left out silently; listing none is always allowed")
    func leftOut() async throws {
        try await self.run { server in
            try await self.expect(200, server, Self.negotiate(["memberhub", "echohub"]))
            try await self.expect(200, server, Self.negotiate([]))
            try await self.expect(200, server, "/signalr/hubs")
            try await self.expect(200, server, "/signalr/ping")
        }
    }

    @Test("what all hubs ask for holds for core clients as well, at negotiate and at the hub")
    func core() async throws {
        try await self.run { server in
            for (fields, status) in [([], 401), (Self.stranger, 403), (Self.member, 200)] {
                let answer = try await server.get("/member/negotiate", method: "POST", fields: fields)
                #expect(answer.status == status)
            }
            try await self.expect(401, server, "/member")
            let client = try await server.connect()
            try await client.send(RawRequest.upgrade("/member"))
            #expect(try await client.receiveResponse().status == 401)
            client.close()
        }
        try await self.run(pipeline: HubPipeline(requirements: [.authenticated])) { server in
            try await self.expect(401, server, "/echo/negotiate", method: "POST")
            try await self.expect(200, server, "/echo/negotiate", method: "POST", fields: Self.stranger)
            try await self.expect(401, server, Self.negotiate(["echohub"]))
        }
    }

    @Test("classic 65, trap 17: an unknown hub in connectionData is refused at negotiate, in so many words")
    func unknownHub() async throws {
        try await self.run { server in
            let answer = try await server.get(Self.negotiate(["nohub"]))
            #expect(answer.status == 400)
            #expect(answer.body == "'nohub' Hub could not be resolved.")
        }
    }

    // MARK: Users

    @Test("classic 61: a user id from the query reaches all connections of that user and no other")
    func users() async throws {
        try await self.run(takesUserFromQuery: true) { server in
            func open(_ uid: String) async throws -> RawClient {
                let query = try await ClassicClient.negotiate(server)
                let socket = try await RawClient.openSocket(
                    port: server.port, "/signalr/connect?\(query)&uid=\(uid)")
                _ = try await socket.receiveText { $0.contains(#""S":1"#) }
                return socket
            }
            let one = try await open("u"), two = try await open("u"), other = try await open("v")
            for (text, user) in [("1", "u"), ("2", "v"), ("3", "U")] {
                try await one.sendText(#"{"H":"echoHub","M":"tell","A":["\#(user)","\#(text)"],"I":\#(text)}"#)
                _ = try await one.receiveText { $0.contains("\"I\":\"\(text)\"") }
            }
            for (socket, text) in [(two, "1"), (other, "2")] {
                #expect(try await socket.receiveText { $0.contains("heard") }.contains(#""A":["\#(text)"]"#))
            }
        }
    }

    // MARK: Names in the script

    @Test("§6 the script names a hub by its type with a lower-case initial, and a given name as it is")
    func scriptNames() async throws {
        let hubs: [HubRegistration] = [.hub(EchoHub.self), .hub(EchoHub.self, name: "Other")]
        try await self.run(hubs: hubs) { server in
            let script = try await server.get("/signalr/js").body
            #expect(script.contains(#"proxyOf(this, "echoHub", ["#))
            #expect(script.contains(#"proxyOf(this, "Other", ["#))
            #expect(script.contains(#"["echo", "echo"]"#))
            #expect(script.contains(#"$.hubConnection("/signalr", "#))
        }
    }

    // MARK: Persistent connections

    private static func openRaw(
        _ server: TestServer, at path: String, more: String = "", fields: [String] = []
    ) async throws -> (socket: RawClient, query: String) {
        let negotiated = try await server.get("\(path)/negotiate?clientProtocol=2.1\(more)", fields: fields)
        let token = try #require(ClassicClient.field("ConnectionToken", in: negotiated.body))
        #expect(negotiated.body.contains("\"Url\":\"\(path)\""))
        let query = "transport=webSockets&clientProtocol=2.1&connectionToken=\(ClassicClient.encoded(token))\(more)"
        let socket = try await RawClient.openSocket(port: server.port, "\(path)/connect?\(query)", fields: fields)
        _ = try await socket.receiveText { $0.contains(#""S":1"#) }
        let start = try await server.get("\(path)/start?\(query)", fields: fields)
        #expect(start.body == #"{ "Response": "started" }"#)
        return (socket, query)
    }

    @Test(
        "classic 1, 4: an endpoint ends where a segment ends; of two the deeper one counts; any case, anything between",
        arguments: [
            ("/raw", "raw"), ("/raw2", "raw2"), ("/RAW2", "raw2"), ("/signalr/deep", "deep"), ("/raw/js", "raw"),
        ])
    func mounts(path: String, name: String) async throws {
        try await self.run { server in
            let (socket, query) = try await Self.openRaw(server, at: path)
            try await socket.sendText("hello")
            let text = try await socket.receiveText { $0.contains("hello") }
            #expect(text.hasSuffix(#""M":["\#(name): hello"]}"#))
            try await self.expect(200, server, "\(path)/abort?\(query)", method: "POST")
            #expect(try await socket.receiveClose() == 1_000)
        }
    }

    @Test("a persistent connection has no script, and its connectionData is of no interest")
    func noScript() async throws {
        try await self.run { server in
            #expect(try await server.get("/raw/hubs").body == "Protocol error: Unknown transport.")
            #expect(try await server.get("/raw/ping").body == #"{ "Response": "pong" }"#)
            let (socket, _) = try await Self.openRaw(server, at: "/raw", more: "&connectionData=nonsense")
            socket.close()
        }
    }

    @Test("classic 16, §7.5: an endpoint decides who may use it: 401 for nobody, 403 for somebody, on any request")
    func authorizeRequest() async throws {
        try await self.run { server in
            for (fields, status) in [([], 401), (Self.stranger, 403), (Self.member, 200)] {
                try await self.expect(status, server, "/raw/negotiate?member=1", fields: fields)
                try await self.expect(status, server, "/raw/ping?member=1", fields: fields)
            }
            let (socket, _) = try await Self.openRaw(server, at: "/raw", more: "&member=1", fields: Self.member)
            socket.close()
        }
    }

    @Test("§4.5 data sent by HTTP is answered with an empty body, a direct answer, or 500; missing data is empty")
    func send() async throws {
        try await self.run { server in
            let (socket, query) = try await Self.openRaw(server, at: "/raw")
            let target = "/raw/send?" + query.replacing("webSockets", with: "longPolling")
            for (data, status, body) in [
                ("&data=hello", 200, ""), ("", 200, ""), ("&data=answer", 200, #"{"of":"raw"}"#),
                ("&data=fail", 500, ""),
            ] {
                let answer = try await server.get(target + data, method: "POST")
                #expect(answer.status == status)
                #expect(answer.body == body)
            }
            let text = try await socket.receiveText { $0.contains("hello") }
            #expect(text.contains(#""raw: hello""#))
            _ = try await socket.receiveText { $0.contains(#""raw: ""#) }
        }
    }
}
