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
            let mayReturn =
                self.runtime.configuration.core.allowsStatefulReconnect
                && call.query["useStatefulReconnect"]?.lowercased() == "true"
            let token = self.tokens.coreToken(id: id, user: call.userName, now: now, mayReturn: mayReturn)
            body = CoreNegotiation.body(version: version, connectionID: id, token: token, mayReturn: mayReturn)
        }
        return HTTPResponse(status: 200, contentType: "application/json", body: body)
    }

    private enum Known {
        case missing, unknown, fresh(ConnectionTokens.Core), live(ConnectionTokens.Core)
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
            return .live(core)
        }
        if self.claims.isLive(core.key) { return .live(core) }
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
        switch known {
        case .missing:
            let id = ConnectionTokens.randomID(of: self.runtime.nodeTag)
            return self.coreOpening(call, endpoint, accept: accept, id: id, claim: nil, mayReturn: false)
        case .unknown:
            return .respond(Self.unknownID)
        case .live(let core):
            return core.mayReturn ? self.coreReturn(to: core, endpoint, accept: accept) : .respond(.text(409))
        case .fresh(let core) where core.mayReturn:
            // Why asked: within the lifetime of its token a client that comes back looks like one that comes.
            return .eventually {
                await self.runtime.isElsewhere(core.id)
                    ? .respond(Self.unknownID) : self.coreClaiming(call, endpoint, accept: accept, core)
            }
        case .fresh(let core):
            return self.coreClaiming(call, endpoint, accept: accept, core)
        }
    }

    /// A connection that was negotiated and is used for the first time.
    private func coreClaiming(
        _ call: HubRequest, _ endpoint: CoreEndpoint, accept: String, _ core: ConnectionTokens.Core
    ) -> Reaction {
        let now = self.clock.seconds()
        // Why 30 s more: the clock of the node that minted the token may have been ahead by that much.
        let expiry = now + Int(self.configuration.negotiationLifetime.components.seconds) + 30
        switch self.claims.claim(core.key, expiry: expiry, now: now) {
        case .inUse: return .respond(.text(409))
        case .used: return .respond(Self.unknownID)
        case .claimed:
            let claim = CoreClaim(key: core.key, claims: self.claims, clock: self.clock)
            return self.coreOpening(
                call, endpoint, accept: accept, id: core.id, claim: claim, mayReturn: core.mayReturn)
        }
    }

    private func coreOpening(
        _ call: HubRequest, _ endpoint: CoreEndpoint, accept: String, id: String, claim: CoreClaim?, mayReturn: Bool
    ) -> Reaction {
        let runtime = self.runtime
        let hub = endpoint.hub
        let identity = call.identity(id: id, userID: self.configuration.userID)
        return .upgrade(
            WebSocketAcceptance(accept: accept, limits: WebSocketLimits(reading: .stream)) { outlet, loop in
                let session = CoreSession(
                    runtime: runtime, loop: loop, hub: hub, identity: identity, outlet: outlet, framing: .webSocket,
                    mayReturn: mayReturn)
                // Why: who may come back has the connection for longer than the socket.
                if mayReturn { session.lease = claim }
                return .core(session, claim: mayReturn ? nil : claim)
            }
        )
    }

    /// A client that comes back to its connection: its new socket takes the place of the old one.
    private func coreReturn(to core: ConnectionTokens.Core, _ endpoint: CoreEndpoint, accept: String) -> Reaction {
        guard let place = self.runtime.coreReturn(to: core.id, hub: endpoint.hub.name) else {
            return .respond(Self.unknownID)
        }
        return .upgrade(
            WebSocketAcceptance(accept: accept, limits: WebSocketLimits(reading: .stream)) { outlet, loop in
                .returned(place.connect(outlet, on: loop))
            }
        )
    }
}
