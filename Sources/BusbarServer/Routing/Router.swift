import Busbar
import BusbarHub
import BusbarProtocol
import Logging
import NIOCore

/// Decides what every request gets. Immutable; connections of all event loops share it.
final class Router: HTTPService {
    let configuration: ServerConfiguration
    let runtime: HubRuntime
    let work: WorkQueue
    let hubs: HubTable
    let tokens: ConnectionTokens
    let claims = CoreClaims()
    let clock: WallClock
    let origins: CrossOrigin
    let mounts: ClassicMounts
    let script: ClassicScriptSource
    let logger: Logger
    let readiness: @Sendable () -> String?

    init(
        configuration: ServerConfiguration, runtime: HubRuntime,
        key: FarmKey, clock: WallClock, work: WorkQueue, logger: Logger, readiness: @escaping @Sendable () -> String?
    ) {
        self.configuration = configuration
        self.runtime = runtime
        self.hubs = runtime.hubs
        self.tokens = ConnectionTokens(key: key)
        self.clock = clock
        self.work = work
        self.origins = CrossOrigin(allowed: configuration.allowedOrigins)
        self.mounts = ClassicMounts(hubs: configuration.classicPath, connections: runtime.persistentConnections)
        self.script = ClassicScriptSource(
            hubs: runtime.hubs, isEnabled: runtime.configuration.classic.javaScriptProxies)
        self.logger = logger
        self.readiness = readiness
    }

    func reaction(to request: HTTPRequest, from channel: any Channel) -> Reaction {
        if let resource = self.configuration.resources.first(where: { $0.path == request.path }) {
            return .respond(resource.response(to: request))
        }
        switch request.path {
        case "/health": return .respond(self.health(request, failure: nil, word: "alive"))
        case "/health/ready":
            return .respond(self.health(request, failure: self.readiness(), word: "ready\n\(self.nodeList)"))
        default: break
        }
        let endpoint = CoreEndpoint(path: request.path, in: self.hubs)
        let mount = self.mounts.mount(of: request.path)
        guard endpoint != nil || mount != nil else { return .respond(.text(404, "Not found.")) }
        if let preflight = self.origins.preflight(request) { return .respond(preflight) }
        let call: HubRequest
        do throws(ProtocolError) {
            call = try HubRequest(request, remoteAddress: channel.remoteAddress?.ipAddress)
        } catch {
            return self.shared(.respond(.text(400, "The query has too many parameters.")), request)
        }
        if let endpoint {
            return self.authenticated(call) { self.coreReaction(to: $0, at: endpoint) }
        }
        if !self.runtime.configuration.classic.jsonp, call.query["callback"]?.isEmpty == false {
            return .respond(HTTPResponse(status: 403, reason: "Forbidden: JSONP is disabled."))
        }
        guard let mount else { return .respond(.text(404, "Not found.")) }
        return self.authenticated(call) { self.classicReaction(to: $0, at: mount) }
    }

    /// Which nodes of the app are alive, as this one sees it: their number and the names of the first hundred.
    private var nodeList: String {
        let nodes = self.runtime.nodes
        let names = nodes.prefix(100).map(\.name).joined(separator: ", ")
        return "\(nodes.count) node\(nodes.count == 1 ? "" : "s"): \(names)"
    }

    private func health(_ request: HTTPRequest, failure: String?, word: String) -> HTTPResponse {
        guard request.method == "GET" || request.method == "HEAD" else { return .text(405) }
        var response = HTTPResponse.text(failure == nil ? 200 : 503, failure ?? word)
        response.add("Cache-Control", "no-store")
        return response
    }

    /// Asks the authenticator, if there is one, and goes on with what it found.
    private func authenticated(
        _ call: HubRequest, then next: @escaping @Sendable (HubRequest) -> Reaction
    ) -> Reaction {
        guard let authenticator = self.configuration.authenticator else { return self.shared(next(call), call.http) }
        let logger = self.logger
        return .eventually {
            do {
                var call = call
                call.user = try await authenticator(call.connectionRequest)
                return self.shared(next(call), call.http)
            } catch let refusal as AccessDenied {
                return self.shared(.respond(.text(refusal == .forbidden ? 403 : 401)), call.http)
            } catch {
                logger.warning("authenticator failed", metadata: ["error": "\(type(of: error))"])
                return self.shared(.respond(.text(500)), call.http)
            }
        }
    }

    /// Adds what every answer of a hub endpoint carries.
    private func shared(_ reaction: Reaction, _ request: HTTPRequest) -> Reaction {
        switch reaction {
        case .respond(var response):
            self.share(&response, request)
            return .respond(response)
        case .upgrade(var acceptance):
            acceptance.fields.append(.init("X-Content-Type-Options", "nosniff"))
            return .upgrade(acceptance)
        case .stream(var acceptance):
            self.share(&acceptance.response, request)
            return .stream(acceptance)
        case .eventually(let work):
            return .eventually { self.shared(await work(), request) }
        case .held(let work):
            return .held { self.shared(await work(), request) }
        }
    }

    private func share(_ response: inout HTTPResponse, _ request: HTTPRequest) {
        response.add("X-Content-Type-Options", "nosniff")
        response.add("Cache-Control", response.fields.contains { $0.name == "ETag" } ? "no-cache" : "no-store")
        response.fields += self.origins.fields(for: request.fields.first("origin"))
    }

    /// Checks everything about an opening handshake that does not depend on the endpoint.
    func accept(_ call: HubRequest) -> Result<String, WebSocketHandshake.Refusal> {
        guard self.origins.mayUpgrade(origin: call.http.fields.first("origin")) else {
            return .failure(.init(response: .text(403, "This origin may not connect.")))
        }
        return WebSocketHandshake.accept(call.http)
    }
}

/// A request to a hub endpoint with its query read, and who sent it.
struct HubRequest: Sendable {
    let http: HTTPRequest
    let query: QueryParameters
    let remoteAddress: String?
    var user: Principal?

    init(_ http: HTTPRequest, remoteAddress: String?) throws(ProtocolError) {
        self.http = http
        self.query = try QueryParameters(parsing: http.query)
        self.remoteAddress = remoteAddress
    }

    var userName: String { self.user?.name ?? "" }

    /// A parameter of the query, or else of the body read as a form, whatever type the request says that it has.
    func value(_ name: String) throws(ProtocolError) -> String? {
        if let value = self.query[name] { return value }
        return self.http.body.readableBytes > 0 ? try QueryParameters(parsingForm: self.http.body)[name] : nil
    }

    /// - Parameter userID: says whose connection it is; nil: the principal's name does.
    func identity(
        id: String, _ transport: ConnectionTransport = .webSockets, userID: UserIDProvider?
    ) -> ConnectionIdentity {
        let request = self.connectionRequest
        let owner = userID.map { $0(request, self.user) } ?? self.user?.name
        return ConnectionIdentity(
            id: id, userID: owner?.isEmpty == false ? owner : nil, user: self.user, request: request,
            transport: transport)
    }

    /// The request as authenticators and hubs see it.
    var connectionRequest: ConnectionRequest {
        ConnectionRequest(
            path: self.http.decodedPath,
            headers: NamedValues(self.http.fields.all.map { ($0.name, $0.value) }),
            query: NamedValues(self.query.pairs.map { ($0.name, $0.value) }),
            remoteAddress: self.remoteAddress
        )
    }
}
