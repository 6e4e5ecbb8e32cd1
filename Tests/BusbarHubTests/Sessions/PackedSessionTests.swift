import Busbar
import BusbarHub
import BusbarProtocol
import FoundationEssentials
import NIOCore
import Testing

/// A hub of values whose kinds JSON has no sign for.
private struct KindsHub: Hub {
    let call: HubCall

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("reverse", reverse), HubMethod("tomorrow", tomorrow), HubMethod("double", double),
        ]
    }

    private func reverse(bytes: Data) -> Data { Data(bytes.reversed()) }
    private func tomorrow(date: Date) -> Date { date.addingTimeInterval(86_400) }
    private func double(value: Double) -> Double { value * 2 }
}

@Suite("A core session in MessagePack", .timeLimit(.minutes(1)))
struct PackedSessionTests {
    private static let failed = #"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#

    @Test("core 1.4, 1.11: the handshake is answered in a binary frame and may come with a first call, in pieces")
    func handshake() async throws {
        try await Room.open { room in
            let peer = try await room.core("c1", language: .messagePack)
            var bytes = ByteBuffer(string: "{\"protocol\":\"MessagePack\",\"version\":0}\u{1E}")
            bytes.writeBytes([0x0C, 0x95, 0x01, 0x80, 0xA1, 0x31, 0xA4] + Array("echo".utf8) + [0x91, 0x2A])
            for byte in bytes.readableBytesView { try await peer.sendBytes(ByteBuffer(integer: byte)) }
            #expect(await peer.next() == "{}")
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":42}"#)
        }
    }

    @Test("core 1.4, 1.11: a refused handshake is answered in a text frame")
    func refusal() async throws {
        try await Room.open { room in
            let peer = try await room.core("c1", language: .messagePack)
            try await peer.sendBytes("{\"protocol\":\"messagepack\",\"version\":7}\u{1E}")
            let text = "The server does not support version 7 of the 'messagepack' protocol."
            #expect(await peer.next() == #"as text: {"error":"\#(text)"}"#)
            #expect(await peer.next() == nil)
        }
    }

