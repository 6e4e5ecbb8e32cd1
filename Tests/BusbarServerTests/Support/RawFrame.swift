import BusbarProtocol
import NIOCore

/// A WebSocket frame of the server.
struct RawFrame: Hashable, Sendable {
    let opcode: UInt8
    let isLast: Bool
    let payload: ByteBuffer

    var text: String { String(buffer: self.payload) }

    /// The code of a close frame.
    var closeCode: UInt16? { self.payload.getInteger(at: self.payload.readerIndex) }
}

extension RawClient {
    /// Opens a WebSocket and returns when the server has agreed.
    static func openSocket(
        port: Int, _ target: String, fields: [String] = [], receiveBufferBytes: Int? = nil
    ) async throws -> RawClient {
        let client = try await RawClient.connect(port: port, receiveBufferBytes: receiveBufferBytes)
        try await client.send(RawRequest.upgrade(target, fields: fields))
        let response = try await client.receiveResponse()
        guard response.status == 101 else { throw MalformedResponse(text: "\(response.status) \(response.body)") }
        return client
    }

    func receiveFrame(within timeout: TimeAmount = .seconds(60)) async throws -> RawFrame {
        try await self.receive("a frame", within: timeout) { bytes, _ in
            var rest = bytes
            guard let first = rest.readInteger(as: UInt8.self), let second = rest.readInteger(as: UInt8.self) else {
                return nil
            }
            guard second & 0x80 == 0 else { throw MalformedResponse(text: "a masked frame of a server") }
            var length = Int(second)
            if second == 126 {
                guard let long = rest.readInteger(as: UInt16.self) else { return nil }
                length = Int(long)
            } else if second == 127 {
                guard let long = rest.readInteger(as: UInt64.self) else { return nil }
                length = Int(long)
            }
            guard let payload = rest.readSlice(length: length) else { return nil }
            bytes = rest
            return RawFrame(opcode: first & 0x0F, isLast: first & 0x80 != 0, payload: payload)
        }
    }

    /// The next text message that `isWanted`; others are skipped.
    func receiveText(
        within timeout: TimeAmount = .seconds(60), where isWanted: @Sendable (String) -> Bool = { _ in true }
    ) async throws -> String {
        while true {
            let frame = try await self.receiveFrame(within: timeout)
            guard frame.opcode == 1 else {
                throw MalformedResponse(text: "opcode \(frame.opcode): \(frame.closeCode ?? 0)")
            }
            if isWanted(frame.text) { return frame.text }
        }
    }

    /// The code of the close frame, skipping what comes before it.
    func receiveClose(within timeout: TimeAmount = .seconds(60)) async throws -> UInt16? {
        while true {
            let frame = try await self.receiveFrame(within: timeout)
            if frame.opcode == 8 { return frame.closeCode }
        }
    }

    func sendText(_ text: String) async throws {
        try await self.send(MaskedFrame.make(opcode: 1, ByteBuffer(string: text)))
    }
}

enum MaskedFrame {
    static func make(opcode: UInt8, isLast: Bool = true, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger((isLast ? 0x80 : 0) | opcode)
        switch payload.readableBytes {
        case ...125: frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        case ...0xFFFF:
            frame.writeInteger(UInt8(0xFE))
            frame.writeInteger(UInt16(payload.readableBytes))
        default:
            frame.writeInteger(UInt8(0xFF))
            frame.writeInteger(UInt64(payload.readableBytes))
        }
        let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        frame.writeBytes(mask)
        // Why an array: without optimisation, a buffer is slow to give its bytes one by one.
        frame.writeBytes(Array(buffer: payload).enumerated().map { $0.element ^ mask[$0.offset % 4] })
        return frame
    }

    static func close(_ code: UInt16) -> ByteBuffer {
        self.make(opcode: 8, ByteBuffer(integer: code))
    }
}
