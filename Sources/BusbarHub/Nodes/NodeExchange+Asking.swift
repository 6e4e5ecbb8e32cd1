import Busbar
import NIOCore

/// Requests of this node.
extension NodeExchange {
    /// Asks whichever node has a connection to do something about it, at most once.
    ///
    /// Returns its answer, or nil if no node has the connection. Fails at once when the node that was asked dies, and
    /// when no node has the connection and the one that its id names is gone. Nil comes after three seconds when the id
    /// names a node that was not heard of: it may have just started. A connection that is on its way to a node is asked
    /// for again until it is there.
    /// - Parameters:
    ///   - topic: where the request is published; it is served in the order of that topic.
    ///   - isSpared: whether it is delivered to this node only, without the broker.
    ///   - record: makes the record that carries the request.
    /// - Throws: ``HubSendError`` `nodeGone`, `timedOut`, `overloaded`, `stopped`, `cancelled`, or what the bus refused
    ///   with.
    func askOwner(
        of connectionID: String, in topic: Topic, timeout: Duration, isSpared: Bool = false,
        _ record: (Requester) throws(HubSendError) -> ByteBuffer
    ) async throws(HubSendError) -> NodeAnswer? {
        let deadline = self.now + timeout
        while true {
            do throws(HubSendError) {
                return try await self.askOwnerOnce(
                    of: connectionID, in: topic, timeout: timeout, isSpared: isSpared, record)
            } catch {
                guard error.code == .moving else { throw error }
                guard self.now < deadline else {
                    throw HubSendError(.timedOut, "the connection moved from node to node and was found on none")
                }
            }
            do { try await self.bus.time.clock.sleep(for: Self.movePause) } catch { throw .cancelledMeanwhile }
        }
    }

    /// - Throws: also `moving`.
    private func askOwnerOnce(
        of connectionID: String, in topic: Topic, timeout: Duration, isSpared: Bool,
        _ record: (Requester) throws(HubSendError) -> ByteBuffer
    ) async throws(HubSendError) -> NodeAnswer? {
        let isHere = self.connections.isHere(connectionID)
        let tag = NodeTag(connectionID: connectionID)
        if !isHere { try self.checkReach(topic) }
        let answer = try await self.ask(
            in: topic, about: connectionID, timeout: timeout, isSpared: isSpared, record
        ) { state in
            if isHere { return (.owner(hint: state.membership.own.id), nil) }
            let hint = tag.flatMap { state.membership.member(tagged: $0) }
            let isStranger = tag.map { hint == nil && !state.membership.isDeparted($0) } ?? false
            return (.owner(hint: hint), isStranger ? Self.patience : nil)
        }
        if answer == nil, let tag, self.change({ state, _ in state.membership.isDeparted(tag) }) {
            throw HubSendError(.nodeGone, "the node of the connection is gone, and no other has it")
        }
        return answer
    }

    /// Asks whichever node has a connection; see ``askOwner(of:in:timeout:_:)``.
    /// - Throws: also `tooLarge` for a body beyond ``NodeRecord/largestBodyBytes``.
    func askOwner(
        of connectionID: String, kind: UInt8, body: ByteBuffer = ByteBuffer(), timeout: Duration
    ) async throws(HubSendError) -> NodeAnswer? {
        try Self.check(body)
        return try await self.askOwner(of: connectionID, in: HubTopics.owner(of: connectionID), timeout: timeout) {
            requester in
            Self.request(requester, kind: kind, subject: connectionID, body: body)
        }
    }

    /// Asks one node to do something, at most once. Fails at once if it isn't alive, or when it dies.
    /// - Throws: as ``askOwner(of:kind:body:timeout:)``.
    func ask(
        _ node: NodeID, kind: UInt8, body: ByteBuffer = ByteBuffer(), timeout: Duration
    ) async throws(HubSendError) -> NodeAnswer? {
        try Self.check(body)
        let topic = HubTopics.node(node.process)
        try self.checkReach(topic)
        return try await self.ask(
            in: topic, about: "", timeout: timeout, { Self.request($0, kind: kind, subject: "", body: body) },
            { _ in (.node(node), nil) })
    }

    /// How long a node that this one has not heard of may take to say hello before it counts as nobody.
    private static let patience = Duration.seconds(3)

    /// How long a connection that moves is given before it is asked for again.
    private static let movePause = Duration.milliseconds(5)

    private static func request(_ requester: Requester, kind: UInt8, subject: String, body: ByteBuffer) -> ByteBuffer {
        NodeRecord.request(
            NodeRequest(key: requester.key, duty: requester.duty, subject: subject, kind: kind, body: body)
        ).encoded()
    }

    private static func check(_ body: ByteBuffer) throws(HubSendError) {
        guard body.readableBytes > NodeRecord.largestBodyBytes else { return }
        throw HubSendError(
            .tooLarge,
            "a request to another node has \(body.readableBytes) bytes, at most \(NodeRecord.largestBodyBytes) are possible"
        )
    }

    /// Why: what is delivered to this node only, no other can answer.
    private func checkReach(_ topic: Topic) throws(HubSendError) {
        guard case .deliverLocally = self.bus.configuration.whileAway, !self.bus.isLive(for: topic) else { return }
        throw HubSendError(.notAccepted, "the broker is away, and the connection is not on this node")
    }

    private func ask(
        in topic: Topic, about subject: String, timeout: Duration, isSpared: Bool = false,
        _ record: (Requester) throws(HubSendError) -> ByteBuffer,
        _ target: (State) -> (RequestTable<NodeAnswer>.Target, patience: Duration?)
    ) async throws(HubSendError) -> NodeAnswer? {
        let now = self.now
        let (number, requester) = self.change { state, after -> (UInt64, Requester?) in
            let (target, patience) = target(state)
            let (number, duty, effects) = state.requests.begin(
                target, deadline: now + timeout, patientUntil: patience.map { now + $0 })
            state.slots[number] = .expected
            state.asked[number] = (topic, subject)
            self.apply(effects, &state, &after)
            let key = RequestKey(node: state.membership.own.id, number: number)
            return (number, duty.map { Requester(key: key, duty: $0) })
        }
        if let requester {
            do throws(HubSendError) {
                let bytes = try record(requester)
                if isSpared {
                    self.bus.deliverLocally(bytes, to: topic)
                } else {
                    try await self.publish(bytes, to: topic)
                }
            } catch {
                self.change { state, _ in
                    state.requests.abandon(number)
                    state.slots[number] = nil
                    state.asked[number] = nil
                }
                throw error
            }
        }
        return try await self.outcome(of: number).get()
    }

    private func publish(_ record: ByteBuffer, to topic: Topic) async throws(HubSendError) {
        do throws(BusError) {
            try await self.bus.publish(record, to: topic)
        } catch {
            throw HubSendError(error)
        }
    }

    /// Waits until the request has ended. Called once per request.
    private func outcome(of number: UInt64) async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decided = self.change { state, _ -> Outcome? in
                    if case .decided(let outcome) = state.slots[number] {
                        state.slots[number] = nil
                        return outcome
                    }
                    state.slots[number] = .awaited(continuation)
                    return nil
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            self.change { state, after in
                state.requests.abandon(number)
                self.decide(number, .failure(.cancelledMeanwhile), &state, &after)
            }
        }
    }
}

extension HubSendError {
    fileprivate static var cancelledMeanwhile: Self {
        Self(.cancelled, "the task was cancelled before the answer came")
    }
}