    @Test("core 1.14: results, void as nil, errors, pings and the last message come in MessagePack")
    func messages() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1", language: .messagePack)
            for value in [#"{"a":[1,-1.5,null,true,"ü",{}]}"#, "[]", "null", #""x""#] {
                try await peer.send(#"{"type":1,"invocationId":"1","target":"echo","arguments":[\#(value)]}"#)
                #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":\#(value)}"#)
            }
            try await peer.send(#"{"type":1,"invocationId":"2","target":"nothing","arguments":[]}"#)
            #expect(await peer.next() == #"{"type":3,"invocationId":"2","result":null}"#)
            try await peer.send(#"{"type":1,"invocationId":"3","target":"fail","arguments":["why"]}"#)
            let text = "An unexpected error occurred invoking 'fail' on the server. HubException: why"
            #expect(await peer.next() == #"{"type":3,"invocationId":"3","error":"\#(text)"}"#)
            try await peer.send(#"{"type":1,"target":"fail","arguments":["unheard"]}"#, #"{"type":6}"#)
            try await room.pass(.seconds(16))
            #expect(await peer.next() == #"{"type":6}"#)
            try await peer.send(#"{"type":1,"target":"quit","arguments":[]}"#)
            #expect(await peer.next() == #"{"type":7}"#)
        }
    }

    @Test("bytes, dates and numbers reach the method and come back as what they are")
    func kinds() async throws {
        try await Room.open(hubs: [.hub(KindsHub.self)]) { room in
            let peer = try await room.core("c1", hub: "KindsHub", language: .messagePack)
            try await peer.shakeHands()
            for (target, argument, result) in [
                ("reverse", "c4 03 01 02 03", #""AwIB""#), ("reverse", "a4 41 51 49 44", #""AwIB""#),
                ("tomorrow", "d7 ff 77 35 94 00 00 00 00 01", #""1970-01-02T00:00:01.500Z""#),
                (
                    "tomorrow", "b4 31 39 37 30 2d 30 31 2d 30 31 54 30 30 3a 30 30 3a 30 31 5a",
                    #""1970-01-02T00:00:01Z""#
                ),
                ("double", "cb 3f f8 00 00 00 00 00 00", "3"), ("double", "ff", "-2"),
            ] {
                let name = ByteBuffer(string: target)
                var body = try ByteBuffer(plainHexEncodedBytes: "95 01 80 a1 31")
                body.writeInteger(0xA0 | UInt8(name.readableBytes))
                body.writeImmutableBuffer(name)
                body.writeImmutableBuffer(try ByteBuffer(plainHexEncodedBytes: "91 " + argument))
                var record = ByteBuffer(integer: UInt8(body.readableBytes))
                record.writeImmutableBuffer(body)
                try await peer.sendBytes(record)
                #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":\#(result)}"#)
            }
        }
    }

    @Test(
        "core 1.25: what breaks the protocol closes the connection with an error and allows to reconnect",
        arguments: [
            [0x00], [0x01, 0xC0], [0x02, 0x91, 0xC0], [0x02, 0x92, 0x01], [0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            [0x06, 0x94, 0x03, 0x80, 0xA1, 0x31, 0x07], [0x81, 0x80, 0x02], [0x05, 0x95, 0x01, 0x80, 0xC0, 0xC0],
        ] as [[UInt8]])
    func protocolViolation(bytes: [UInt8]) async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1", language: .messagePack)
            try await peer.sendBytes(ByteBuffer(bytes: bytes))
            #expect(await peer.next() == Self.failed)
            #expect(await peer.next() == nil)
            await room.journal.wait(for: "disconnected c1 protocolViolated")
        }
    }

    @Test(
        "core 1.20: a message of exactly the limit passes, a longer one closes the connection as soon as it is announced"
    )
    func receiveLimit() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1", language: .messagePack)
            let head: [UInt8] = [0x95, 0x01, 0x80, 0xA1, 0x31, 0xA4] + Array("echo".utf8) + [0x91, 0xDA]
            let count = 32_768 - 3 - head.count - 2
            var record = ByteBuffer(bytes: [0xFD, 0xFF, 0x01] + head)
            record.writeInteger(UInt16(count))
            record.writeRepeatingByte(UInt8(ascii: "x"), count: count)
            #expect(record.readableBytes == 32_768)
            try await peer.sendBytes(record)
            let text = String(repeating: "x", count: count)
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":"\#(text)"}"#)
            try await peer.sendBytes(ByteBuffer(bytes: [0xFE, 0xFF, 0x01]))
            #expect(await peer.next() == Self.failed)
        }
    }

    @Test("core 3.5-24, 3.5-25: in one group each client gets a message in its own protocol, and nil as it writes it")
    func mixedGroup() async throws {
        try await Room.open { room in
            let json = try await room.connected("json"),
                packed = try await room.connected("packed", language: .messagePack)
            let context = try #require(room.runtime.context(for: TestHub.self))
            for id in ["json", "packed"] { try await context.groups.add(id, to: "g") }
            let big = UInt64.max
            for number in 0..<20 {
                try await context.clients.group("g").send("received", number, Int?.none, ["x": 1.5], big)
            }
            try await context.clients.groupExcept("g", ["packed"]).send("received", "for one")
            try await context.clients.all.send("received", "for all")
            let common = (0..<20).map {
                #"{"type":1,"target":"received","arguments":[\#($0),null,{"x":1.5},18446744073709551615]}"#
            }
            let last = #"{"type":1,"target":"received","arguments":["for all"]}"#
            for text in common + [#"{"type":1,"target":"received","arguments":["for one"]}"#, last] {
                #expect(await json.next() == text)
            }
            // Why another number: what a double is nearest to is what JSON in the test makes of it.
            for text in common + [last] {
                #expect(await packed.next() == text.replacing("18446744073709551615", with: "1.8446744073709552e+19"))
            }
        }
    }

    @Test("core 3.5-25: a message is written once per protocol, and what JSON has no sign for arrives as what it is")
    func sharedFrames() async throws {
        try await Room.open { room in
            let packed = [
                try await room.connected("a", language: .messagePack),
                try await room.connected("b", language: .messagePack),
            ]
            let json = try await room.connected("c")
            let context = try #require(room.runtime.context(for: TestHub.self))
            try await context.clients.all.send("m", Data([1, 2]), Date(timeIntervalSince1970: 1), "AQI=")
            for peer in packed + [json] {
                let text = await peer.next()
                #expect(
                    text == #"{"type":1,"target":"m","arguments":["AQI=","1970-01-01T00:00:01Z","AQI="]}"#)
            }
            let frames = try packed.map { try #require($0.sink.lastFrame) }
            #expect(
                frames[0].hexDump(format: .plain)
                    == "82 18 17 96 01 80 c0 a1 6d 93 c4 02 01 02 d6 ff 00 00 00 01 a4 41 51 49 3d 90")
            let places = frames.map { frame in frame.withUnsafeReadableBytes { $0.baseAddress } }
            #expect(places[0] == places[1])
            let other = try #require(json.sink.lastFrame)
            #expect(other.withUnsafeReadableBytes { $0.baseAddress } != places[0])
        }
    }
}
