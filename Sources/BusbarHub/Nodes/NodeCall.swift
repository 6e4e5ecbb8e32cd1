package import Busbar
package import NIOCore

/// What nodes ask of each other: the kinds of ``NodeRequest``. A kind is never used for anything else, since nodes of two
/// releases may share a log.
enum NodeCall: UInt8, Sendable {
    /// Nothing but an answer.
    case ping = 1
    /// Requests of classic clients that arrived at a node which doesn't have their connection.
    case classicStart
    case classicAbort
    case classicSend
}

extension HubRuntime {
    /// Asks a node for nothing but an answer: whether requests get through to it and back.
    /// - Throws: ``HubSendError``, `nodeGone` at once if the node isn't alive or dies.
    package func ping(
        _ node: NodeID, body: ByteBuffer = ByteBuffer(), timeout: Duration = .seconds(10)
    ) async throws(HubSendError) -> Bool {
        let answer = try await self.services.nodes.ask(
            node, kind: NodeCall.ping.rawValue, body: body, timeout: timeout)
        return answer.map { $0.refusal == nil } ?? false
    }

    /// Serves a request of another node.
    func serve(_ request: NodeRequest) async -> NodeAnswer {
        guard let call = NodeCall(rawValue: request.kind) else {
            return .refused(code: "unknownKind", detail: "the node knows no requests of kind \(request.kind)")
        }
        return .done(await self.classic.serve(call, about: request.subject, request.body))
    }
}

extension NodeExchange {
    /// Says in the log that a connection lives here from that place on. False if the broker hasn't taken it.
    /// - Parameter isBeginning: whether it began here; that doesn't count where it has moved to meanwhile.
    func announceMove(of connectionID: String, isBeginning: Bool) async -> Bool {
        await self.announce(about: connectionID) { node in
            isBeginning
                ? .began(connectionID: connectionID, on: node) : .moved(connectionID: connectionID, to: node)
        }
    }

    /// Says in the log that the client of a connection has ended it here. False if the broker hasn't taken it.
    func announceEnd(of connectionID: String) async -> Bool {
        await self.announce(about: connectionID) { .ended(connectionID: connectionID, on: $0) }
    }

    private func announce(about connectionID: String, _ record: (NodeID) -> NodeRecord) async -> Bool {
        let own = self.change { state, _ in state.membership.own.id }
        do throws(BusError) {
            try await self.bus.publishUnthrottled(record(own).encoded(), to: HubTopics.owner(of: connectionID))
            return true
        } catch {
            return error.code == .outcomeUnknown
        }
    }
}
