import BusbarProtocol
import NIOCore

/// Whole WebSocket frames for core clients.
enum CoreFrames {
    private static let jsonPing = Self.frame(CoreProtocol.json.ping, .text)
    private static let packedPing = Self.frame(CoreProtocol.messagePack.ping, .binary)
    private static let acceptedAsText = Self.frame(CoreJSON.handshakeAccepted, .text)
    private static let acceptedAsBinary = Self.frame(CoreJSON.handshakeAccepted, .binary)

    static func ping(_ language: CoreProtocol) -> ByteBuffer {
        switch language {
        case .json: self.jsonPing
        case .messagePack: self.packedPing
        }
    }

    /// The answer to a handshake, which comes in the frames of the protocol that it agreed on.
    static func handshakeAccepted(_ language: CoreProtocol) -> ByteBuffer {
        switch language {
        case .json: self.acceptedAsText
        case .messagePack: self.acceptedAsBinary
        }
    }

    static func frame(_ record: ByteBuffer, _ opcode: WebSocketOpcode) -> ByteBuffer {
        var frame = ByteBuffer()
        switch opcode {
        case .binary: WebSocketFrames.writeBinary(record, into: &frame)
        default: WebSocketFrames.writeText(record, into: &frame)
        }
        return frame
    }
}
