import BusbarServer
import NIOCore
import TestSupport
import Testing

@Suite("Becoming a WebSocket")
struct WebSocketUpgradeTests {
    private static let handshake = #"{"protocol":"json","version":1}"# + "\u{1E}"

    private func handshakeFrame() -> ByteBuffer {
        MaskedFrame.make(opcode: 1, ByteBuffer(string: Self.handshake))
    }

    @Test("works after earlier requests on the same connection")
    func afterRequests() async throws {
        try await TestServer.run { server in
            let client = try await server.connect()
            #expect(try await client.get("/health").status == 200)
            #expect(try await client.get("/echo/negotiate", method: "POST").status == 200)
            try await client.send(RawRequest.upgrade("/echo"))
            let response = try await client.receiveResponse()
            #expect(response.status == 101)
            #expect(response["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(response["sec-websocket-protocol"] == nil)
            #expect(response["sec-websocket-extensions"] == nil)
            try await client.send(self.handshakeFrame())
            #expect(try await client.receiveText() == "{}\u{1E}")
        }
    }

    @Test("works in one packet with requests before it and frames behind it")
    func inOnePacket() async throws {
        try await TestServer.run { server in
            let client = try await server.connect()
            var bytes = ByteBuffer(string: RawRequest.text("/health") + RawRequest.upgrade("/echo"))
            var frame = self.handshakeFrame()
            bytes.writeBuffer(&frame)
            try await client.send(bytes)
            #expect(try await client.receiveResponse().body == "alive")
            #expect(try await client.receiveResponse().status == 101)
            #expect(try await client.receiveText() == "{}\u{1E}")
        }
    }

    @Test("works byte by byte")
    func byteByByte() async throws {
        try await TestServer.run { server in
            let client = try await server.connect()
            var bytes = ByteBuffer(string: RawRequest.upgrade("/echo", fields: ["Sec-WebSocket-Protocol: a, b"]))
            var frame = self.handshakeFrame()
            bytes.writeBuffer(&frame)
            for byte in bytes.readableBytesView { try await client.send(ByteBuffer(bytes: [byte])) }
            let response = try await client.receiveResponse()
            #expect(response.status == 101)
            #expect(response["sec-websocket-protocol"] == nil)
            #expect(try await client.receiveText() == "{}\u{1E}")
        }
    }

    @Test(
        "is refused without a usable version and key",
        arguments: [
            (["Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], 426),
            (["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], 426),
            (["Sec-WebSocket-Version: 13"], 400),
            (["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"], 400),
            (["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!=="], 400),
        ])
    func refused(fields: [String], status: Int) async throws {
        try await TestServer.run { server in
            let client = try await server.connect()
            let fields = ["Connection: Upgrade", "Upgrade: websocket"] + fields
            let response = try await client.get("/echo", fields: fields)
            #expect(response.status == status)
            #expect(response["sec-websocket-version"] == (status == 426 ? "13" : nil))
            #expect(try await client.get("/health").status == 200)
        }
    }

    @Test("is refused to pages that are not listed, and given to those that are and to what is no page")
    func origins() async throws {
        try await TestServer.run({ $0.allowedOrigins = ["https://app.example"] }) { server in
            for (origin, status) in [("https://app.example", 101), ("https://evil.example", 403), (nil, 101)] {
                let client = try await server.connect()
                try await client.send(RawRequest.upgrade("/echo", fields: origin.map { ["Origin: \($0)"] } ?? []))
                #expect(try await client.receiveResponse().status == status)
                client.close()
            }
        }
    }
}

@Suite("A WebSocket")
struct WebSocketConnectionTests {
    @Test("answers pings, also before the handshake")
    func ping() async throws {
        try await TestServer.run { server in
            let client = try await RawClient.openSocket(port: server.port, "/echo")
            try await client.send(MaskedFrame.make(opcode: 9, ByteBuffer(string: "are you there")))
            let pong = try await client.receiveFrame()
            #expect(pong.opcode == 10)
            #expect(pong.text == "are you there")
        }
    }

    @Test("answers a close frame with the same code and ends", arguments: [1000, 1001, 4000] as [UInt16])
    func close(code: UInt16) async throws {
        try await TestServer.run { server in
            let client = try await RawClient.openSocket(port: server.port, "/echo")
            try await client.send(MaskedFrame.close(code))
            #expect(try await client.receiveClose() == code)
            try await client.receiveEnd()
        }
    }

    @Test(
        "ends with the code that names what the peer did wrong",
        arguments: [
            ([0x81, 0x01, 0x61], 1002),  // not masked
            ([0xC1, 0x80, 0, 0, 0, 0], 1002),  // reserved bit
            ([0x83, 0x80, 0, 0, 0, 0], 1002),  // reserved opcode
            ([0x09, 0x80, 0, 0, 0, 0], 1002),  // fragmented ping
            ([0x88, 0x81, 0, 0, 0, 0, 1], 1002),  // close of one byte
        ] as [([UInt8], UInt16)])
    func misbehaviour(frame: [UInt8], code: UInt16) async throws {
        try await TestServer.run { server in
            let client = try await RawClient.openSocket(port: server.port, "/echo")
            try await client.send(ByteBuffer(bytes: frame))
            #expect(try await client.receiveClose() == code)
            try await client.receiveEnd()
        }
    }

    @Test("closes a peer that does not answer its close frame")
    func unansweredClose() async throws {
        try await TestServer.run { server in
            let client = try await RawClient.openSocket(port: server.port, "/echo")
            try await client.send(ByteBuffer(bytes: [0x81, 0x01, 0x61]))
            try await client.receiveEnd(within: .seconds(8))
        }
    }

    @Test("fed random frames ends or waits; the server serves on", arguments: [21, 22])
    func fuzz(seed: UInt64) async throws {
        try await TestServer.run { server in
            var random = SeededGenerator(seed: seed)
            for round in 0..<40 {
                let target = round % 2 == 0 ? "/echo" : try await ClassicClient.connectTarget(server)
                let client = try await RawClient.openSocket(port: server.port, target)
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                    let opcode = [0, 1, 2, 8, 9, 10].randomElement(using: &random) ?? 1
                    client.push(
                        Bool.random(using: &random)
                            ? MaskedFrame.make(
                                opcode: UInt8(opcode), isLast: Bool.random(using: &random), ByteBuffer(bytes: bytes))
                            : ByteBuffer(bytes: bytes))
                }
                client.close()
            }
            #expect(try await server.get("/health").status == 200, "seed \(seed)")
        }
    }
}
