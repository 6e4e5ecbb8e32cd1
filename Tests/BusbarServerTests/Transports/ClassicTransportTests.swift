import BusbarHub
import BusbarServer
import NIOCore
import TestSupport
import Testing

@Suite("Classic clients over requests", .timeLimit(.minutes(3)))
struct ClassicTransportTests {
    typealias Transport = ClassicHTTPClient.Transport

    @Test(
        "19 of every protocol version connect and call",
        arguments: Transport.allCases, [nil, "1.2", "1.3", "1.4", "1.5", "2.0", "2.1"] as [String?])
    func versions(transport: Transport, version: String?) async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.negotiate(server, transport, version: version ?? "")
            #expect(try await client.connect().contains(#""S":1,"#))
            if (version ?? "1.2") < "1.4" { #expect(diary.all == ["connected"]) }
            #expect(try await client.call("send", #"["x"]"#).body == #"{"I":"0"}"#)
            #expect(try await client.envelope(containing: "messageReceived").contains(#""A":["x"]"#))
        }
    }

    @Test(
        "28 30 37 get what was sent to them when they connected, once and in order", arguments: Transport.allCases,
        ["1.2", "2.1"])
    func greeting(transport: Transport, version: String) async throws {
        try await TestServer.chat { server, _ in
            let data = ClassicClient.encoded(#"[{"name":"echohub"}]"#)
            let base = try await ClassicHTTPClient.negotiate(server, transport, version: version)
            #expect(base.query.contains(data))
            let client = base.adding("greet=1")
            try await client.open("connect")
            if version == "2.1" {
                #expect(try await server.get("/signalr/start?\(client.query)").body == #"{ "Response": "started" }"#)
            }
            var all = ""
            while !all.contains("\"A\":[2]") || !all.contains("\"S\":1") { all += try await client.envelope() }
            #expect(all.count(of: "\"A\":[1]") == 1)
            #expect(all.count(of: "\"A\":[2]") == 1)
            let first = try #require(all.range(of: "\"A\":[1]")), second = try #require(all.range(of: "\"A\":[2]"))
            #expect(first.lowerBound < second.lowerBound)
        }
    }

    @Test("29 are told when the hub refuses them", arguments: Transport.allCases)
    func refused(transport: Transport) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.negotiate(server, transport).adding("refuse=1")
            try await client.connect()
            #expect(try await server.get("/signalr/start?\(client.query)").status == 500)
            let old = try await ClassicHTTPClient.negotiate(server, transport, version: "1.2").adding("refuse=1")
            await #expect(throws: (any Error).self) { try await old.connect() }
        }
    }

    @Test("T6 75 get the result of a call behind what the call sent them", arguments: Transport.allCases)
    func order(transport: Transport) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, transport)
            let answer = try await client.call("count", "[50]")
            #expect(answer.body == #"{"R":50,"I":"0"}"#)
            var numbers: [Int] = []
            while numbers.last != 50 {
                let envelope = try await client.envelope()
                numbers += envelope.split(separator: "\"A\":[").dropFirst().compactMap { Int($0.prefix { $0 != "]" }) }
            }
            #expect(numbers == Array(1...50))
        }
    }

    @Test(
        "70 71 T7 T17 T18 T19 get errors of calls with status 200, and of what is no call with 400",
        arguments: Transport.allCases)
    func errors(transport: Transport) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, transport)
            #expect(try await client.call("fail", #"["no"]"#).body == #"{"I":"0","H":true,"E":"no","D":{"code":7}}"#)
            #expect(
                try await client.call("missing").body
                    == #"{"I":"0","E":"There was an error invoking Hub method 'echoHub.missing'."}"#)
            for data in ["", "{", "[]", #"{"H":"nobody","M":"x","A":[],"I":0}"#, #"{"H":"echoHub","I":0}"#] {
                #expect(try await client.send(data).status == 400)
            }
            #expect(try await client.call("nothing", id: nil).body == "")
            #expect(try await client.call("nothing", id: 3).body == #"{"I":"3"}"#)
        }
    }

    @Test(
        "69 90 T8 may send a form in any way that clients do", arguments: Transport.allCases,
        [nil, "application/x-www-form-urlencoded; charset=UTF-8", "application/json", "text/plain", "x"] as [String?])
    func forms(transport: Transport, type: String?) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, transport)
            let fields = type.map { ["Content-Type: \($0)"] } ?? []
            let call = #"{"H": "echoHub", "M": "echo", "A": ["a+b & c;d=e %"], "I": 0}"#
            let answer = #"{"R":"a+b & c;d=e %","I":"0"}"#
            let strict = ClassicClient.encoded(call)
            for body in [strict, strict.replacing("%20", with: "+"), strict.replacing("%3b", with: ";")] {
                #expect(try await client.post("send", "data=\(body)", fields: fields).body == answer)
            }
            #expect(try await server.get("/signalr/send?\(client.query)&data=\(strict)").body == answer)
            let raw = try await server.connect()
            let form = "data=\(strict)"
            let half = form.utf8.count / 2
            try await raw.send(
                RawRequest.text(
                    "/signalr/send?\(client.query)", method: "POST", fields: fields + ["Transfer-Encoding: chunked"])
                    + "\(String(half, radix: 16))\r\n\(form.prefix(half))\r\n"
                    + "\(String(form.utf8.count - half, radix: 16))\r\n\(form.dropFirst(half))\r\n0\r\n\r\n")
            #expect(try await raw.receiveResponse().body == answer)
        }
    }

    @Test("36 T12 that never call start hear and call all the same", arguments: Transport.allCases)
    func neverStarted(transport: Transport) async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.negotiate(server, transport)
            try await client.connect()
            #expect(try await client.call("echo", #"["x"]"#).body == #"{"R":"x","I":"0"}"#)
            _ = try await client.call("send", #"["x"]"#)
            _ = try await client.envelope(containing: "messageReceived")
            #expect(!diary.all.contains("connected"))
        }
    }

    @Test("33 T13 fall back with the same token: each transport has its own init message, and no event tells of it")
    func fallback() async throws {
        try await TestServer.chat { server, diary in
            let events = try await ClassicHTTPClient.negotiate(server, .serverSentEvents)
            try await events.connect()
            let frame = events.over(.foreverFrame)
            #expect(try await frame.connect().contains(#""S":1"#))
            let polling = frame.over(.longPolling)
            #expect(try await polling.connect().contains(#""S":1"#))
            try await events.stream?.rest()
            try await frame.stream?.rest()
            #expect(try await server.get("/signalr/start?\(polling.query)").status == 200)
            _ = try await polling.call("send", #"["once"]"#)
            #expect(try await polling.envelope(containing: "once").count(of: "once") == 1)
            #expect(diary.all == ["connected"])
        }
    }

    @Test(
        "34 a thousand concurrent connects with one id all succeed, and each newer one replaces the older",
        arguments: [Transport.serverSentEvents, .longPolling])
    func crowd(transport: Transport) async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.negotiate(server, transport)
            var streams: [RawStream] = []
            try await withThrowingTaskGroup(of: RawStream.self) { group in
                for _ in 0..<1_000 {
                    group.addTask { try await RawStream.open(server, "/signalr/connect?\(client.query)") }
                }
                for try await stream in group {
                    #expect(stream.status == 200)
                    streams.append(stream)
                }
            }
            #expect(try await client.connect().contains(#""S":1"#))
            for stream in streams {
                try await stream.rest()
                stream.close()
            }
            _ = try await client.call("send", #"["x"]"#)
            _ = try await client.envelope(containing: "messageReceived")
            #expect(diary.all.isEmpty)
            #expect(await server.server.runtime.sessionCount() == 1)
        }
    }

    @Test("52 58 keep their groups when they come back", arguments: Transport.allCases)
    func groups(transport: Transport) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, transport)
            for number in 0..<10 { _ = try await client.call("join", "[\"room \(number)\"]") }
            while client.groupsToken == nil { _ = try await client.envelope() }
            client.close()
            try await client.open("reconnect")
            for number in 0..<10 { _ = try await client.call("toGroup", "[\"room \(number)\",\"to \(number)\"]") }
            var all = ""
            while !all.contains("to 9") { all += try await client.envelope() }
            for number in 0..<10 { #expect(all.count(of: "\"to \(number)\"") == 1) }
            _ = try await client.call("leave", #"["room 1"]"#)
            for _ in 0..<10 { _ = try await client.call("toGroup", #"["room 1","unheard"]"#) }
            _ = try await client.call("send", #"["fence"]"#)
            all = ""
            while !all.contains("fence") { all += try await client.envelope() }
            #expect(!all.contains("unheard"))
        }
    }

    @Test("T21 that the application ends are told not to come back", arguments: Transport.allCases)
    func quit(transport: Transport) async throws {
        try await TestServer.chat { server, diary in
            let client = try await ClassicHTTPClient.start(server, transport)
            if transport == .longPolling { try await client.open("poll") }
            async let answer = client.call("quit")
            let last = try await client.envelope(containing: "\"E\":")
            #expect(last.contains("\"D\":1"))
            try await client.stream?.rest()
            _ = try await answer
            try await server.wait(for: "the event") { diary.all.last == "disconnected aborted" }
        }
    }

    @Test("N-45 of a connection that is not here get 404 for calls and starts", arguments: Transport.allCases)
    func unknown(transport: Transport) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.negotiate(server, transport)
            #expect(try await client.call("echo", #"["x"]"#).status == 404)
            #expect(try await server.get("/signalr/start?\(client.query)").status == 404)
        }
    }

    @Test(
        "§4.5 a call that is under way when its connection ends is answered with its result, one that waits with 404",
        arguments: Transport.allCases)
    func endedCalls(transport: Transport) async throws {
        try await TestServer.cases { server, diary, gate in
            let client = try await ClassicHTTPClient.start(server, transport)
            async let running = client.call("hold", #"["on"]"#)
            try await server.wait(for: "the call") { diary.all.last == "holding on" }
            async let waiting = client.call("echo", #"["x"]"#, id: 1)
            #expect(try await client.post("abort", "").status == 200)
            // Why either: it may have waited behind the other one, or come when the connection had ended.
            #expect(try await waiting.status == 404)
            gate.open()
            #expect(try await running.body == #"{"R":"on","I":"0"}"#)
            try await server.wait(for: "the event") { diary.all.last == "disconnected stoppedByClient" }
        }
    }
}
