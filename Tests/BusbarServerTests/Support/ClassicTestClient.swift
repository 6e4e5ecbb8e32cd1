import BusbarServer
import NIOCore
import Synchronization

/// A classic client over any transport, as tests of all of them see it. Used by one task at a time.
protocol ClassicTestClient: Sendable {
    var server: TestServer { get }
    /// What every request carries.
    var query: String { get }
    var cursor: String? { get }
    var groupsToken: String? { get }

    /// Opens the receive channel: `connect` or `reconnect`.
    func open(_ ending: String) async throws
    func envelope() async throws -> String
    /// Calls a method and returns the hub result in JSON.
    func result(of method: String, _ arguments: String, id: Int) async throws -> String
    /// Waits for the end of the receive channel, which must be one in good order, and returns what came before it.
    @discardableResult
    func rest() async throws -> String
    func close()
}

extension ClassicTestClient {
    /// Opens the receive channel and returns the first envelope.
    @discardableResult
    func connect() async throws -> String {
        try await self.open("connect")
        return try await self.envelope()
    }

    /// The next envelope that holds `text`.
    func envelope(containing text: String) async throws -> String {
        while true {
            let envelope = try await self.envelope()
            if envelope.contains(text) { return envelope }
        }
    }

    /// All envelopes up to the one that holds `text`, joined.
    func everything(until text: String) async throws -> String {
        var all = ""
        while !all.contains(text) { all += try await self.envelope() }
        return all
    }

    func result(of method: String, _ arguments: String = "[]") async throws -> String {
        try await self.result(of: method, arguments, id: 0)
    }

    func started() async throws -> Self {
        let answer = try await self.server.get("/signalr/start?\(self.query)")
        guard answer.body == #"{ "Response": "started" }"# else { throw MalformedResponse(text: answer.body) }
        return self
    }

    func abort() async throws -> RawResponse { try await self.server.get("/signalr/abort?\(self.query)") }

    /// The parameters that a reconnect has beside the query.
    var place: String {
        (self.cursor.map { "&messageId=\(ClassicClient.encoded($0))" } ?? "")
            + (self.groupsToken.map { "&groupsToken=\(ClassicClient.encoded($0))" } ?? "")
    }
}

extension ClassicHTTPClient: ClassicTestClient {
    func result(of method: String, _ arguments: String, id: Int) async throws -> String {
        try await self.call(method, arguments, id: id).body
    }

    func rest() async throws -> String { try await self.stream?.rest() ?? "" }
}

/// A classic client over a WebSocket.
final class ClassicSocketClient: ClassicTestClient {
    private struct State {
        var socket: RawClient?
        var cursor: String?
        var groupsToken: String?
        /// Envelopes that came while a result was waited for.
        var early: [String] = []
    }

    let server: TestServer
    let query: String
    private let state = Mutex(State())

    init(_ server: TestServer, query: String) {
        self.server = server
        self.query = query
    }

    var cursor: String? { self.state.withLock { $0.cursor } }
    var groupsToken: String? { self.state.withLock { $0.groupsToken } }
    var socket: RawClient? { self.state.withLock { $0.socket } }

    func open(_ ending: String) async throws {
        let place = ending == "connect" ? "" : self.place
        let socket = try await RawClient.openSocket(
            port: self.server.port, "/signalr/\(ending)?\(self.query)\(place)")
        self.state.withLock { $0.socket = socket }
    }

    private func text() async throws -> String {
        guard let socket = self.socket else { throw MalformedResponse(text: "not connected") }
        let text = try await socket.receiveText()
        self.state.withLock {
            $0.cursor = ClassicClient.field("C", in: text) ?? $0.cursor
            $0.groupsToken = ClassicClient.field("G", in: text) ?? $0.groupsToken
        }
        return text
    }

    func envelope() async throws -> String {
        if let early = self.state.withLock({ $0.early.isEmpty ? nil : $0.early.removeFirst() }) { return early }
        while true {
            let text = try await self.text()
            if text.hasPrefix("{\"C\":") { return text }
        }
    }

    func result(of method: String, _ arguments: String, id: Int) async throws -> String {
        try await self.call(method, arguments, id: id)
        while true {
            let text = try await self.text()
            if text.hasPrefix("{\"C\":") {
                self.state.withLock { $0.early.append(text) }
            } else if text != "{}" {
                return text
            }
        }
    }

    /// Calls a method without waiting for its result.
    func call(_ method: String, _ arguments: String = "[]", id: Int) async throws {
        try await self.socket?.sendText(#"{"H":"echoHub","M":"\#(method)","A":\#(arguments),"I":\#(id)}"#)
    }

    func rest() async throws -> String {
        var all = self.state.withLock { $0.early.joined() }
        while let frame = try await self.socket?.receiveFrame() {
            guard frame.opcode == 8 else {
                all += frame.text
                continue
            }
            guard frame.closeCode == 1_000 else { throw MalformedResponse(text: "closed: \(frame.closeCode ?? 0)") }
            break
        }
        return all
    }

    func close() { self.socket?.close() }
}

extension ClassicTransport {
    /// A client that has negotiated.
    /// - Parameter more: further parameters of each of its requests.
    func client(
        _ server: TestServer, version: String = "2.1", hub: String? = "echohub", more: String = ""
    ) async throws -> any ClassicTestClient {
        if let transport = ClassicHTTPClient.Transport(rawValue: self.rawValue) {
            let client = try await ClassicHTTPClient.negotiate(server, transport, version: version, hub: hub)
            return more.isEmpty ? client : client.adding(more)
        }
        let query = try await ClassicClient.negotiate(server, hub: hub, version: version)
        return ClassicSocketClient(server, query: more.isEmpty ? query : "\(query)&\(more)")
    }

    /// A client that is connected and started.
    func started(_ server: TestServer, more: String = "") async throws -> any ClassicTestClient {
        let client = try await self.client(server, more: more)
        let first = try await client.connect()
        guard first.contains(#""S":1"#) else { throw MalformedResponse(text: first) }
        return try await client.started()
    }
}
