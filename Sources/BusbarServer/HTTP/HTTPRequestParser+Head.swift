import NIOCore

extension HTTPRequestParser {
    /// Takes request line and fields up to the empty line, or returns nil when the empty line has not arrived.
    mutating func readHead(in buffer: inout ByteBuffer) throws(HTTPRefusal) -> HTTPRequest? {
        self.skipEmptyLines(in: &buffer)
        guard let length = self.headLength(in: buffer) else {
            guard buffer.readableBytes <= self.limits.headBytes else { throw Self.overflow(buffer, self.limits) }
            return nil
        }
        self.scannedBytes = 0
        guard length <= self.limits.headBytes, let head = buffer.readBytes(length: length) else {
            throw Self.overflow(buffer, self.limits)
        }
        var lines = LineReader(bytes: head.dropLast(2))
        guard let requestLine = try lines.next() else { throw .malformed("no request line") }
        var request = try Self.parseRequestLine(requestLine)
        while let line = try lines.next() {
            guard request.fields.all.count < self.limits.fieldCount else { throw .fieldsTooLarge }
            try Self.parseField(line, into: &request.fields)
        }
        let hosts = request.fields.values("host")
        guard hosts.count == 1 || (hosts.isEmpty && request.minorVersion == 0) else {
            throw .malformed("exactly one Host field is needed")
        }
        request.isKeptAlive =
            request.minorVersion >= 1
            ? !request.fields.list("connection", contains: "close")
            : request.fields.list("connection", contains: "keep-alive")
        return request
    }

    /// Why: old clients send an empty line after a body; it belongs to no request.
    private mutating func skipEmptyLines(in buffer: inout ByteBuffer) {
        while buffer.readableBytes >= 2, buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x0D0A {
            buffer.moveReaderIndex(forwardBy: 2)
            self.scannedBytes = 0
        }
    }

    /// Bytes up to and including the empty line that ends the head.
    private mutating func headLength(in buffer: ByteBuffer) -> Int? {
        let from = self.scannedBytes
        let end = buffer.withUnsafeReadableBytes { bytes -> Int? in
            var index = max(from, 3)
            while index < bytes.count {
                // Why: of the four bytes only LF is rare, so most positions cost one comparison.
                if bytes[index] == 0x0A, bytes[index - 1] == 0x0D, bytes[index - 2] == 0x0A, bytes[index - 3] == 0x0D {
                    return index + 1
                }
                index += 1
            }
            return nil
        }
        if end == nil { self.scannedBytes = buffer.readableBytes }
        return end
    }

    private static func overflow(_ buffer: ByteBuffer, _ limits: HTTPLimits) -> HTTPRefusal {
        let start = buffer.readableBytesView.prefix(limits.headBytes)
        return start.contains(0x0A) ? .fieldsTooLarge : .targetTooLong
    }

    private static func parseRequestLine(_ line: ArraySlice<UInt8>) throws(HTTPRefusal) -> HTTPRequest {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("the request line is not METHOD TARGET VERSION") }
        guard (1...32).contains(parts[0].count), parts[0].allSatisfy(\.isTokenByte) else {
            throw .malformed("the method is not a token")
        }
        let version = String(decoding: parts[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
            throw version.hasPrefix("HTTP/") ? .version : .malformed("the version is not HTTP/1.1")
        }
        guard parts[1].allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw .malformed("a control byte in the target") }
        let (path, query) = try Self.splitTarget(String(decoding: parts[1], as: UTF8.self))
        return HTTPRequest(
            method: String(decoding: parts[0], as: UTF8.self),
            path: path,
            query: query,
            minorVersion: version == "HTTP/1.1" ? 1 : 0,
            fields: HTTPFields(),
            isKeptAlive: false
        )
    }

    private static func splitTarget(_ target: String) throws(HTTPRefusal) -> (path: String, query: String) {
        var rest = target[...]
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        if !rest.hasPrefix("/"), rest != "*" {
            // The absolute form, as it is sent to proxies: the authority is not ours to judge.
            let schemes = ["http://", "https://"]
            guard let scheme = schemes.first(where: { rest.prefix($0.count).isEqualIgnoringASCIICase(to: $0) }) else {
                throw .malformed("the target is neither a path nor a URL")
            }
            rest = rest.dropFirst(scheme.count)
            rest = rest[(rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex)...]
        }
        let mark = rest.firstIndex(of: "?") ?? rest.endIndex
        let path = rest[..<mark]
        return (path.isEmpty ? "/" : String(path), String(rest[mark...].dropFirst()))
    }

    private static func parseField(_ line: ArraySlice<UInt8>, into fields: inout HTTPFields) throws(HTTPRefusal) {
        guard let colon = line.firstIndex(of: 0x3A) else { throw .malformed("a header field without colon") }
        let name = line[..<colon]
        guard !name.isEmpty, name.allSatisfy(\.isTokenByte) else {
            throw .malformed("the name of a header field is not a token")
        }
        let value = line[line.index(after: colon)...]
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw .malformed("a control byte in a header field")
        }
        fields.append(
            String(decoding: name, as: UTF8.self),
            String(Substring(String(decoding: value, as: UTF8.self)).trimmed)
        )
    }
}

/// Lines that end with CR LF; a bare CR or LF is an error.
private struct LineReader {
    var bytes: ArraySlice<UInt8>

    mutating func next() throws(HTTPRefusal) -> ArraySlice<UInt8>? {
        guard let end = self.bytes.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) else { return nil }
        let next = self.bytes.index(after: end)
        guard self.bytes[end] == 0x0D, next < self.bytes.endIndex, self.bytes[next] == 0x0A else {
            throw .malformed("a line does not end with CR LF")
        }
        defer { self.bytes = self.bytes[self.bytes.index(after: next)...] }
        return self.bytes[self.bytes.startIndex..<end]
    }
}

extension UInt8 {
    /// A byte of a `token` of RFC 9110: what methods and field names consist of.
    var isTokenByte: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
    }
}
