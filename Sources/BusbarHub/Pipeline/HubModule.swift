/// Something that stands around the hubs of a server: it sees calls, messages and events, may skip them, and may change
/// how a call ends. Everything has a default that changes nothing, so a module declares what it is about.
///
/// ```swift
/// struct Maintenance: HubModule {
///     func beforeIncoming(_ call: IncomingCall) async throws -> Bool {
///         if isDown { throw HubError("We are back at noon.") }
///         return true
///     }
///
///     func incomingFailed(_ failure: inout IncomingFailure, of call: IncomingCall) async {
///         if failure.error is PriceUnknown { failure.result = .nothing }           // a failure becomes a success
///     }
/// }
///
/// struct Timing: HubModule {
///     func incoming(_ call: IncomingCall, next: () async throws -> CallResult) async throws -> CallResult {
///         let start = ContinuousClock.now
///         defer { timer.record(duration: .now - start) }
///         return try await next()
///     }
/// }
/// ```
///
/// The hooks `before…`, `after…` and ``incomingFailed(_:of:)`` are what the default implementations of the wrapping
/// ``incoming(_:next:)``, ``outgoing(_:next:)`` and ``event(_:next:)`` call; who implements a wrapping member decides
/// himself whether to.
public protocol HubModule: Sendable {
    // MARK: Calls of clients

    /// Around a call: `next` is the rest of the pipeline, the method at its end. Its error is what the method threw, or
    /// why it could not be called.
    func incoming(_ call: IncomingCall, next: () async throws -> CallResult) async throws -> CallResult

    /// False skips the call: its result is none. A thrown error fails it.
    func beforeIncoming(_ call: IncomingCall) async throws -> Bool

    /// The call has succeeded; what is returned becomes its result.
    func afterIncoming(_ result: CallResult, of call: IncomingCall) async throws -> CallResult

    /// The call has failed. The error may be exchanged, or a result set, which turns the failure into a success.
    func incomingFailed(_ failure: inout IncomingFailure, of call: IncomingCall) async

    // MARK: Messages to clients

    /// Around a message, also one from outside hubs; `next` is the rest of the pipeline and the bus at its end.
    func outgoing(
        _ message: OutgoingMessage, next: () async throws(HubSendError) -> Void
    ) async throws(HubSendError)

    /// False skips the message: nobody gets it, and its sender does not notice.
    func beforeOutgoing(_ message: OutgoingMessage) async -> Bool

    /// The bus has accepted the message.
    func afterOutgoing(_ message: OutgoingMessage) async

    // MARK: Events of connections

    /// Around an event of one hub and one connection; `next` is the rest of the pipeline and the hub at its end.
    func event(_ event: HubEvent, next: () async throws -> Void) async throws

    /// False keeps the event from the hub. A thrown error fails it, as if the hub had thrown it.
    func beforeEvent(_ event: HubEvent) async throws -> Bool

    /// The hub has handled the event.
    func afterEvent(_ event: HubEvent) async throws

    // MARK: Connecting

    /// False keeps the client from the hub, whatever the hub itself asks for. Runs on an event loop and must not wait.
    func mayConnect(_ request: AccessRequest) -> Bool

    /// The groups that a classic client claims to be in, when it comes back to a node that does not know it; those
    /// returned it joins again. Names are without the hub's. Runs on an event loop and must not wait.
    func rejoining(_ groups: [String], hub: String, context: ConnectionContext) -> [String]
}

extension HubModule {
    public func incoming(_ call: IncomingCall, next: () async throws -> CallResult) async throws -> CallResult {
        guard try await self.beforeIncoming(call) else { return .nothing }
        do {
            return try await self.afterIncoming(try await next(), of: call)
        } catch {
            var failure = IncomingFailure(error: error)
            await self.incomingFailed(&failure, of: call)
            if let result = failure.result { return result }
            throw failure.error
        }
    }

    public func beforeIncoming(_ call: IncomingCall) async throws -> Bool { true }
    public func afterIncoming(_ result: CallResult, of call: IncomingCall) async throws -> CallResult { result }
    public func incomingFailed(_ failure: inout IncomingFailure, of call: IncomingCall) async {}

    public func outgoing(
        _ message: OutgoingMessage, next: () async throws(HubSendError) -> Void
    ) async throws(HubSendError) {
        guard await self.beforeOutgoing(message) else { return }
        try await next()
        await self.afterOutgoing(message)
    }

    public func beforeOutgoing(_ message: OutgoingMessage) async -> Bool { true }
    public func afterOutgoing(_ message: OutgoingMessage) async {}

    public func event(_ event: HubEvent, next: () async throws -> Void) async throws {
        guard try await self.beforeEvent(event) else { return }
        try await next()
        try await self.afterEvent(event)
    }

    public func beforeEvent(_ event: HubEvent) async throws -> Bool { true }
    public func afterEvent(_ event: HubEvent) async throws {}
    public func mayConnect(_ request: AccessRequest) -> Bool { true }
    public func rejoining(_ groups: [String], hub: String, context: ConnectionContext) -> [String] { groups }
}
