import Busbar
import Logging
import NIOCore
import Synchronization

/// Requests of others, and their answers to this node's.
extension NodeExchange {
    /// Takes what the tap brought, in the log's order. Callable from one thread at a time.
    func receive(_ record: NodeRecord) {
        switch record {
        case .sign(let sign):
            let isIntroduced = self.change { state, after in
                let now = self.now
                self.apply(state.membership.heard(sign, now: now, jitter: .random(in: 0...1)), &state, &after)
                return state.membership.isIntroduced
            }
            if isIntroduced { self.introduction.resumeAll() }
        case .request(let request):
            self.serve(request)
        case .rollCall(let key, let subject):
            self.change { state, after in
                let isTaken =
                    state.serving.contains(key) || state.passages[key] != nil || state.unanswered.contains(key)
                guard !isTaken, state.membership.takesRequests else { return }
                self.decline(key, isComing: self.connections.isHere(subject), &state, &after)
            }
        case .moved(let id, let node):
            self.connections.moved(
                id, isHere: self.change { state, _ in state.membership.own.id.process == node.process })
        case .began(let id, let node):
            self.connections.moved(
                id, isHere: self.change { state, _ in state.membership.own.id.process == node.process },
                isBeginning: true)
        case .ended(let id, let node):
            let isOwn = self.change { state, _ in state.membership.own.id.process == node.process }
            if !isOwn { self.connections.ended(id) }
        case .replies(let replies):
            self.change { state, after in
                guard replies.to.process == state.membership.own.id.process else { return }
                for entry in replies.entries {
                    switch entry.verdict {
                    case .declined, .coming:
                        let isComing = entry.verdict == .coming
                        self.apply(
                            state.requests.declined(entry.number, by: replies.from, isComing: isComing), &state, &after)
                    case .answer(let answer):
                        self.apply(state.requests.answered(entry.number, answer), &state, &after)
                    }
                }
            }
        }
    }

    private func serve(_ request: NodeRequest) {
        let key = request.key
        let isTaken = self.change { state, after -> Bool in
            self.apply(state.membership.wake(now: self.now), &state, &after)
            guard state.membership.takesRequests else { return false }
            if case .only(let node) = request.duty {
                guard node == state.membership.own.id else { return false }
            } else if !self.connections.owns(request.subject) {
                guard request.duty.binds(state.membership.own.id) else { return false }
                self.decline(key, isComing: self.connections.isHere(request.subject), &state, &after)
                return false
            }
            guard state.serving.count < Self.servingLimit else {
                let refusal = HubSendError(.overloaded, "the node serves as many requests of others as it can")
                self.answer(key, .refused(refusal), &state, &after)
                return false
            }
            return state.serving.insert(key).inserted
        }
        guard isTaken else { return }
        let handler = self.handler.withLock { $0 }
        let job = Work(context: nil) {
            let stopping = NodeAnswer.refused(HubSendError(.stopped, "the node stops"))
            self.served(key, await handler?(request) ?? stopping)
        }
        if !self.mailbox.submit(job) {
            self.served(key, .refused(HubSendError(.stopped, "the node stops")))
        }
    }

    private func served(_ key: RequestKey, _ answer: NodeAnswer) {
        self.change { state, after in
            state.serving.remove(key)
            self.answer(key, answer, &state, &after)
        }
    }

    private func decline(
        _ key: RequestKey, isComing: Bool = false, _ state: inout State, _ after: inout Aftermath
    ) {
        let own = state.membership.own.id
        if key.node.process == own.process {
            self.apply(state.requests.declined(key.number, by: own, isComing: isComing), &state, &after)
        } else {
            self.reply(isComing ? .coming : .declined, to: key, &state, &after)
        }
    }

