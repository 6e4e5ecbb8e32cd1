package import Busbar
import BusbarHub
import BusbarProtocol
import NIOCore

/// The endpoint of all hubs for classic clients. The method of a request is never looked at.
extension Router {
    private enum Text {
        static let transport = "Protocol error: Unknown transport."
        static let missingToken = "Protocol error: Missing connection token."
        static let badToken = "The ConnectionId is in the incorrect format."
        static let otherUser =
            "Unrecognized user identity.  The user identity cannot change during an active SignalR connection."
        static let notUpgrade = "Not a valid web socket request."
    }

    private static let javaScript = "application/javascript; charset=UTF-8"

    func classicReaction(to call: HubRequest) -> Reaction {
        let hubs: [RegisteredHub]
        do throws(ProtocolError) {
            hubs = try self.listedHubs(call)
        } catch {
            return .respond(.text(400, error.detail))
        }
        let route = ClassicRoute(path: call.http.path)
        switch route {
        case .script: return .respond(self.scriptResponse(call))
        case .negotiate: return .respond(self.json(self.negotiation(call), for: call))
        case .ping: return .respond(self.json(ClassicJSON.pingResponse, for: call))
        case .start, .connect, .reconnect, .poll, .send, .abort, .bare: break
        }
        guard let transport = call.query["transport"].flatMap(ClassicTransport.init(name:)) else {
            return .respond(.text(400, Text.transport))
        }
        guard let token = call.query["connectionToken"], !token.isEmpty else {
            return .respond(.text(400, Text.missingToken))
        }
        guard let (id, user) = self.tokens.openClassic(token) else { return .respond(.text(400, Text.badToken)) }
        guard user == call.userName || user.lowercased() == call.userName.lowercased() else {
            return .respond(.text(403, Text.otherUser))
        }
        switch route {
        case .start: return self.start(id, call)
        case .abort:
            return .eventually {
                await self.runtime.classic.abort(id: id)
                return .respond(HTTPResponse(status: 200, contentType: "text/plain"))
            }
        case .connect: return self.receive(id, .connect, transport, hubs, call)
        case .reconnect, .poll, .bare:
            return self.receive(id, .reconnect(cursor: call.query["messageId"]), transport, hubs, call)
        case .send, .script, .negotiate, .ping:
            return .respond(.text(400, transport == .webSockets ? Text.notUpgrade : Text.transport))
        }
    }

    /// The hubs that the client wants to hear, each of which must exist.
    private func listedHubs(_ call: HubRequest) throws(ProtocolError) -> [RegisteredHub] {
        guard let data = call.query["connectionData"] else { return [] }
        var hubs: [RegisteredHub] = []
        for name in try ClassicJSON.parseConnectionData(data) {
            guard let hub = self.hubs.hub(named: name) else {
                throw ProtocolError(.invalidProperty, "connectionData: one of the hubs does not exist")
            }
            hubs.append(hub)
        }
        return hubs
    }

    private func scriptResponse(_ call: HubRequest) -> HTTPResponse {
        let (body, etag) = self.script.render(baseURL: ClassicRoute.scriptBase(of: call.http.path) ?? "")
        return ETag.apply(etag, to: HTTPResponse(status: 200, contentType: Self.javaScript, body: body), call.http)
    }

    private func negotiation(_ call: HubRequest) -> ByteBuffer {
        let settings = self.runtime.configuration.classic
        let id = RandomUUID.text(of: self.runtime.nodeTag)
        var answer = ClassicNegotiation(
            url: ClassicRoute.negotiateBase(of: call.http.path),
            connectionToken: self.tokens.classicToken(id: id, user: call.userName),
            connectionID: id,
            protocolVersion: ClassicVersion.resolve(call.query["clientProtocol"])
        )
        answer.keepAliveTimeout = settings.keepAlive.map { $0 * 2 }
        answer.disconnectTimeout = settings.disconnectTimeout
        answer.connectionTimeout = settings.connectionTimeout
        answer.transportConnectTimeout = settings.transportConnectTimeout
        answer.longPollDelay = settings.longPollDelay
        var body = ByteBuffer()
        answer.write(into: &body)
        return body
    }

