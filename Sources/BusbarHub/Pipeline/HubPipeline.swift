/// What every hub of a server passes through: requirements that hold for all of them, and modules around their calls,
/// messages and events.
///
/// ```swift
/// let pipeline = HubPipeline(modules: [Timing(), Audit()], requirements: [.authenticated])
/// let server = try BusbarServer(bus: bus, hubs: hubs, pipeline: pipeline, logger: logger)
/// ```
///
/// The first module is the outermost. Authorization stands outside all of them: of a call that is refused no module
/// hears. A pipeline is a value, complete before the server is made.
public struct HubPipeline: Sendable {
    /// From the outermost to the innermost.
    public var modules: [any HubModule]

    /// What whoever connects to a hub, or calls one, must be, besides what the hub itself asks for.
    public var requirements: [Requirement]

    public init(modules: [any HubModule] = [], requirements: [Requirement] = []) {
        self.modules = modules
        self.requirements = requirements
    }
}

extension HubPipeline {
    func incoming(
        _ call: IncomingCall, from index: Int = 0, _ method: () async throws -> CallResult
    ) async throws -> CallResult {
        guard index < self.modules.count else { return try await method() }
        return try await self.modules[index].incoming(call) {
            try await self.incoming(call, from: index + 1, method)
        }
    }

    func outgoing(
        _ message: OutgoingMessage, from index: Int = 0, _ send: () async throws(HubSendError) -> Void
    ) async throws(HubSendError) {
        guard index < self.modules.count else { return try await send() }
        try await self.modules[index].outgoing(message) { () async throws(HubSendError) in
            try await self.outgoing(message, from: index + 1, send)
        }
    }

    func event(_ event: HubEvent, from index: Int = 0, _ body: () async throws -> Void) async throws {
        guard index < self.modules.count else { return try await body() }
        try await self.modules[index].event(event) {
            try await self.event(event, from: index + 1, body)
        }
    }

    func admits(_ request: AccessRequest) -> Bool {
        self.modules.allSatisfy { $0.mayConnect(request) } && self.requirements.allSatisfy { $0.isMet(by: request) }
    }

    func rejoining(_ groups: [String], hub: String, context: ConnectionContext) -> [String] {
        // Why backwards: the outermost has the last word, as it has everywhere.
        self.modules.reversed().reduce(groups) { $1.rejoining($0, hub: hub, context: context) }
    }
}
