package import Busbar
import BusbarHub
import BusbarProtocol
import NIOCore

/// The endpoints of classic clients: that of all hubs, and those of persistent connections. The method of a request is
/// never looked at.
extension Router {
    enum Text {
        static let transport = "Protocol error: Unknown transport."
        static let missingToken = "Protocol error: Missing connection token."
        static let badToken = "The ConnectionId is in the incorrect format."
        static let otherUser =
            "Unrecognized user identity.  The user identity cannot change during an active SignalR connection."
        static let notUpgrade = "Not a valid web socket request."
        static let badCursor = "messageId is not a cursor of this server."
        static let badCallback = "The callback is not a name of a function."
        static let badFrame = "frameId is not a whole number of 32 bits."
        static let unknownConnection = "There is no such connection."
        static let unreachable = "The node of the connection does not answer."
        static let stopping = "This server is stopping."
    }

    static let javaScript = "application/javascript; charset=UTF-8"
    static let jsonType = "application/json; charset=UTF-8"

    func classicReaction(to call: HubRequest, at mount: ClassicMount) -> Reaction {
        let listed: [RegisteredHub]
        do throws(ProtocolError) {
            listed = try self.listedHubs(call, at: mount)
        } catch {
            return .respond(.text(400, error.detail))
        }
        let hubs = listed.filter { $0.admits(call.user, call.connectionRequest) }
        if hubs.isEmpty, !listed.isEmpty { return .respond(HTTPResponse(status: call.user == nil ? 401 : 403)) }
        let route = ClassicRoute(path: call.http.path, hasScript: mount.hasScript)
        switch route {
        case .script: return .respond(self.scriptResponse(call))
        case .negotiate: return self.negotiate(call)
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
        case .connect, .reconnect, .poll, .bare: return self.receive(id, route, transport, hubs, call)
        case .send: return transport == .webSockets ? .respond(.text(400, Text.notUpgrade)) : self.send(id, call)
        case .script, .negotiate, .ping: return .respond(.text(400, Text.transport))
        }
    }

    /// The hubs that the client wants to hear, each of which must exist; or the persistent connection.
    private func listedHubs(_ call: HubRequest, at mount: ClassicMount) throws(ProtocolError) -> [RegisteredHub] {
        if case .connection(let connection) = mount { return [connection] }
        guard let data = call.query["connectionData"] else { return [] }
        var hubs: [RegisteredHub] = []
        for name in try ClassicJSON.parseConnectionData(data) {
            guard let hub = self.hubs.hub(named: name) else {
                throw ProtocolError(.invalidProperty, "'\(ProtocolError.quote(name))' Hub could not be resolved.")
            }
            hubs.append(hub)
        }
        return hubs
    }

    private func scriptResponse(_ call: HubRequest) -> HTTPResponse {
        let (body, etag) = self.script.render(baseURL: ClassicRoute.scriptBase(of: call.http.path) ?? "")
        return ETag.apply(etag, to: HTTPResponse(status: 200, contentType: Self.javaScript, body: body), call.http)
    }

    private func negotiate(_ call: HubRequest) -> Reaction {
        guard let redirect = self.configuration.classicRedirect else {
            return .respond(self.json(self.negotiation(call), for: call))
        }
        return .eventually {
            let version = ClassicVersion.resolve(call.query["clientProtocol"])
            switch await redirect(call.connectionRequest, call.user) {
            case .serve:
                return .respond(self.json(self.negotiation(call), for: call))
            case .redirect(let url, let accessToken) where version.obeysRedirects:
                let body = ClassicNegotiation.redirection(to: url, accessToken: accessToken, version: version)
                return .respond(self.json(body, for: call))
            case .redirect:
                // Why: such a client would not go there; here it is served.
                return .respond(self.json(self.negotiation(call), for: call))
            case .refuse(let text) where version.obeysRedirects:
                return .respond(self.json(ClassicNegotiation.refusal(text, version: version), for: call))
            case .refuse(let text):
                return .respond(.text(403, text))
            }
        }
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
        switch self.callback(of: call) {
        case .none:
            var text = ByteBuffer()
            text.writeJSONAsASCII(body)
            return HTTPResponse(status: 200, contentType: Self.jsonType, body: text)
        case .invalid:
            return .text(400, Text.badCallback)
        case .valid(let name):
            return HTTPResponse(
                status: 200, contentType: Self.javaScript, body: ClassicFraming.callback(name, body))
        }
    }

    enum Callback {
        case none, invalid
        case valid(String)
    }

    /// The function that an answer is to be an argument of.
    func callback(of call: HubRequest) -> Callback {
        guard let name = call.query["callback"], !name.isEmpty else { return .none }
        return JSONPCallback.isValid(name) ? .valid(name) : .invalid
    }

    private func start(_ id: String, _ call: HubRequest) -> Reaction {
        .held {
            switch await self.runtime.classic.start(id: id) {
            case .started: .respond(self.json(ClassicJSON.startResponse, for: call))
            case .failed: .respond(.text(500))
            case .unknown: .respond(.text(404, Text.unknownConnection))
            case .unreachable: .respond(.text(503, Text.unreachable))
            }
        }
    }

    /// A call that comes by a request of its own, and is answered by it.
    private func send(_ id: String, _ call: HubRequest) -> Reaction {
        let data: String
        do throws(ProtocolError) {
            data = try call.value("data") ?? ""
        } catch {
            return .respond(.text(400, error.detail))
        }
        return .held {
            switch await self.runtime.classic.send(id: id, payload: ByteBuffer(string: data)) {
            case .result(let json): .respond(self.json(json, for: call))
            case .nothing: .respond(HTTPResponse(status: 200))
            case .malformed(let why): .respond(.text(400, why))
            case .failed: .respond(.text(500))
            case .busy: .respond(.text(503, "Too many calls of this connection wait already."))
            case .unknown: .respond(.text(404, Text.unknownConnection))
            case .unreachable: .respond(.text(503, Text.unreachable))
            }
        }
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
                ClassicScript.Hub(
                    name: hub.name, scriptName: hub.scriptName,
                    methods: hub.methods.map { ClassicScript.Method(name: $0.name, scriptName: $0.scriptName) })
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
