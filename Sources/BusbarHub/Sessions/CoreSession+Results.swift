import Busbar
import BusbarProtocol
import NIOCore

/// Answers of a core client to calls of its methods.
extension CoreSession {
    func expectResult(of invocation: ClientInvocation, for key: RequestKey) -> PassageVerdict {
        guard self.lifecycle.takesMessages else { return .notHere }
        if invocation.isFromOwnCall, self.work.isFull { return .refused(Self.blocked) }
        guard !self.results.isFull else {
            return .refused(
                HubSendError(
                    .overloaded,
                    "\(self.results.limit) calls wait for an answer of the client, as many as core.clientResultLimit allows"
                ))
        }
        self.results.expect(
            ClientInvocation.id(for: key), for: key, isFromOwnCall: invocation.isFromOwnCall,
            until: self.loop.eventLoop.now + .milliseconds(Int64(invocation.timeoutMilliseconds)))
        return .taken
    }

    /// The client has answered. An id that nobody waits for is ignored: the answer came too late, or isn't one.
    func answered(_ id: String, _ result: CoreResult) {
        guard let key = self.results.answered(id) else { return }
        self.runtime.services.nodes.answered(key, .done(ClientAnswer(result).encoded()))
    }

    /// The queue is full, so that the client isn't read: what a call of its own waits for would never come.
    func refuseOwnResults() {
        self.refuse(self.results.removeOwn(), Self.blocked)
    }

    func expireResults(now: NIODeadline) {
        self.refuse(
            self.results.expire(now: now),
            HubSendError(.timedOut, "the client did not answer within the call's timeout"))
    }

    func abandonResults() {
        self.refuse(
            self.results.removeAll(), HubSendError(.disconnected, "Connection '\(self.context.id)' disconnected."))
    }

    private static let blocked = HubSendError(
        .blocked, "calls of the client fill their queue, and its answer would come behind them")

    private func refuse(_ keys: [RequestKey], _ error: HubSendError) {
        for key in keys { self.runtime.services.nodes.answered(key, .refused(error)) }
    }
}
