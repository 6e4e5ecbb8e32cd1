import NIOCore

/// What tests need to speak as a classic client.
enum ClassicClient {
    static func field(_ name: String, in json: String) -> String? {
        guard let start = json.range(of: "\"\(name)\":\"") else { return nil }
        let rest = String(json[start.upperBound...])
        guard let end = rest.firstIndex(of: "\"") else { return nil }
        return String(rest[..<end])
    }

    static func encoded(_ text: String) -> String {
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".utf8)
        return text.utf8.map { byte in
            plain.contains(byte) ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    /// Negotiates and returns the query that every later request carries.
    static func negotiate(
        _ server: TestServer, base: String = "/signalr", hub: String? = "echohub", version: String = "2.1",
        transport: String = "webSockets", fields: [String] = []
    ) async throws -> String {
        let data = Self.encoded(hub.map { "[{\"name\":\"\($0)\"}]" } ?? "[]")
        let target = "\(base)/negotiate?clientProtocol=\(version)&connectionData=\(data)"
        let response = try await server.get(target, fields: fields)
        guard response.status == 200, let token = Self.field("ConnectionToken", in: response.body) else {
            throw MalformedResponse(text: "\(response.status) \(response.body)")
        }
        return "transport=\(transport)&clientProtocol=\(version)&connectionToken=\(Self.encoded(token))"
            + "&connectionData=\(data)"
    }

    static func connectTarget(_ server: TestServer) async throws -> String {
        "/signalr/connect?" + (try await Self.negotiate(server))
    }
}
