import Synchronization

/// One client's connection to this node, as its hubs see it: the same object for every call and event.
public final class ConnectionContext: Sendable {
    private struct State {
        var request: ConnectionRequest
        var transport: ConnectionTransport
        var items: [String: any Sendable] = [:]
        var ending = ConnectionEnding()
        var abortHandler: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>

    /// What other clients and the application address the connection by. Never reused.
    public let id: String

    /// Whose connection it is; nil when nobody's.
    public let userID: String?

    /// Who an authenticator found on the other side when the connection began.
    public let user: Principal?

    package init(
        id: String,
        userID: String? = nil,
        user: Principal? = nil,
        request: ConnectionRequest,
        transport: ConnectionTransport
    ) {
        self.id = id
        self.userID = userID
        self.user = user
        self.state = Mutex(State(request: request, transport: transport))
    }

    /// The request that carries what the client sends: of a classic connection that came back, the newest one.
    public var request: ConnectionRequest { self.state.withLock { $0.request } }

    /// The transport in use.
    public var transport: ConnectionTransport { self.state.withLock { $0.transport } }

    /// What the application keeps with this connection.
    public var items: ConnectionItems { ConnectionItems(context: self) }

    /// Ends the connection. Returns at once; its other calls are cancelled, and ``Hub/disconnected(_:)`` follows.
    public func abort() {
        self.finish().abortHandler?()
    }

    /// Whether the connection has ended or is about to.
    public var isAborted: Bool { self.state.withLock { $0.ending.hasEnded } }

    /// Returns when the connection ends, or when the calling task is cancelled.
    public func aborted() async {
        let id = self.state.withLock { $0.ending.nextID() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isOver = self.state.withLock { state in
                    if Task.isCancelled { return true }
                    return !state.ending.wait(id, continuation)
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.ending.stopWaiting(id) }?.resume()
        }
    }

    /// Sets what ends the connection when the application aborts it: called at most once, on any thread, and at once if
    /// it was aborted before. It is let go of when the connection ends.
    package func onAbort(_ handler: @escaping @Sendable () -> Void) {
        let isOver = self.state.withLock { state in
            guard !state.ending.hasEnded else { return true }
            state.abortHandler = handler
            return false
        }
        if isOver { handler() }
    }

    /// The connection is over: wakes who waits for that and cancels what runs for it. False if it was over already.
    @discardableResult
    package func end() -> Bool { self.finish().isFirst }

    private func finish() -> (isFirst: Bool, abortHandler: (@Sendable () -> Void)?) {
        let (waiting, handler) = self.state.withLock { state in
            (state.ending.end(), state.abortHandler.take())
        }
        guard let waiting else { return (false, nil) }
        for continuation in waiting { continuation.resume() }
        return (true, handler)
    }

    /// A classic connection came back with another request.
    package func reconnected(request: ConnectionRequest, transport: ConnectionTransport) {
        self.state.withLock {
            $0.request = request
            $0.transport = transport
        }
    }

    func withItems<Result: Sendable>(
        _ body: (inout [String: any Sendable]) throws -> Result
    ) rethrows -> Result {
        try self.state.withLock { state in try body(&state.items) }
    }
}
