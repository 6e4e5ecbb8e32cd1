import NIOCore

extension HTTPRequestParser {
    enum ChunkProgress {
        case needsBytes, advanced
        case complete(HTTPRequest)
    }

    private static let chunkLineBytes = 256

    mutating func chunkStep(in buffer: inout ByteBuffer) throws(HTTPRefusal) -> ChunkProgress {
        switch self.state {
        case .chunkSize(let request):
            guard let line = try Self.readLine(in: &buffer, limitBytes: Self.chunkLineBytes) else { return .needsBytes }
            let size = try Self.chunkSize(line)
            guard size <= self.limits.bodyBytes - request.body.readableBytes else { throw .bodyTooLarge }
            self.state = size == 0 ? .trailers(request, bytes: 0) : .chunkData(request, remaining: size)
            return .advanced
        case .chunkData(var request, let remaining):
            guard var part = buffer.readSlice(length: min(remaining, buffer.readableBytes)), part.readableBytes > 0
            else {
                return .needsBytes
            }
            let left = remaining - part.readableBytes
            self.state = .head  // Why: the body below must be uniquely owned, or each part would copy all before it.
            request.body.writeBuffer(&part)
            self.state = left == 0 ? .chunkEnd(request) : .chunkData(request, remaining: left)
            return .advanced
        case .chunkEnd(let request):
            guard let end = buffer.readInteger(as: UInt16.self) else { return .needsBytes }
            guard end == 0x0D0A else { throw .malformed("a chunk is longer than its size says") }
            self.state = .chunkSize(request)
            return .advanced
        case .trailers(let request, let bytes):
            guard let line = try Self.readLine(in: &buffer, limitBytes: self.limits.headBytes - bytes) else {
                return .needsBytes
            }
            if line.readableBytes == 0 { return .complete(request) }
            self.state = .trailers(request, bytes: bytes + line.readableBytes + 2)
            return .advanced
        case .head, .body, .failed:
            return .needsBytes
        }
    }

    /// Takes a line without its CR LF.
    private static func readLine(in buffer: inout ByteBuffer, limitBytes: Int) throws(HTTPRefusal) -> ByteBuffer? {
        guard let end = buffer.readableBytesView.firstIndex(of: 0x0A) else {
            guard buffer.readableBytes <= limitBytes else { throw .fieldsTooLarge }
            return nil
        }
        let length = end - buffer.readerIndex + 1
        guard length <= limitBytes else { throw .fieldsTooLarge }
        guard var line = buffer.readSlice(length: length), length >= 2,
            line.getInteger(at: line.writerIndex - 2, as: UInt8.self) == 0x0D
        else { throw .malformed("a line does not end with CR LF") }
        line.moveWriterIndex(to: line.writerIndex - 2)
        return line
    }

    private static func chunkSize(_ line: ByteBuffer) throws(HTTPRefusal) -> Int {
        let digits = line.readableBytesView.prefix { $0 != 0x3B && $0 != 0x20 && $0 != 0x09 }
        guard (1...15).contains(digits.count), digits.allSatisfy(\.isHexDigit),
            let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw .malformed("the size of a chunk is not a hexadecimal number") }
        return size
    }
}

extension UInt8 {
    var isHexDigit: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }
}
