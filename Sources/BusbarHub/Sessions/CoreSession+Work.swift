import BusbarProtocol
import Logging
import Metrics
import NIOCore

/// Calls and events of a core connection.
extension CoreSession {
    /// Calls that one task runs before another connection's turn comes.
    private static let callsPerTurn = 64

    func offer(_ job: Job, bytes: Int = 0) {
        if let next = self.work.offer(job, bytes: bytes) { self.start(next) }
    }

    private func start(_ job: Job) {
        let hub = self.hub, context = self.context, runtime = self.runtime, door = self.door, work = self.work
        let loop = self.loop.eventLoop
        switch job {
        case .connected:
            runtime.services.metrics.connected.increment()
            self.submit(context) {
                let failure = await hub.connected(context, publisher: runtime)
                loop.execute { door.value.session?.connectedFinished(failure) }
            }
        case .call(let first):
            self.submit(context) {
                var invocation = first
                var calls = 1
                while true {
                    runtime.services.metrics.invocations.increment()
                    runtime.services.metrics.messagesFromClients.increment()
                    let (id, method) = (invocation.invocationID, invocation.target)
                    let call = RegisteredHub.Invocation(method: method, arguments: invocation.arguments, rules: .core)
                    let outcome = await hub.invoke(call, context: context, publisher: runtime)
                    guard calls < Self.callsPerTurn, !context.isAborted, let next = work.next(where: { $0.isCall }),
                        case .call(let following) = next.item
                    else {
                        return loop.execute {
                            door.value.session?.callFinished(id, method: method, outcome)
                            door.value.session?.workFinished()
                        }
                    }
                    if id != nil || outcome.isFailure {
                        loop.execute { door.value.session?.callFinished(id, method: method, outcome) }
                    }
                    if next.madeRoom { loop.execute { door.value.session?.resume() } }
                    invocation = following
                    calls += 1
                }
            }
        case .disconnected(let disconnection):
            self.runDisconnected(disconnection)
        }
    }

    /// False if nothing is run any more.
    @discardableResult
    private func submit(_ context: ConnectionContext?, _ body: @escaping @Sendable () async -> Void) -> Bool {
        self.runtime.services.mailbox.submit(Work(context: context, body: body))
    }

    func runDisconnected(_ disconnection: Disconnection) {
        // Why: an event that takes long is still running when it would be forced.
        guard !self.isDisconnecting else { return }
        self.isDisconnecting = true
        self.runtime.services.connectionEnded(self.context.id, hub: self.hub.name, disconnection)
        self.context.end()
        let hub = self.hub, context = self.context, runtime = self.runtime, door = self.door
        let loop = self.loop.eventLoop
        let isTaken = self.submit(nil) {
            let failure = await hub.disconnected(context, ending: disconnection, publisher: runtime)
            loop.execute { door.value.session?.disconnectedFinished(failure) }
        }
        if !isTaken { self.perform(self.lifecycle.disconnectedFinished()) }
    }

    private func connectedFinished(_ failure: HubFailure?) {
        if let failure { self.note(failure, "the connected event failed") }
        self.perform(
            self.lifecycle.connectedFinished(failure: failure.map { $0.message }, now: self.loop.eventLoop.now))
        self.workFinished()
    }

    private func callFinished(_ id: String?, method: String, _ outcome: InvocationOutcome) {
        let isDetailed = self.runtime.configuration.detailedErrors
        let result: CoreResult
        switch outcome {
        case .void: result = .value(.json(.null))
        case .value(let value): result = .value(.json(value))
        case .failed(let failure):
            self.note(failure, "a call failed")
            result = .error(failure.coreText(method: method, detailed: isDetailed))
        }
        if let id { self.complete(id, result) }
    }

    private func disconnectedFinished(_ failure: HubFailure?) {
        if let failure { self.note(failure, "the disconnected event did not run") }
        self.perform(self.lifecycle.disconnectedFinished())
    }

    private func workFinished() {
        guard !self.isForced else { return }
        if let next = self.work.finished() { self.start(next) }
        self.resume()
    }

    private func note(_ failure: HubFailure, _ what: Logger.Message) {
        self.runtime.services.note(failure, what, connection: self.context.id, hub: self.hub.name)
    }
}
