import NIOCore

/// The header of one frame, checked against everything that concerns a single frame.
struct WebSocketHeader: Hashable {
    let isLast: Bool
    private(set) var opcode: WebSocketOpcode
    /// The four masking bytes, first one in the lowest bits; nil for a frame that is not masked.
    let mask: UInt32?
    let payloadBytes: Int
    let headerBytes: Int

    /// Reads a header without taking it out of `buffer`; nil when more bytes are needed.
    init?(peeking buffer: ByteBuffer) throws(WebSocketError) {
        let start = buffer.readerIndex
        guard let first: UInt8 = buffer.getInteger(at: start) else { return nil }
        guard first & 0x70 == 0 else {
            throw WebSocketError(.protocolError, "a reserved bit is set, and no extension was agreed on")
        }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
            throw WebSocketError(.protocolError, "opcode \(first & 0x0F) is reserved")
        }
        self.isLast = first & 0x80 != 0
        self.opcode = opcode
        guard let second: UInt8 = buffer.getInteger(at: start + 1) else { return nil }
        let shortLength = second & 0x7F
        if opcode.isControl {
            guard self.isLast else { throw WebSocketError(.protocolError, "a control frame is fragmented") }
            guard shortLength <= WebSocketFrames.controlLimitBytes else {
                throw WebSocketError(.protocolError, "a control frame is longer than 125 bytes")
            }
        }
        var position = start + 2
        switch shortLength {
        case 126:
            guard let length: UInt16 = buffer.getInteger(at: position) else { return nil }
            guard length > 125 else { throw Self.notShortest }
            self.payloadBytes = Int(length)
            position += 2
        case 127:
            guard let length: UInt64 = buffer.getInteger(at: position) else { return nil }
            guard length > 0xFFFF else { throw Self.notShortest }
            guard let bytes = Int(exactly: length) else {
                throw WebSocketError(.protocolError, "the highest bit of a length must not be set")
            }
            self.payloadBytes = bytes
            position += 8
        default: self.payloadBytes = Int(shortLength)
        }
        if second & 0x80 != 0 {
            guard let mask: UInt32 = buffer.getInteger(at: position, endianness: .little) else { return nil }
            self.mask = mask
            position += 4
        } else {
            self.mask = nil
        }
        self.headerBytes = position - start
    }

    func with(_ opcode: WebSocketOpcode) -> Self {
        var header = self
        header.opcode = opcode
        return header
    }

    private static let notShortest = WebSocketError(.protocolError, "a length must be written in its shortest form")
}

extension ByteBuffer {
    /// Takes `length` bytes out, unmasked; `maskOffset` says which byte of the mask comes first.
    mutating func readUnmasked(_ length: Int, mask: UInt32?, maskOffset: Int) -> ByteBuffer {
        guard let mask, mask != 0, length > 0 else { return self.readSlice(length: length) ?? ByteBuffer() }
        // Why: when an earlier payload is still held, changing the buffer copies all that is left of it. Doing that
        // only for payloads of at least half that size keeps the work linear however small a peer cuts its frames.
        guard length >= self.readableBytes / 2 else {
            var payload = self.slice(0..<length).copied()
            self.moveReaderIndex(forwardBy: length)
            payload.unmask(length, mask, maskOffset)
            return payload
        }
        self.unmask(length, mask, maskOffset)
        return self.readSlice(length: length) ?? ByteBuffer()
    }

    private mutating func unmask(_ length: Int, _ mask: UInt32, _ maskOffset: Int) {
        self.withUnsafeMutableReadableBytes { bytes in
            WebSocketMask.apply(mask, offset: maskOffset, to: UnsafeMutableRawBufferPointer(rebasing: bytes[..<length]))
        }
    }
}

/// The exclusive-or with four repeating bytes that clients apply to what they send. Applying it twice undoes it.
package enum WebSocketMask {
    /// - Parameters:
    ///   - mask: the masking bytes, first one in the lowest bits.
    ///   - offset: which of the four goes with the first byte.
    package static func apply(_ mask: UInt32, offset: Int, to bytes: UnsafeMutableRawBufferPointer) {
        let shift = UInt32(truncatingIfNeeded: offset & 3) &* 8
        let rotated = mask >> shift | mask << ((32 &- shift) & 31)
        let word = UInt64(rotated) << 32 | UInt64(rotated)
        var index = 0
        while index &+ 8 <= bytes.count {
            let value = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            bytes.storeBytes(of: (value ^ word).littleEndian, toByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < bytes.count {
            let shift = UInt64(truncatingIfNeeded: index & 7) &* 8
            bytes[index] ^= UInt8(truncatingIfNeeded: word >> shift)
            index &+= 1
        }
    }
}
