import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("The classic endpoint")
struct ClassicEndpointTests {
    private static let javaScript = "application/javascript; charset=UTF-8"

    @Test(
        "1 its prefix ends where a segment ends, in any letter case",
        arguments: [
            ("/signalr", "/signalr", true), ("/signalr", "/SignalR/negotiate", true), ("/signalr", "/signalr2", false),
            ("/echo", "/echo2/ping", false), ("/echo", "/echo/ping", true), ("/signalr", "/", false),
        ])
    func prefix(prefix: String, path: String, isBelow: Bool) {
        #expect(ClassicRoute.isBelow(prefix, path: path) == isBelow)
    }

    @Test(
        "4 only how a path ends decides what it means",
        arguments: [
            ("/signalr/hubs", .script), ("/signalr/JS///", .script), ("/signalr/js/negotiate", .negotiate),
            ("/signalr/js/connect", .connect), ("/signalr/a/b/Reconnect", .reconnect), ("/signalr/negotiate/", .bare),
            ("/signalr", .bare), ("/signalr/poll", .poll), ("/signalr/send", .send), ("/signalr/abort", .abort),
            ("/signalr/start", .start), ("/signalr/ping", .ping), ("/signalr/subjs", .bare),
        ] as [(String, ClassicRoute)])
    func routes(path: String, route: ClassicRoute) {
        #expect(ClassicRoute(path: path) == route)
    }

    @Test(
        "2 serves the script under both names, with or without slashes behind them",
        arguments: [
            "/signalr/hubs", "/signalr/js", "/signalr/hubs/", "/SIGNALR/HUBS",
        ])
    func script(path: String) async throws {
        try await TestServer.run { server in
            let response = try await server.get(path)
            #expect(response.status == 200)
            #expect(response["content-type"] == Self.javaScript)
            #expect(!response.body.hasPrefix("throw"))
            #expect(response.body.contains("echoHub"))
            let etag = try #require(response["etag"])
            let again = try await server.get(path, fields: ["If-None-Match: \(etag)"])
            #expect(again.status == 304)
            #expect(again["etag"] == etag)
        }
    }

    @Test("3 serves a script that throws when proxies are switched off")
    func disabledScript() async throws {
        var settings = HubConfiguration()
        settings.classic.javaScriptProxies = false
        try await TestServer.run(hubConfiguration: settings) { server in
            let response = try await server.get("/signalr/hubs")
            #expect(response.status == 200)
            #expect(response["content-type"] == Self.javaScript)
            #expect(response.body.hasPrefix("throw new Error("))
        }
    }

    @Test(
        "§1.9 answers what is wrong in the order of its checks, with the reference's words",
        arguments: [
            ("connect", "", 400, "Protocol error: Unknown transport."),
            ("connect", "transport=carrierPigeon", 400, "Protocol error: Unknown transport."),
            ("negotiate/", "", 400, "Protocol error: Unknown transport."),
            ("connect", "transport=serverSentEvents", 400, "Protocol error: Missing connection token."),
            ("connect", "transport=WEBSOCKETS&connectionToken=", 400, "Protocol error: Missing connection token."),
            (
                "connect", "transport=webSockets&connectionToken=garbage", 400,
                "The ConnectionId is in the incorrect format."
            ),
            (
                "start", "transport=longPolling&connectionToken=gar%20bage", 400,
                "The ConnectionId is in the incorrect format."
            ),
            ("abort", "connectionToken=x", 400, "Protocol error: Unknown transport."),
        ])
    func checks(ending: String, query: String, status: Int, body: String) async throws {
        try await TestServer.run { server in
            for method in ["GET", "POST"] {
                let response = try await server.get("/signalr/\(ending)?\(query)", method: method)
                #expect(response.status == status)
                #expect(response.body == body)
            }
        }
    }

    @Test(
        "5 6 7 a receive request needs a transport, a token and a good one",
        arguments: [
            ("x=1", "Protocol error: Unknown transport."),
            ("transport=serverSentEvents", "Protocol error: Missing connection token."),
            ("transport=longPolling&connectionToken=garbage", "The ConnectionId is in the incorrect format."),
        ])
    func receiveChecks(query: String, body: String) async throws {
        try await TestServer.run { server in
            let response = try await server.get("/signalr/connect?\(query)")
            #expect(response.status == 400)
            #expect(response.body == body)
        }
    }

