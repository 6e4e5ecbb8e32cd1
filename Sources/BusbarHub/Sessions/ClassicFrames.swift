import BusbarProtocol
import NIOCore

/// Whole WebSocket text frames for classic clients.
enum ClassicFrames {
    static let keepAlive = Self.frame(ClassicJSON.keepAlive)

    /// One envelope with these elements.
    static func envelope(_ envelope: ClassicEnvelope, elements: [ByteBuffer] = []) -> ByteBuffer {
        var text = ByteBuffer()
        text.reserveCapacity(elements.reduce(128) { $0 + $1.readableBytes + 1 })
        EnvelopeWriter.write(envelope, messages: elements, into: &text)
        return Self.frame(text)
    }

    static func result(_ result: ClassicResult, invocationID: String) -> ByteBuffer {
        var text = ByteBuffer()
        ClassicJSON.writeResult(result, invocationID: invocationID, into: &text)
        return Self.frame(text)
    }

    static func frame(_ text: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        WebSocketFrames.writeText(text, into: &frame)
        return frame
    }
}
