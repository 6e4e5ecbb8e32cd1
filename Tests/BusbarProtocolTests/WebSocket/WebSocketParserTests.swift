import BusbarProtocol
import NIOCore
import Testing

@Suite("WebSocket frames")
struct WebSocketParserTests {
    private static let whole = WebSocketParser.Mode.messages(maximumBytes: 1_000_000)

    private static func events(_ bytes: [UInt8], mode: WebSocketParser.Mode = whole) -> [WebSocketEvent] {
        ClientFrames.events([bytes], mode: mode).events
    }

    private static func closeCode(_ bytes: [UInt8], mode: WebSocketParser.Mode = whole) -> UInt16? {
        ClientFrames.events([bytes], mode: mode).error?.closeCode.rawValue
    }

    @Test("a masked message of any length is read", arguments: [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_001])
    func lengths(length: Int) {
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(Self.events(ClientFrames.frame(2, payload)) == [.message(.binary, ByteBuffer(bytes: payload))])
        let two = ClientFrames.frame(2, payload) + ClientFrames.text("x") + ClientFrames.frame(2, payload, mask: 0)
        #expect(
            Self.events(two) == [
                .message(.binary, ByteBuffer(bytes: payload)), .message(.text, ByteBuffer(string: "x")),
                .message(.binary, ByteBuffer(bytes: payload)),
            ])
    }

    @Test("fragments become one message, with control frames between them, even when a character is cut")
    func fragments() {
        let euro = Array("€".utf8)
        let bytes =
            ClientFrames.frame(1, [euro[0]], isLast: false) + ClientFrames.frame(9, [1, 2])
            + ClientFrames.frame(0, [], isLast: false) + ClientFrames.frame(10, [])
            + ClientFrames.frame(0, euro[1...]) + ClientFrames.text("next")
        #expect(
            Self.events(bytes) == [
                .ping(ByteBuffer(bytes: [1, 2])), .pong(ByteBuffer()), .message(.text, ByteBuffer(string: "€")),
                .message(.text, ByteBuffer(string: "next")),
            ])
    }

    @Test("in streaming mode pieces are handed on as they arrive, whatever the opcode")
    func streaming() {
        let bytes =
            ClientFrames.text("abcdef", isLast: false) + ClientFrames.frame(9, [7])
            + ClientFrames.frame(0, Array("gh".utf8))
        #expect(
            Self.events(bytes, mode: .stream) == [
                .data(.text, isLast: false, ByteBuffer(string: "abcdef")), .ping(ByteBuffer(bytes: [7])),
                .data(.text, isLast: true, ByteBuffer(string: "gh")),
            ])
        let pieces = ClientFrames.events([Array(bytes[..<9]), Array(bytes[9...])], mode: .stream).events
        #expect(
            pieces.prefix(2) == [
                .data(.text, isLast: false, ByteBuffer(string: "abc")),
                .data(.text, isLast: false, ByteBuffer(string: "def")),
            ])
    }

    @Test("a broken rule of RFC 6455 ends the connection with 1002")
    func protocolErrors() {
        let text = Array("x".utf8)
        let broken: [[UInt8]] = [
            ClientFrames.frame(1, text, mask: nil), ClientFrames.frame(1, text, reserved: 0x40),
            ClientFrames.frame(1, text, reserved: 0x10), ClientFrames.frame(3, text), ClientFrames.frame(11, text),
            ClientFrames.frame(0, text), ClientFrames.text("a", isLast: false) + ClientFrames.text("b"),
            ClientFrames.frame(9, text, isLast: false), ClientFrames.frame(9, [UInt8](repeating: 0, count: 126)),
            [0x81, 0xFE, 0x00, 0x7D, 0, 0, 0, 0], [0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0],
            [0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ClientFrames.frame(8, [0x03]),
            ClientFrames.frame(8, [0x03, 0xED]), ClientFrames.frame(8, [0x03, 0xEC]), ClientFrames.frame(8, [0, 0]),
            ClientFrames.frame(8, [0xFF, 0xFF]),
        ]
        for bytes in broken { #expect(Self.closeCode(bytes) == 1002, "\(bytes.prefix(16))") }
    }

    @Test("text that is not UTF-8 ends the connection with 1007, over fragments too, and so does a close reason")
    func invalidText() {
        #expect(Self.closeCode(ClientFrames.frame(1, [0xC3, 0x28])) == 1007)
        let cut = ClientFrames.frame(1, [0xE2], isLast: false) + ClientFrames.frame(0, [0x82])
        #expect(Self.closeCode(cut) == 1007)
        #expect(Self.closeCode(ClientFrames.frame(8, [0x03, 0xE8, 0xFF])) == 1007)
        #expect(Self.closeCode(ClientFrames.frame(2, [0xC3, 0x28])) == nil)
    }

    @Test("a message beyond the limit ends the connection with 1009 as soon as its header is there")
    func tooBig() {
        let mode = WebSocketParser.Mode.messages(maximumBytes: 5)
        #expect(Self.events(ClientFrames.text("12345"), mode: mode).count == 1)
        #expect(Self.closeCode(Array(ClientFrames.text("123456").prefix(6)), mode: mode) == 1009)
        #expect(
            Self.closeCode(ClientFrames.text("123", isLast: false) + ClientFrames.frame(0, [1, 2, 3]), mode: mode)
                == 1009)
        #expect(Self.closeCode([0x82, 0xFF, 0x7F] + [UInt8](repeating: 0xFF, count: 11), mode: mode) == 1009)
    }

    @Test("a close frame is the last event, with its code and reason; what follows is dropped")
    func close() {
        #expect(Self.events(ClientFrames.frame(8, []) + ClientFrames.text("x")) == [.close(nil, reason: "")])
        #expect(
            Self.events(ClientFrames.frame(8, [0x03, 0xE8] + Array("bye".utf8))) == [.close(.normal, reason: "bye")])
        #expect(Self.events(ClientFrames.frame(8, [0x0F, 0xA0])) == [.close(.init(rawValue: 4000), reason: "")])
    }

    @Test("after an error the same error comes back")
    func errorStays() {
        var parser = WebSocketParser(mode: Self.whole)
        var buffer = ByteBuffer(bytes: ClientFrames.frame(3, []))
        let first = #expect(throws: WebSocketError.self) { try parser.next(in: &buffer) }
        buffer = ByteBuffer(bytes: ClientFrames.text("x"))
        #expect(#expect(throws: WebSocketError.self) { try parser.next(in: &buffer) } == first)
    }

    @Test("an event held by its receiver does not change when later frames are read")
    func heldPayloads() {
        let frames = (0..<50).flatMap { ClientFrames.text(String(repeating: "\($0 % 10)", count: $0)) }
        let events = Self.events(frames)
        #expect(
            events == (0..<50).map { .message(.text, ByteBuffer(string: String(repeating: "\($0 % 10)", count: $0))) })
    }

    @Test("what a server writes, a client's parser reads", arguments: [0, 125, 126, 65_535, 65_536])
    func serverFrames(length: Int) {
        let payload = ByteBuffer(repeating: UInt8(ascii: "a"), count: length)
        var buffer = ByteBuffer()
        WebSocketFrames.writeText(payload, into: &buffer)
        WebSocketFrames.writeBinary(payload, into: &buffer)
        WebSocketFrames.writePing(payload, into: &buffer)
        WebSocketFrames.writePong(ByteBuffer(string: "p"), into: &buffer)
        WebSocketFrames.writeClose(.goingAway, reason: String(repeating: "é", count: 100), into: &buffer)
        let read = ClientFrames.events([Array(buffer.readableBytesView)], mode: Self.whole, peer: .server)
        #expect(read.error == nil)
        #expect(
            read.events == [
                .message(.text, payload), .message(.binary, payload),
                .ping(ByteBuffer(repeating: UInt8(ascii: "a"), count: min(length, 125))),
                .pong(ByteBuffer(string: "p")),
                .close(.goingAway, reason: String(repeating: "é", count: 61)),
            ])
    }

    @Test("a mask is applied from any place of its four bytes")
    func maskOffsets() {
        let key: [UInt8] = [0x11, 0x22, 0x33, 0x44]
        for offset in 0..<4 {
            for length in 0..<20 {
                var bytes = [UInt8](repeating: 0, count: length)
                bytes.withUnsafeMutableBytes { WebSocketMask.apply(0x4433_2211, offset: offset, to: $0) }
                #expect(bytes == (0..<length).map { key[($0 + offset) % 4] })
            }
        }
    }
}
