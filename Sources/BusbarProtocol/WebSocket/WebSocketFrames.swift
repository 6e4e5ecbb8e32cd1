package import NIOCore

/// What a frame carries, as its four opcode bits say.
package enum WebSocketOpcode: UInt8, Hashable, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    var isControl: Bool { self.rawValue >= 0x8 }
}

/// Writes frames as a server sends them: whole messages, not masked, hence the same bytes for every recipient.
package enum WebSocketFrames {
    /// The longest header a server writes, in bytes.
    package static let longestHeaderBytes = 10
    /// The longest payload of a ping, pong or close frame, in bytes.
    package static let controlLimitBytes = 125

    /// Writes the header of an unfragmented frame; `payloadBytes` bytes must follow.
    package static func writeHeader(_ opcode: WebSocketOpcode, payloadBytes: Int, into buffer: inout ByteBuffer) {
        buffer.writeInteger(0x80 | opcode.rawValue)
        switch payloadBytes {
        case ...125: buffer.writeInteger(UInt8(truncatingIfNeeded: payloadBytes))
        case ...0xFFFF:
            buffer.writeInteger(126 as UInt8)
            buffer.writeInteger(UInt16(truncatingIfNeeded: payloadBytes))
        default:
            buffer.writeInteger(127 as UInt8)
            buffer.writeInteger(UInt64(payloadBytes))
        }
    }

    /// Writes a whole text message. `payload` must be valid UTF-8.
    package static func writeText(_ payload: ByteBuffer, into buffer: inout ByteBuffer) {
        Self.write(.text, payload, into: &buffer)
    }

    /// Writes a whole binary message.
    package static func writeBinary(_ payload: ByteBuffer, into buffer: inout ByteBuffer) {
        Self.write(.binary, payload, into: &buffer)
    }

    /// Writes a ping; payload beyond ``controlLimitBytes`` is left out.
    package static func writePing(_ payload: ByteBuffer = ByteBuffer(), into buffer: inout ByteBuffer) {
        Self.writeControl(.ping, payload, into: &buffer)
    }

    /// Writes the answer to a ping, with the payload of that ping.
    package static func writePong(_ payload: ByteBuffer, into buffer: inout ByteBuffer) {
        Self.writeControl(.pong, payload, into: &buffer)
    }

    /// Writes a close frame. Without a code it is empty; a reason that does not fit is cut between characters.
    package static func writeClose(
        _ code: WebSocketCloseCode?,
        reason: String = "",
        into buffer: inout ByteBuffer
    ) {
        guard let code else { return Self.writeHeader(.close, payloadBytes: 0, into: &buffer) }
        var text = Substring(reason)
        while text.utf8.count > Self.controlLimitBytes - 2 { text.unicodeScalars.removeLast() }
        Self.writeHeader(.close, payloadBytes: 2 + text.utf8.count, into: &buffer)
        buffer.writeInteger(code.rawValue)
        buffer.writeSubstring(text)
    }

    /// Moves `buffer` behind its first frame. False, and nothing has moved, if it doesn't begin with a whole frame.
    package static func skipFrame(in buffer: inout ByteBuffer) -> Bool {
        guard let header = try? WebSocketHeader(peeking: buffer),
            header.payloadBytes <= buffer.readableBytes - header.headerBytes
        else { return false }
        buffer.moveReaderIndex(forwardBy: header.headerBytes + header.payloadBytes)
        return true
    }

    private static func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, into buffer: inout ByteBuffer) {
        buffer.reserveCapacity(minimumWritableBytes: Self.longestHeaderBytes + payload.readableBytes)
        Self.writeHeader(opcode, payloadBytes: payload.readableBytes, into: &buffer)
        buffer.writeImmutableBuffer(payload)
    }

    private static func writeControl(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, into buffer: inout ByteBuffer) {
        let length = min(payload.readableBytes, Self.controlLimitBytes)
        Self.write(opcode, payload.slice(0..<length), into: &buffer)
    }
}

/// Why a WebSocket ends. Open: any number the peer sent.
package struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static let normal = Self(rawValue: 1000)
    package static let goingAway = Self(rawValue: 1001)
    package static let protocolError = Self(rawValue: 1002)
    package static let unsupportedData = Self(rawValue: 1003)
    package static let invalidPayload = Self(rawValue: 1007)
    package static let policyViolation = Self(rawValue: 1008)
    package static let messageTooBig = Self(rawValue: 1009)
    package static let internalError = Self(rawValue: 1011)

    /// Whether a peer may send this code in a close frame.
    var isValidOnWire: Bool {
        switch self.rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
