import NIOCore

/// A request whose answer comes bit by bit, as it comes over the wire.
struct RawStream: Sendable {
    let client: RawClient
    let status: Int
    let fields: [(name: String, value: String)]

    subscript(name: String) -> String? {
        self.fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    static func open(
        _ server: TestServer, _ target: String, method: String = "GET", fields: [String] = [], body: String = ""
    ) async throws -> Self {
        try await Self.open(server.connect(), target, method: method, fields: fields, body: body)
    }

    static func open(
        _ client: RawClient, _ target: String, method: String = "GET", fields: [String] = [], body: String = ""
    ) async throws -> Self {
        try await client.send(RawRequest.text(target, method: method, fields: fields, body: body))
        let (status, fields) = try await client.receiveHead()
        return Self(client: client, status: status, fields: fields)
    }

    /// The content of the next chunk; empty for the one that ends the body.
    func chunk(within timeout: TimeAmount = .seconds(60)) async throws -> String {
        try await self.client.receive("a chunk", within: timeout) { bytes, _ in
            let text = String(decoding: bytes.readableBytesView, as: Unicode.ASCII.self)
            guard let line = text.range(of: "\r\n") else { return nil }
            guard let length = Int(text[..<line.lowerBound], radix: 16) else { throw MalformedResponse(text: text) }
            let head = text[..<line.upperBound].utf8.count
            guard bytes.readableBytes >= head + length + 2 else { return nil }
            bytes.moveReaderIndex(forwardBy: head)
            let content = bytes.readString(length: length)
            guard let content, bytes.readString(length: 2) == "\r\n" else { throw MalformedResponse(text: text) }
            return content
        }
    }

    /// The next chunk that holds `text`.
    func chunk(containing text: String) async throws -> String {
        while true {
            let chunk = try await self.chunk()
            if chunk.contains(text) { return chunk }
            if chunk.isEmpty { throw MalformedResponse(text: "the body ended before \(text)") }
        }
    }

    /// All that the body still brings.
    @discardableResult
    func rest() async throws -> String {
        var all = ""
        while case let chunk = try await self.chunk(), !chunk.isEmpty { all += chunk }
        return all
    }

    func close() { self.client.close() }
}

extension RawClient {
    /// Reads the head of an answer and leaves its body.
    func receiveHead() async throws -> (status: Int, fields: [(name: String, value: String)]) {
        try await self.receive("the head of an answer") { bytes, _ in
            guard let (head, length) = try Self.head(in: bytes) else { return nil }
            bytes.moveReaderIndex(forwardBy: length)
            return (head.status, head.fields)
        }
    }
}