    private func answer(_ key: RequestKey, _ answer: NodeAnswer, _ state: inout State, _ after: inout Aftermath) {
        var answer = answer
        if answer.bytes > NodeRecord.largestBodyBytes {
            answer = .refused(HubSendError(.tooLarge, "the answer is larger than a node may send"))
        }
        if key.node.process == state.membership.own.id.process {
            self.apply(state.requests.answered(key.number, answer), &state, &after)
        } else {
            self.reply(.answer(answer), to: key, &state, &after)
        }
    }

    private func reply(
        _ verdict: NodeReplies.Verdict, to key: RequestKey, _ state: inout State, _ after: inout Aftermath
    ) {
        after.hasMail = true
        if !state.outbox.reply(NodeReplies.Entry(number: key.number, verdict: verdict), to: key.node) {
            self.logger.debug("answers to other nodes fill their buffer; one is lost")
        }
    }
}

// MARK: - What event loops carry out

extension NodeExchange {
    /// A group change or a call of a client has been read from the log and goes to this many event loops.
    func passageBegan(_ requester: Requester, of connectionID: String, loops: Int) {
        self.change { state, after in
            if self.connections.isHere(connectionID) {
                state.passages[requester.key] = loops
            } else if requester.duty.binds(state.membership.own.id), state.membership.takesRequests {
                self.decline(requester.key, &state, &after)
            }
        }
    }

    /// Whether it waits for event loops: the connection was here when it was read.
    func isPassing(_ requester: Requester) -> Bool {
        self.state.withLock { $0.passages[requester.key] != nil }
    }

    /// An event loop has come past it.
    /// - Returns: whether it was the last one and the connection, which is on this node, was on none of them.
    func passed(_ requester: Requester, _ verdict: PassageVerdict) -> Bool {
        self.change { state, after in
            guard let loops = state.passages[requester.key] else { return false }
            switch verdict {
            case .notHere:
                state.passages[requester.key] = loops - 1
                return loops == 1
            case .done, .taken, .refused:
                self.end(requester, verdict, &state, &after)
                return false
            }
        }
    }

    /// The connection was looked for wherever it may be.
    func passageEnded(_ requester: Requester, _ verdict: PassageVerdict) {
        self.change { state, after in self.end(requester, verdict, &state, &after) }
    }

    /// A client has answered, or will not.
    func answered(_ key: RequestKey, _ answer: NodeAnswer) {
        self.change { state, after in
            guard state.unanswered.remove(key) != nil, state.membership.takesRequests else { return }
            self.answer(key, answer, &state, &after)
        }
    }

    private func end(_ requester: Requester, _ verdict: PassageVerdict, _ state: inout State, _ after: inout Aftermath)
    {
        guard state.passages.removeValue(forKey: requester.key) != nil, state.membership.takesRequests else { return }
        switch verdict {
        case .done: self.answer(requester.key, .done(ByteBuffer()), &state, &after)
        case .taken: state.unanswered.insert(requester.key)
        case .refused(let error): self.answer(requester.key, .refused(error), &state, &after)
        case .notHere:
            if requester.duty.binds(state.membership.own.id) { self.decline(requester.key, &state, &after) }
        }
    }
}

/// What became of a group change, or of a call of a client, on one event loop.
enum PassageVerdict: Hashable, Sendable {
    /// It holds now, or the connection doesn't hear the hub.
    case done
    /// The client is called; its answer is the request's.
    case taken
    case refused(HubSendError)
    /// The connection isn't on this loop.
    case notHere
}

extension PassageVerdict {
    /// The client is a classic one.
    static let noResults = Self.refused(
        HubSendError(.resultsUnsupported, "the connection is a classic one, and its protocol has no answers of clients")
    )
}

extension NodeAnswer {
    static func refused(_ error: HubSendError) -> Self { .refused(code: error.code.name, detail: error.detail) }

    /// The error that a refusal stands for.
    var refusal: HubSendError? {
        switch self {
        case .done: nil
        case .refused(let code, let detail): HubSendError(HubSendError.Code(code), detail)
        }
    }
}
