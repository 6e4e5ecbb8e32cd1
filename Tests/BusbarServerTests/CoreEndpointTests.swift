import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("The core endpoint")
struct CoreEndpointTests {
    private static func negotiate(
        _ server: TestServer, _ query: String = "", fields: [String] = []
    ) async throws -> RawResponse {
        try await server.get("/echo/negotiate" + query, method: "POST", fields: fields)
    }

    private static func id(_ response: RawResponse, _ name: String = "connectionId") throws -> String {
        try #require(ClassicClient.field(name, in: response.body))
    }

    @Test(
        "answers negotiate with the version that fits",
        arguments: [
            ("", 0), ("?negotiateVersion=0", 0), ("?NegotiateVersion=1", 1), ("?negotiateVersion=7", 1),
            ("?negotiateVersion=1&useStatefulReconnect=true&_=1", 1),
        ])
    func versions(query: String, version: Int) async throws {
        try await TestServer.run { server in
            let response = try await Self.negotiate(server, query)
            #expect(response.status == 200)
            #expect(response["content-type"] == "application/json")
            #expect(response["x-content-type-options"] == "nosniff")
            let id = try Self.id(response)
            #expect(id.utf8.count == 22)
            let transports = #"[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]"#
            let token = version == 0 ? "" : #","connectionToken":"\#(try Self.id(response, "connectionToken"))""#
            let returning = query.contains("useStatefulReconnect") ? #","useStatefulReconnect":true"# : ""
            #expect(
                response.body == #"{"negotiateVersion":\#(version),"connectionId":"\#(id)"\#(token)"#
                    + returning + #","availableTransports":\#(transports)}"#)
        }
    }

    @Test("answers a negotiate version it cannot serve with 200 and an error")
    func badVersion() async throws {
        try await TestServer.run({ $0.minimumNegotiateVersion = 1 }) { server in
            for query in ["?negotiateVersion=abc", "?negotiateVersion=0", "?negotiateVersion=-1", ""] {
                let response = try await Self.negotiate(server, query)
                #expect(response.status == 200)
                #expect(response.body.hasPrefix(#"{"error":""#))
            }
            #expect(try await Self.negotiate(server, "?negotiateVersion=1").body.contains("connectionToken"))
        }
    }

    @Test(
        "answers requests it does not serve as the reference does",
        arguments: [
            ("GET", "/echo", [], 400, "Connection ID required"),
            ("GET", "/echo?id=", [], 400, "Connection ID required"),
            ("POST", "/echo", [], 400, "Connection ID required"),
            ("DELETE", "/echo", [], 400, "Connection ID required"),
            ("GET", "/echo?id=nonsense", [], 404, "No Connection with that ID"),
            ("POST", "/echo?id=AAAAAAAAAAAAAAAAAAAAAA", [], 404, "No Connection with that ID"),
            ("DELETE", "/echo?id=nonsense", [], 404, "No Connection with that ID"),
            ("GET", "/echo?id=nonsense", ["Accept: text/event-stream"], 404, "No Connection with that ID"),
            ("PUT", "/echo?id=x", [], 405, ""), ("PATCH", "/echo", [], 405, ""), ("OPTIONS", "/echo", [], 405, ""),
            ("HEAD", "/echo", [], 405, ""), ("GET", "/echo/negotiate", [], 405, ""),
            ("PUT", "/echo/negotiate", [], 405, ""),
            ("GET", "/echo/other", [], 404, "Not found."), ("GET", "/echo2", [], 404, "Not found."),
        ] as [(String, String, [String], Int, String)])
    func errors(method: String, target: String, fields: [String], status: Int, body: String) async throws {
        try await TestServer.run { server in
            let response = try await server.get(target, method: method, fields: fields)
            #expect(response.status == status)
            #expect(response.body == body)
            #expect(response["content-type"]?.hasPrefix("text/plain") == true)
        }
    }