    @Test("8 9 10 T20 a token is its user's, whose name may have colons and any letter case")
    func users() async throws {
        try await TestServer.run({
            $0.authenticator = { request in request.headers["x-user"].map { Principal(name: $0) } }
        }) { server in
            for (minted, used, status) in [
                ("bob", "BOB", 101), ("::11:::::::1:1", "::11:::::::1:1", 101), ("bob", "ann", 403), ("bob", nil, 403),
                (nil, "bob", 403),
            ] as [(String?, String?, Int)] {
                func field(_ user: String?) -> [String] { user.map { ["X-User: \($0)"] } ?? [] }
                let query = try await ClassicClient.negotiate(server, fields: field(minted))
                let client = try await server.connect()
                try await client.send(RawRequest.upgrade("/signalr/connect?\(query)", fields: field(used)))
                let response = try await client.receiveResponse()
                client.close()
                #expect(response.status == status)
                if status == 403 {
                    #expect(
                        response.body == "Unrecognized user identity.  The user identity cannot change during an"
                            + " active SignalR connection.")
                }
            }
        }
    }

    @Test("11 a plain GET with transport=webSockets is no WebSocket, whatever its path ends with")
    func notAnUpgrade() async throws {
        try await TestServer.run { server in
            let query = try await ClassicClient.negotiate(server)
            for ending in ["connect", "reconnect", "poll", "send", ""] {
                let response = try await server.get("/signalr/\(ending)?\(query)")
                #expect(response.status == 400)
                #expect(response.body == "Not a valid web socket request.")
            }
        }
    }

    @Test("12 every answer forbids guessing its type and being kept")
    func commonFields() async throws {
        try await TestServer.run { server in
            for target in ["negotiate", "ping", "hubs", "connect", "abort?transport=webSockets", ""] {
                let response = try await server.get("/signalr/\(target)")
                #expect(response["x-content-type-options"] == "nosniff")
                #expect(["no-cache", "no-store"].contains(response["cache-control"]))
            }
        }
    }

    @Test("13 a callback is refused while JSONP is off, before anything else")
    func jsonpOff() async throws {
        try await TestServer.run { server in
            for ending in ["negotiate", "ping", "connect", "hubs"] {
                let response = try await server.get("/signalr/\(ending)?callback=foo&connectionData=broken")
                #expect(response.status == 403)
                #expect(response.reason == "Forbidden: JSONP is disabled.")
                #expect(response.body.isEmpty)
            }
            #expect(try await server.get("/signalr/ping?callback=").status == 200)
        }
    }

    @Test("14 15 with JSONP on a callback that names a function is called, and any other is refused")
    func jsonpOn() async throws {
        var settings = HubConfiguration()
        settings.classic.jsonp = true
        try await TestServer.run(hubConfiguration: settings) { server in
            for callback in ["foo", "foo.bar._baz", "$x", "jQuery182_13"] {
                let response = try await server.get("/signalr/ping?callback=\(callback)")
                #expect(response.body == callback + #"({ "Response": "pong" });"#)
                #expect(response["content-type"] == Self.javaScript)
            }
            for callback in ["1nogood", "%3Cyeahright%3E", "(function()%7B%7D)", "enum", "bar.class.foo", "foo."] {
                #expect(try await server.get("/signalr/ping?callback=\(callback)").status == 400)
            }
        }
    }

    @Test("16 ping is answered without token and transport")
    func ping() async throws {
        try await TestServer.run { server in
            let response = try await server.get("/signalr/ping?my=query&_=1")
            #expect(response.status == 200)
            #expect(response.body == #"{ "Response": "pong" }"#)
            #expect(response["content-type"] == "application/json; charset=UTF-8")
        }
    }

    @Test(
        "18 T1 the protocol version is the client's, kept within what is supported",
        arguments: [
            ("", "1.2"), ("&clientProtocol=.8", "1.2"), ("&clientProtocol=abc", "1.2"), ("&clientProtocol=1.4", "1.4"),
            ("&clientProtocol=1.2.5", "1.2.5"), ("&clientProtocol=1.9", "1.9"), ("&clientProtocol=9.0", "2.1"),
        ])
    func versions(query: String, version: String) async throws {
        try await TestServer.run { server in
            let response = try await server.get("/signalr/negotiate?x=y\(query)")
            #expect(ClassicClient.field("ProtocolVersion", in: response.body) == version)
        }
    }

    @Test("19 T2 T3 negotiate tells everything clients need and no more, and the path that it was asked at")
    func negotiation() async throws {
        try await TestServer.run { server in
            let response = try await server.get("/SignalR/js/negotiate?clientProtocol=2.1")
            #expect(response.status == 200)
            #expect(response["content-type"] == "application/json; charset=UTF-8")
            let token = try #require(ClassicClient.field("ConnectionToken", in: response.body))
            let id = try #require(ClassicClient.field("ConnectionId", in: response.body))
            #expect(id.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
            #expect(
                response.body == #"{"Url":"/SignalR/js","ConnectionToken":"\#(token)","ConnectionId":"\#(id)","#
                    + #""KeepAliveTimeout":20.0,"DisconnectTimeout":30.0,"ConnectionTimeout":110.0,"#
                    + #""TryWebSockets":true,"ProtocolVersion":"2.1","#
                    + #""TransportConnectTimeout":5.0,"LongPollDelay":0.0}"#
            )
        }
    }

    @Test("21 T2 the time for a transport to connect is told as it is set, at each negotiate", arguments: [4.5, 10])
    func transportConnectTimeout(seconds: Double) async throws {
        var settings = HubConfiguration()
        settings.classic.transportConnectTimeout = .seconds(seconds)
        try await TestServer.run(hubConfiguration: settings) { server in
            for _ in 0..<2 {
                let response = try await server.get("/signalr/negotiate")
                #expect(response.body.contains("\"TransportConnectTimeout\":\(seconds),"))
            }
        }
    }

    @Test("20 without keep-alive its timeout is null")
    func noKeepAlive() async throws {
        var settings = HubConfiguration()
        settings.classic.keepAlive = nil
        try await TestServer.run(hubConfiguration: settings) { server in
            let response = try await server.get("/signalr/negotiate")
            #expect(response.body.contains(#""KeepAliveTimeout":null"#))
        }
    }

    @Test(
        "65 connectionData that is no list of known hubs is refused on every request",
        arguments: [
            #"[{"name":"nobody"}]"#, #"[{"name":"echoHub"},{"name":"ECHOHUB"}]"#, "[{}]", "[", "{}", #"[{"name":1}]"#,
        ])
    func connectionData(data: String) async throws {
        try await TestServer.run { server in
            for ending in ["negotiate", "ping", "connect"] {
                let response = try await server.get("/signalr/\(ending)?connectionData=\(ClassicClient.encoded(data))")
                #expect(response.status == 400)
                let isUnknown = response.body == "'nobody' Hub could not be resolved."
                #expect(isUnknown || response.body.hasPrefix("connectionData: "))
            }
        }
    }

    @Test(
        "T8 connectionData is read as clients write it",
        arguments: [
            "", "%5B%5D", "[%7B%22Name%22:%22EchoHub%22%7D]", "%5B%7B%22name%22%3A+%22echohub%22%7D%5D",
        ])
    func lenientConnectionData(data: String) async throws {
        try await TestServer.run { server in
            let response = try await server.get("/signalr/negotiate?connectionData=\(data)")
            #expect(response.status == 200)
        }
    }

    @Test("40 41 T11 abort is answered 200, by GET and by POST, for connections that are gone or never were")
    func abort() async throws {
        try await TestServer.run { server in
            let query = try await ClassicClient.negotiate(server)
            for method in ["GET", "POST"] {
                let response = try await server.get("/signalr/abort?\(query)", method: method)
                #expect(response.status == 200)
                #expect(response["content-type"] == "text/plain")
                #expect(response.body.isEmpty)
            }
        }
    }
}
