import BusbarHub
import BusbarProtocol
import NIOCore

/// The place of a request at the endpoint that one hub has for core clients.
struct CoreEndpoint: Sendable {
    enum Place: Hashable, Sendable { case hub, negotiate }

    let hub: RegisteredHub
    let place: Place

    init?(path: String, in hubs: HubTable) {
        if let hub = hubs.hub(at: path) {
            self.hub = hub
            self.place = .hub
        } else if path.hasSuffixIgnoringASCIICase("/negotiate"),
            let hub = hubs.hub(at: String(path.dropLast("/negotiate".count)))
        {
            self.hub = hub
            self.place = .negotiate
        } else {
            return nil
        }
    }
}

extension Router {
    func coreReaction(to call: HubRequest, at endpoint: CoreEndpoint) -> Reaction {
        guard endpoint.hub.admits(call.user, call.connectionRequest) else {
            return .respond(.text(call.user == nil ? 401 : 403))
        }
        return switch (endpoint.place, call.http.method) {
        case (.negotiate, "POST"): .respond(self.coreNegotiation(call))
        case (.hub, "GET"): self.coreGet(call, endpoint)
        case (.hub, "POST"): .respond(self.corePost(call))
        case (.hub, "DELETE"): .respond(self.coreDelete(call))
        default: .respond(.text(405))
        }
    }

    private func coreNegotiation(_ call: HubRequest) -> HTTPResponse {
        let negotiation = CoreNegotiation(
            version: call.query["negotiateVersion"], minimum: self.configuration.minimumNegotiateVersion)
        let now = self.clock.seconds()
        let body: ByteBuffer
        switch negotiation {
        case .refused(let text):
            body = CoreNegotiation.body(error: text)
        case .version(0):
            let id = self.tokens.shortCoreID(user: call.userName, now: now)
            body = CoreNegotiation.body(version: 0, connectionID: id, token: id)
        case .version(let version):
            let id = ConnectionTokens.randomID(of: self.runtime.nodeTag)
            let token = self.tokens.coreToken(id: id, user: call.userName, now: now)
            body = CoreNegotiation.body(version: version, connectionID: id, token: token)
        }
        return HTTPResponse(status: 200, contentType: "application/json", body: body)
    }

    private enum Known {
        case missing, unknown, fresh(ConnectionTokens.Core), live
    }

    /// What the `id` of a request stands for. An empty one counts as missing.
    private func known(_ call: HubRequest) -> Known {
        guard let token = call.query["id"], !token.isEmpty else { return .missing }
        let now = self.clock.seconds()
        let lifetime = Int(self.configuration.negotiationLifetime.components.seconds)
        guard
            let core = self.tokens.openCore(token, user: call.userName, now: now, lifetimeSeconds: lifetime)
        else {
            // A connection outlives its token: the token is only too old to begin another.
            guard let core = self.tokens.openCore(token, user: call.userName, now: now, lifetimeSeconds: .max),
                self.claims.isLive(core.key)
            else { return .unknown }
            return .live
        }
        if self.claims.isLive(core.key) { return .live }
        return self.claims.isOver(core.key) ? .unknown : .fresh(core)
    }

    private static let idRequired = HTTPResponse.text(400, "Connection ID required")
    private static let unknownID = HTTPResponse.text(404, "No Connection with that ID")

    private static func notServed(_ transport: ConnectionTransport) -> HTTPResponse {
        .text(404, "\(transport.rawValue) transport not supported by this end point type")
    }

    private func coreGet(_ call: HubRequest, _ endpoint: CoreEndpoint) -> Reaction {
        let known = self.known(call)
        let wantsEvents = call.http.fields.values("accept").contains { $0.lowercased().contains("text/event-stream") }
        if call.http.asksForWebSocket, !wantsEvents {
            return self.coreUpgrade(call, endpoint, known)
        }
        switch known {
        case .missing: return .respond(Self.idRequired)
        case .unknown: return .respond(Self.unknownID)
        case .fresh, .live: return .respond(Self.notServed(wantsEvents ? .serverSentEvents : .longPolling))
        }
    }

    private func corePost(_ call: HubRequest) -> HTTPResponse {
        switch self.known(call) {
        case .missing: Self.idRequired
        case .unknown: Self.unknownID
        case .fresh: Self.notServed(.longPolling)
        case .live: .text(405, "POST requests are not allowed for WebSocket connections.")
        }
    }

    private func coreDelete(_ call: HubRequest) -> HTTPResponse {
        switch self.known(call) {
        case .missing: Self.idRequired
        case .unknown: Self.unknownID
        case .fresh, .live: .text(400, "Cannot terminate this connection using the DELETE endpoint.")
        }
    }

    private func coreUpgrade(_ call: HubRequest, _ endpoint: CoreEndpoint, _ known: Known) -> Reaction {
        let accept: String
        switch self.accept(call) {
        case .failure(let refusal): return .respond(refusal.response)
        case .success(let text): accept = text
        }
        var id = ConnectionTokens.randomID(of: self.runtime.nodeTag)
        var claim: CoreClaim?
        switch known {
        case .missing: break
        case .unknown: return .respond(Self.unknownID)
        case .live: return .respond(.text(409))
        case .fresh(let core):
            let now = self.clock.seconds()
            // Why 30 s more: the clock of the node that minted the token may have been ahead by that much.
            let expiry = now + Int(self.configuration.negotiationLifetime.components.seconds) + 30
            switch self.claims.claim(core.key, expiry: expiry, now: now) {
            case .claimed: claim = CoreClaim(key: core.key, claims: self.claims, clock: self.clock)
            case .inUse: return .respond(.text(409))
            case .used: return .respond(Self.unknownID)
            }
            id = core.id
        }
        let runtime = self.runtime
        let hub = endpoint.hub
        let identity = call.identity(id: id, userID: self.configuration.userID)
        let held = claim
        return .upgrade(
            WebSocketAcceptance(accept: accept, limits: WebSocketLimits(reading: .stream)) { outlet, loop in
                let session = CoreSession(
                    runtime: runtime, loop: loop, hub: hub, identity: identity, outlet: outlet, framing: .webSocket)
                return .core(session, claim: held)
            }
        )
    }
}
