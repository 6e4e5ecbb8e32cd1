import NIOCore

extension ByteBuffer {
    /// The bytes that are written here as hexadecimal pairs, with spaces where one likes.
    init(hex: String) throws { self = try ByteBuffer(plainHexEncodedBytes: hex) }

    /// The readable bytes as hexadecimal pairs, separated by spaces.
    var hex: String { self.hexDump(format: .plain) }
}
