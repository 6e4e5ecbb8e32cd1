import NIOCore

/// The length that stands before each binary record: seven bits a byte, the lowest first, the high bit set in all but
/// the last; at most five bytes and 2^31-1.
enum LengthPrefix {
    static let highest = Int(Int32.max)

    static func bytes(for length: Int) -> Int {
        switch length {
        case ..<0x80: 1
        case ..<0x4000: 2
        case ..<0x20_0000: 3
        case ..<0x1000_0000: 4
        default: 5
        }
    }

    /// Puts the length in front of a record, which was written from `start` on.
    static func insert(before start: Int, in buffer: inout ByteBuffer) {
        var rest = buffer.writerIndex - start
        let count = Self.bytes(for: rest)
        buffer.openGap(count, at: start)
        for place in 0..<count {
            let more: UInt8 = place < count - 1 ? 0x80 : 0
            buffer.setInteger(UInt8(rest & 0x7F) | more, at: start + place)
            rest >>= 7
        }
    }

    /// Takes the next complete record out of `buffer`, without its length; nil when more bytes are needed.
    ///
    /// The record shares the storage of `buffer`.
    /// - Parameter limitBytes: longest record allowed, length included; nil for no limit.
    /// - Throws: ``ProtocolError`` `limitExceeded` as soon as a longer one is announced, `malformed` for no length.
    static func nextRecord(from buffer: inout ByteBuffer, limitBytes: Int?) throws(ProtocolError) -> ByteBuffer? {
        guard let (length, prefix) = try Self.read(buffer) else { return nil }
        if let limitBytes, prefix + length > limitBytes {
            throw ProtocolError(.limitExceeded, "a message is longer than \(limitBytes) bytes")
        }
        guard buffer.readableBytes >= prefix + length else { return nil }
        buffer.moveReaderIndex(forwardBy: prefix)
        return buffer.readSlice(length: length)
    }

    private static func read(_ buffer: ByteBuffer) throws(ProtocolError) -> (length: Int, bytes: Int)? {
        var length = 0
        for (place, byte) in buffer.readableBytesView.prefix(5).enumerated() {
            guard place < 4 || byte <= 0x07 else {
                throw ProtocolError(.malformed, "the length of a message takes at most 31 bits")
            }
            length |= Int(byte & 0x7F) << (7 * place)
            if byte & 0x80 == 0 { return (length, place + 1) }
        }
        return nil
    }
}
