import NIOCore
import Synchronization
import Testing

/// A classic client over one of the transports that are made of ordinary requests.
final class ClassicHTTPClient: Sendable {
    enum Transport: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case serverSentEvents, foreverFrame, longPolling
        var testDescription: String { self.rawValue }
    }

    private struct State {
        var stream: RawStream?
        var cursor: String?
        var groupsToken: String?
    }

    let server: TestServer
    let transport: Transport
    let query: String
    private let state = Mutex(State())

    private init(_ server: TestServer, _ transport: Transport, query: String) {
        self.server = server
        self.transport = transport
        self.query = query
    }

    static func negotiate(
        _ server: TestServer, _ transport: Transport, version: String = "2.1", hub: String? = "echohub"
    ) async throws -> ClassicHTTPClient {
        let query = try await ClassicClient.negotiate(
            server, hub: hub, version: version, transport: transport.rawValue)
        return ClassicHTTPClient(server, transport, query: query)
    }

    /// Connected, with the init message read, and started.
    static func start(
        _ server: TestServer, _ transport: Transport, version: String = "2.1", hub: String? = "echohub"
    ) async throws -> ClassicHTTPClient {
        let client = try await Self.negotiate(server, transport, version: version, hub: hub)
        let first = try await client.connect()
        guard first.contains(#""S":1"#) else { throw MalformedResponse(text: first) }
        let answer = try await server.get("/signalr/start?\(client.query)")
        guard answer.body == #"{ "Response": "started" }"# else { throw MalformedResponse(text: answer.body) }
        return client
    }

    var cursor: String? { self.state.withLock { $0.cursor } }
    var groupsToken: String? { self.state.withLock { $0.groupsToken } }
    var stream: RawStream? { self.state.withLock { $0.stream } }

    func open(_ ending: String) async throws {
        var target = "/signalr/\(ending)?\(self.query)"
        if self.transport == .foreverFrame { target += "&frameId=1" }
        if ending != "connect" {
            if let cursor = self.cursor { target += "&messageId=\(ClassicClient.encoded(cursor))" }
            if let token = self.groupsToken { target += "&groupsToken=\(ClassicClient.encoded(token))" }
        }
        // Why: the answer before a poll has come to its end, and nobody reads its connection any more.
        if ending == "poll" { self.close() }
        let stream = try await RawStream.open(self.server, target)
        guard stream.status == 200 else { throw MalformedResponse(text: "\(stream.status)") }
        self.state.withLock { $0.stream = stream }
    }

    /// The next envelope, polled for where that is how they come.
    func envelope() async throws -> String {
        while true {
            if self.transport == .longPolling, self.stream == nil { try await self.open("poll") }
            guard let stream = self.stream else { throw MalformedResponse(text: "not connected") }
            let chunk = try await stream.chunk()
            if chunk.isEmpty {
                self.state.withLock { $0.stream = nil }
                stream.close()
                if self.transport != .longPolling { throw MalformedResponse(text: "the stream ended") }
            } else if let envelope = Self.envelope(in: chunk) {
                self.state.withLock {
                    $0.cursor = ClassicClient.field("C", in: envelope) ?? $0.cursor
                    $0.groupsToken = ClassicClient.field("G", in: envelope) ?? $0.groupsToken
                }
                return envelope
            }
        }
    }

    private static func envelope(in chunk: String) -> String? {
        guard let start = chunk.range(of: #"{"C":"#), let end = chunk.lastIndex(of: "}") else { return nil }
        return String(chunk[start.lowerBound...end])
    }

    /// Calls a method of the hub and returns the body of the answer.
    func call(_ method: String, _ arguments: String = "[]", id: Int? = 0) async throws -> RawResponse {
        let id = id.map { ",\"I\":\($0)" } ?? ""
        return try await self.send(#"{"H":"echoHub","M":"\#(method)","A":\#(arguments)\#(id)}"#)
    }

    func send(_ data: String) async throws -> RawResponse {
        try await self.post("send", "data=\(ClassicClient.encoded(data))")
    }

    func post(_ ending: String, _ body: String, fields: [String] = []) async throws -> RawResponse {
        let client = try await self.server.connect()
        defer { client.close() }
        try await client.send(
            RawRequest.text("/signalr/\(ending)?\(self.query)", method: "POST", fields: fields, body: body))
        return try await client.receiveResponse()
    }

    func close() { self.stream?.close() }
}

extension ClassicHTTPClient {
    /// The same client with another parameter in each of its requests.
    func adding(_ parameter: String) -> ClassicHTTPClient {
        ClassicHTTPClient(self.server, self.transport, query: self.query + "&" + parameter)
    }

    /// The same client with another transport and the same token.
    func over(_ transport: Transport) -> ClassicHTTPClient {
        ClassicHTTPClient(
            self.server, transport,
            query: self.query.replacing("transport=\(self.transport.rawValue)", with: "transport=\(transport.rawValue)")
        )
    }
}
