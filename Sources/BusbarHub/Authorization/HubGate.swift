/// Everything that who connects to one hub, or calls it, must be.
struct HubGate: Sendable {
    private let hub: String
    private let pipeline: HubPipeline
    /// Of all hubs and of this one.
    private let toCall: [Requirement]
    private let toConnect: [Requirement]

    init(hub: String, authorization: HubAuthorization, pipeline: HubPipeline) {
        self.hub = hub
        self.pipeline = pipeline
        self.toCall = pipeline.requirements + authorization.requirements
        self.toConnect = authorization.coversConnecting ? authorization.requirements : []
    }

    /// Whether nobody is asked anything before connecting.
    var isOpenToAll: Bool {
        self.pipeline.modules.isEmpty && self.pipeline.requirements.isEmpty && self.toConnect.isEmpty
    }

    func admits(_ user: Principal?, _ request: ConnectionRequest) -> Bool {
        let access = AccessRequest(hub: self.hub, method: nil, user: user, request: request)
        return self.pipeline.admits(access) && self.toConnect.allSatisfy { $0.isMet(by: access) }
    }

    /// Why a method may not be called; nil if it may.
    func refusal(of method: String, asking more: [Requirement], _ context: ConnectionContext) -> HubFailure? {
        if self.toCall.isEmpty && more.isEmpty { return nil }
        let access = AccessRequest(hub: self.hub, method: method, user: context.user, request: context.request)
        if self.toCall.allSatisfy({ $0.isMet(by: access) }) && more.allSatisfy({ $0.isMet(by: access) }) { return nil }
        return HubFailure(
            .notAuthorized, "Caller is not authorized to invoke the \(method) method on \(self.hub).")
    }
}