    @Test("names the transport that it does not serve")
    func otherTransports() async throws {
        try await TestServer.run { server in
            let id = try Self.id(try await Self.negotiate(server))
            let poll = try await server.get("/echo?id=\(id)&_=1", fields: ["Accept: Text"])
            #expect(poll.status == 404)
            #expect(poll.body == "LongPolling transport not supported by this end point type")
            let events = try await server.get("/echo?id=\(id)", fields: ["Accept: text/event-stream"])
            #expect(events.status == 404)
            #expect(events.body == "ServerSentEvents transport not supported by this end point type")
            let deletion = try await server.get("/echo?id=\(id)", method: "DELETE")
            #expect(deletion.status == 400)
            #expect(deletion.body == "Cannot terminate this connection using the DELETE endpoint.")
        }
    }

    @Test("opens one WebSocket per negotiated id and none again", arguments: [0, 1])
    func claims(version: Int) async throws {
        try await TestServer.run { server in
            let answer = try await Self.negotiate(server, "?negotiateVersion=\(version)")
            let id = try Self.id(answer, version == 0 ? "connectionId" : "connectionToken")
            let client = try await RawClient.openSocket(port: server.port, "/echo?id=\(id)&access_token=x")
            let second = try await server.get("/echo?id=\(id)", fields: RawRequest.upgradeFields)
            #expect(second.status == 409)
            #expect(second.body.isEmpty)
            let post = try await server.get("/echo?id=\(id)", method: "POST")
            #expect(post.status == 405)
            #expect(post.body == "POST requests are not allowed for WebSocket connections.")
            try await client.send(MaskedFrame.close(1000))
            try await client.receiveEnd()
            var status = 409
            for _ in 0..<100 where status == 409 {
                status = try await server.get("/echo?id=\(id)", fields: RawRequest.upgradeFields).status
            }
            #expect(status == 404)
        }
    }

    @Test("refuses an upgrade with an id that nobody negotiated")
    func unknownID() async throws {
        try await TestServer.run { server in
            let response = try await server.get("/echo?id=unknown", fields: RawRequest.upgradeFields)
            #expect(response.status == 404)
            #expect(response.body == "No Connection with that ID")
        }
    }

    @Test("binds an id to the user it was negotiated for, and answers 401 and 403 as the authenticator says")
    func users() async throws {
        try await TestServer.run({
            $0.authenticator = { request in
                switch request.query["access_token"] ?? request.headers["authorization"] {
                case "none": throw AccessDenied.unauthenticated
                case "never": throw AccessDenied.forbidden
                case "broken": throw Broken()
                case let name: return name.map { Principal(name: $0) }
                }
            }
        }) { server in
            for (token, status) in [("none", 401), ("never", 403), ("broken", 500)] {
                let response = try await Self.negotiate(server, "?access_token=\(token)")
                #expect(response.status == status)
                #expect(response.body.isEmpty)
            }
            let id = try Self.id(try await Self.negotiate(server, fields: ["Authorization: ann"]))
            for (token, status) in [("bob", 404), ("", 404), ("ann", 101)] {
                let client = try await server.connect()
                try await client.send(RawRequest.upgrade("/echo?id=\(id)&access_token=\(token)"))
                #expect(try await client.receiveResponse().status == status)
                client.close()
            }
        }
    }

    private struct Broken: Error {}

    @Test("lets listed pages preflight and read, and no others")
    func crossOrigin() async throws {
        try await TestServer.run({ $0.allowedOrigins = ["https://app.example"] }) { server in
            let preflight = [
                "Origin: https://app.example", "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: x-requested-with,x-signalr-user-agent",
            ]
            let allowed = try await server.get("/echo/negotiate", method: "OPTIONS", fields: preflight)
            #expect(allowed.status == 204)
            #expect(allowed["access-control-allow-origin"] == "https://app.example")
            #expect(allowed["access-control-allow-credentials"] == "true")
            #expect(allowed["access-control-allow-methods"] == "GET, POST, DELETE")
            #expect(allowed["access-control-allow-headers"]?.contains("x-signalr-user-agent") == true)
            let answer = try await Self.negotiate(server, fields: ["Origin: https://app.example"])
            #expect(answer["access-control-allow-origin"] == "https://app.example")
            #expect(answer["vary"] == "Origin")
            let other = try await Self.negotiate(server, fields: ["Origin: https://evil.example"])
            #expect(other["access-control-allow-origin"] == nil)
            let evil = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"]
            #expect(try await server.get("/echo/negotiate", method: "OPTIONS", fields: evil).status == 405)
        }
    }
}
