import BusbarHub
import BusbarServer
import Logging
import NIOCore
import Testing

/// A core client past its handshake.
enum CoreClient {
    static let separator = "\u{1E}"

    static func open(_ server: TestServer, receiveBufferBytes: Int? = nil) async throws -> RawClient {
        let client = try await RawClient.openSocket(
            port: server.port, "/echo", receiveBufferBytes: receiveBufferBytes)
        try await client.sendText(#"{"protocol":"json","version":1}"# + Self.separator)
        let answer = try await client.receiveText()
        guard answer == "{}" + Self.separator else { throw MalformedResponse(text: answer) }
        return client
    }

    static func invocation(_ method: String, _ argument: String?, id: String? = nil) -> String {
        let arguments = argument.map { "\"\($0)\"" } ?? ""
        let idProperty = id.map { #","invocationId":"\#($0)""# } ?? ""
        return #"{"type":1,"target":"\#(method)","arguments":[\#(arguments)]\#(idProperty)}"# + Self.separator
    }
}

@Suite("Core clients over WebSocket")
struct CoreTrafficTests {
    @Test("hear what others send, each message once and in order")
    func broadcast() async throws {
        try await TestServer.run { server in
            let ann = try await CoreClient.open(server)
            let bob = try await CoreClient.open(server)
            for index in 0..<50 { try await ann.sendText(CoreClient.invocation("send", "hello \(index)")) }
            for client in [ann, bob] {
                var heard: [String] = []
                while heard.count < 50 {
                    let text = try await client.receiveText()
                    heard += text.split(separator: "\u{1E}").map(String.init).filter { $0.contains("messageReceived") }
                }
                #expect(heard.count == 50)
                for (index, text) in heard.enumerated() { #expect(text.contains("\"hello \(index)\"")) }
            }
        }
    }

    @Test("send in text or binary frames, in pieces and several at once")
    func framing() async throws {
        try await TestServer.run { server in
            let client = try await CoreClient.open(server)
            let text = CoreClient.invocation("echo", "a", id: "1") + CoreClient.invocation("echo", "b", id: "2")
            let bytes = ByteBuffer(string: text)
            try await client.send(
                MaskedFrame.make(opcode: 2, isLast: false, bytes.getSlice(at: 0, length: 10) ?? bytes))
            try await client.send(MaskedFrame.make(opcode: 9, ByteBuffer()))
            try await client.send(
                MaskedFrame.make(opcode: 0, bytes.getSlice(at: 10, length: bytes.readableBytes - 10) ?? bytes))
            #expect(try await client.receiveFrame().opcode == 10)
            var results = ""
            while !results.contains(#""invocationId":"2""#) { results += try await client.receiveText() }
            #expect(results.contains(#""invocationId":"1""#))
        }
    }

    @Test("get pongs while a method of theirs runs")
    func pongWhileBusy() async throws {
        try await TestServer.run { server in
            let client = try await CoreClient.open(server)
            try await client.sendText(CoreClient.invocation("slow", nil, id: "1"))
            try await client.send(MaskedFrame.make(opcode: 9, ByteBuffer(string: "x")))
            #expect(try await client.receiveFrame().opcode == 10)
        }
    }

    @Test("81 send and receive messages of 65,536 characters where the limit allows")
    func longMessages() async throws {
        var settings = HubConfiguration()
        settings.core.maximumReceiveMessageBytes = 131_072
        try await TestServer.run(hubConfiguration: settings) { server in
            let client = try await CoreClient.open(server)
            let long = String(repeating: "x", count: 65_536)
            try await client.sendText(CoreClient.invocation("echo", long, id: "1"))
            let result = try await client.receiveText { $0.contains(#""invocationId":"1""#) }
            #expect(result.contains(long))
        }
    }

    @Test("that stop reading are cut off and cost their neighbours nothing")
    func slowReader() async throws {
        var settings = HubConfiguration()
        settings.outboundLimitBytes = 262_144
        settings.core.maximumReceiveMessageBytes = 131_072
        try await TestServer.run(hubConfiguration: settings) { server in
            let stuck = try await CoreClient.open(server, receiveBufferBytes: 4_096)
            let healthy = try await CoreClient.open(server)
            try await stuck.stopReading()
            let text = String(repeating: "y", count: 80_000)
            // Enough for the kernel's buffers and the limit together.
            for index in 0..<120 {
                try await healthy.sendText(CoreClient.invocation("send", "\(index) \(text)"))
                _ = try await healthy.receiveText { $0.contains("\"\(index) y") }
            }
            try? await stuck.startReading()
            let got = try await stuck.receiveEnd()
            #expect(got.readableBytes < 120 * 80_000)
        }
    }

    @Test("are told to come back when the server stops")
    func stop() async throws {
        try await TestServer.run { server in
            let client = try await CoreClient.open(server)
            await server.stop()
            let last = try await client.receiveText { $0.contains(#""type":7"#) }
            #expect(last.contains(#""allowReconnect":true"#))
            #expect(try await client.receiveClose() == 1001)
            try await client.send(MaskedFrame.close(1001))
            try await client.receiveEnd()
        }
    }

    @Test("that break the protocol get a Close message before the end")
    func protocolError() async throws {
        try await TestServer.run { server in
            let client = try await CoreClient.open(server)
            try await client.sendText("nonsense" + CoreClient.separator)
            #expect(try await client.receiveText().contains(#""type":7"#))
            #expect(try await client.receiveClose() != nil)
        }
    }
}

@Suite("A stopping server")
struct StopTests {
    @Test("closes idle connections, refuses new ones and ends")
    func idle() async throws {
        try await TestServer.run { server in
            let client = try await server.connect()
            // Why a loop: a server is ready a moment after it answers, when its bus has its first link.
            let deadline = ContinuousClock.now + .seconds(20)
            var status = 0
            while status != 200, ContinuousClock.now < deadline {
                status = try await client.get("/health/ready").status
            }
            #expect(status == 200)
            await server.stop()
            try await client.receiveEnd()
            await #expect(throws: (any Error).self) { _ = try await server.connect() }
        }
    }

    @Test("names address and port it cannot have")
    func portInUse() async throws {
        try await TestServer.run { server in
            var configuration = ServerConfiguration()
            configuration.port = server.port
            let second = try BusbarServer(
                bus: TestBus.make(logger: .init(label: "test")), hubs: [], configuration: configuration,
                logger: .init(label: "test"))
            let error = await #expect(throws: ServerError.self) { try await second.bind() }
            #expect(error?.code == .cannotBind)
            #expect(error?.detail.contains("127.0.0.1:\(server.port)") == true)
        }
    }
}
