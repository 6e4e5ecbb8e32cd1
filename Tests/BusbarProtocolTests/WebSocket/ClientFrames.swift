import BusbarProtocol
import NIOCore

/// Frames as a client writes them: masked, and on request wrong.
enum ClientFrames {
    static func frame(
        _ opcode: UInt8,
        _ payload: some Collection<UInt8>,
        isLast: Bool = true,
        reserved: UInt8 = 0,
        mask: UInt32? = 0x4433_2211
    ) -> [UInt8] {
        var bytes = [(isLast ? 0x80 : 0) | reserved | opcode]
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ...125: bytes.append(maskBit | UInt8(payload.count))
        case ...0xFFFF: bytes += [maskBit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default:
            bytes += [maskBit | 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
        }
        guard let mask else { return bytes + payload }
        let key = (0..<4).map { UInt8(truncatingIfNeeded: mask >> (UInt32($0) * 8)) }
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }

    static func text(_ text: String, isLast: Bool = true) -> [UInt8] { Self.frame(1, Array(text.utf8), isLast: isLast) }

    /// What a parser makes of `pieces`, each appended when the parser has asked for more.
    static func events(
        _ pieces: [[UInt8]],
        mode: WebSocketParser.Mode,
        peer: WebSocketParser.Peer = .client
    ) -> (events: [WebSocketEvent], error: WebSocketError?) {
        var parser = WebSocketParser(mode: mode, peer: peer)
        var buffer = ByteBuffer()
        var events: [WebSocketEvent] = []
        do throws(WebSocketError) {
            for piece in pieces {
                buffer.writeBytes(piece)
                while let event = try parser.next(in: &buffer) { events.append(event) }
            }
            return (events, nil)
        } catch {
            return (events, error)
        }
    }
}
