package import NIOCore

/// The chunked transfer coding of HTTP/1.1 (RFC 9112 §7.1), as a server writes it: no extensions, no trailers.
package enum HTTPChunks {
    /// What ends a body.
    package static let end = ByteBuffer(string: "0\r\n\r\n")

    /// One chunk that holds `content`, which must not be empty: an empty one would end the body.
    package static func chunk(_ content: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer()
        chunk.reserveCapacity(content.readableBytes + 12)
        chunk.writeString(String(content.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(content)
        chunk.writeStaticString("\r\n")
        return chunk
    }

    /// The content of whole chunks that ``chunk(_:)`` made, for peers that don't know the coding.
    package static func content(of chunks: ByteBuffer) -> ByteBuffer {
        var rest = chunks
        var content = ByteBuffer()
        while let line = rest.readableBytesView.firstIndex(of: UInt8(ascii: "\r")) {
            let digits = rest.readableBytesView[..<line]
            guard let length = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { break }
            rest.moveReaderIndex(forwardBy: digits.count + 2)
            guard var part = rest.readSlice(length: length) else { break }
            rest.moveReaderIndex(forwardBy: min(2, rest.readableBytes))
            if content.readableBytes == 0 { content = part } else { content.writeBuffer(&part) }
        }
        return content
    }
}
