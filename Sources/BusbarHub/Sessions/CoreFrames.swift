import BusbarProtocol
import NIOCore

/// Whole WebSocket text frames for core clients.
enum CoreFrames {
    static let ping = Self.frame(CoreJSON.ping)

    static func frame(_ record: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        WebSocketFrames.writeText(record, into: &frame)
        return frame
    }
}
