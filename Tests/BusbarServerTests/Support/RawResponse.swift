import NIOCore

/// An HTTP answer as it came over the wire.
struct RawResponse: Sendable {
    let status: Int
    let reason: String
    let fields: [(name: String, value: String)]
    let body: String

    subscript(name: String) -> String? {
        self.fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

struct MalformedResponse: Error {
    let text: String
}

extension RawClient {
    /// Reads one answer whose length is told by `Content-Length`.
    func receiveResponse(toHead: Bool = false, within timeout: TimeAmount = .seconds(60)) async throws -> RawResponse {
        try await self.receive("an HTTP answer", within: timeout) { bytes, _ in
            guard let (head, headLength) = try Self.head(in: bytes) else { return nil }
            let length = head["content-length"].flatMap { Int($0) } ?? 0
            let isBodiless = toHead || head.status == 304 || head.status == 101 || head.status == 204
            let bodyLength = isBodiless ? 0 : length
            guard bytes.readableBytes >= headLength + bodyLength else { return nil }
            bytes.moveReaderIndex(forwardBy: headLength)
            let body = bytes.readString(length: bodyLength) ?? ""
            return RawResponse(status: head.status, reason: head.reason, fields: head.fields, body: body)
        }
    }

    /// The head of the answer at the front of `bytes`, and how long it is.
    static func head(in bytes: ByteBuffer) throws -> (head: RawResponse, length: Int)? {
        let text = String(decoding: bytes.readableBytesView, as: Unicode.ASCII.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        var lines = text[..<end.lowerBound].split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        let status = lines.removeFirst().split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard status.count == 3, status[0] == "HTTP/1.1", let code = Int(status[1]) else {
            throw MalformedResponse(text: text)
        }
        let fields = try lines.map { line in
            guard let colon = line.firstIndex(of: ":") else { throw MalformedResponse(text: text) }
            return (name: String(line[..<colon]), value: String(line[colon...].dropFirst(2)))
        }
        let head = RawResponse(status: code, reason: String(status[2]), fields: fields, body: "")
        return (head, text[..<end.upperBound].utf8.count)
    }

    /// Sends a request without body and reads its answer.
    func get(
        _ target: String, method: String = "GET", fields: [String] = [], within timeout: TimeAmount = .seconds(60)
    ) async throws -> RawResponse {
        try await self.send(RawRequest.text(target, method: method, fields: fields))
        return try await self.receiveResponse(toHead: method == "HEAD", within: timeout)
    }
}

enum RawRequest {
    static func text(_ target: String, method: String = "GET", fields: [String] = [], body: String = "") -> String {
        let fields = body.isEmpty ? fields : fields + ["Content-Length: \(body.utf8.count)"]
        return "\(method) \(target) HTTP/1.1\r\nHost: test\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n" + body
    }

    static let upgradeFields = [
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]

    static func upgrade(_ target: String, fields: [String] = []) -> String {
        Self.text(target, fields: Self.upgradeFields + fields)
    }
}

extension String {
    func range(of needle: String) -> Range<String.Index>? {
        guard let first = needle.utf8.first else { return nil }
        var index = self.startIndex
        while let found = self.utf8[index...].firstIndex(of: first) {
            if self.utf8[found...].starts(with: needle.utf8) {
                return found..<self.utf8.index(found, offsetBy: needle.utf8.count)
            }
            index = self.utf8.index(after: found)
        }
        return nil
    }
}
