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
            let length = fields.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
            let bodyLength = toHead || code == 304 || code == 101 || code == 204 ? 0 : length
            let headLength = text[..<end.upperBound].utf8.count
            guard bytes.readableBytes >= headLength + bodyLength else { return nil }
            bytes.moveReaderIndex(forwardBy: headLength)
            let body = bytes.readString(length: bodyLength) ?? ""
            return RawResponse(status: code, reason: String(status[2]), fields: fields, body: body)
        }
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
    static func text(_ target: String, method: String = "GET", fields: [String] = []) -> String {
        "\(method) \(target) HTTP/1.1\r\nHost: test\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
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