    /// An answer in JSON, or as the argument of the callback that the client asked for where that is switched on.
    private func json(_ body: ByteBuffer, for call: HubRequest) -> HTTPResponse {
        guard let callback = call.query["callback"], !callback.isEmpty else {
            return HTTPResponse(status: 200, contentType: "application/json; charset=UTF-8", body: body)
        }
        guard JSONPCallback.isValid(callback) else { return .text(400, "The callback is not a name of a function.") }
        var script = ByteBuffer(string: callback + "(")
        script.writeImmutableBuffer(body)
        script.writeString(");")
        return HTTPResponse(status: 200, contentType: Self.javaScript, body: script)
    }

    private func start(_ id: String, _ call: HubRequest) -> Reaction {
        .eventually {
            switch await self.runtime.classic.start(id: id) {
            case .started: .respond(self.json(ClassicJSON.startResponse, for: call))
            case .failed: .respond(.text(500))
            case .unknown: .respond(.text(404, "There is no such connection."))
            case .unreachable: .respond(.text(503, "The node of the connection does not answer."))
            }
        }
    }

    private func receive(
        _ id: String, _ kind: ClassicOpening.Kind, _ transport: ClassicTransport, _ hubs: [RegisteredHub],
        _ call: HubRequest
    ) -> Reaction {
        guard transport == .webSockets else { return .respond(.text(400, Text.transport)) }
        guard call.http.asksForWebSocket else { return .respond(.text(400, Text.notUpgrade)) }
        let classic = self.runtime.classic
        if case .reconnect(let cursor) = kind {
            do throws(MalformedClassicCursor) {
                try classic.checkCursor(cursor)
            } catch {
                return .respond(.text(400, "messageId is not a cursor of this server."))
            }
        }
        let accept: String
        switch self.accept(call) {
        case .failure(let refusal): return .respond(refusal.response)
        case .success(let text): accept = text
        }
        let opening = ClassicOpening(
            kind: kind,
            identity: call.identity(id: id),
            hubs: hubs,
            delayedStart: ClassicVersion.resolve(call.query["clientProtocol"]).isDelayedStart,
            groupsToken: call.query["groupsToken"]
        )
        let limit = self.runtime.configuration.classic.maximumWebSocketMessageBytes
        return .upgrade(
            WebSocketAcceptance(accept: accept, limits: WebSocketLimits(reading: .text(limitBytes: limit))) {
                outlet, loop in
                classic.open(opening, outlet: outlet, framing: .webSocket, on: loop).map { .classic($0) } ?? .refused
            }
        )
    }
}

/// The generated script of the classic endpoint, or what stands in its place.
struct ClassicScriptSource: Sendable {
    private let hubs: [ClassicScript.Hub]?

    init(hubs: HubTable, isEnabled: Bool) {
        self.hubs =
            !isEnabled
            ? nil
            : hubs.hubs.map { hub in
                ClassicScript.Hub(name: hub.name, methods: hub.methodNames.map { ClassicScript.Method(name: $0) })
            }
    }

    /// - Parameter baseURL: the public path of the endpoint.
    func render(baseURL: String) -> (body: ByteBuffer, etag: String) {
        let body = self.hubs.map { ClassicScript.render(hubs: $0, baseURL: baseURL) } ?? ClassicScript.disabled
        return (body, ETag.of(body))
    }
}

/// Identifiers in the usual form, lower case with hyphens: which node issued it, and 90 random bits.
package enum RandomUUID {
    package static func text(of node: NodeTag) -> String {
        var generator = SystemRandomNumberGenerator()
        let high = generator.next() & 0x0000_0000_FFFF_0FFF | 0x4000 | UInt64(node.bits) << 32
        let low = generator.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        func hex(_ number: UInt64, _ digits: Int) -> String {
            let text = String(number, radix: 16)
            return String(repeating: "0", count: digits - text.count) + text
        }
        let first = hex(high, 16), second = hex(low, 16)
        return "\(first.prefix(8))-\(first.dropFirst(8).prefix(4))-\(first.suffix(4))"
            + "-\(second.prefix(4))-\(second.dropFirst(4))"
    }
}
