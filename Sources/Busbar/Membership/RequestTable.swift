/// A request of one node to another: who asks, and which of its requests it is. Never used twice.
package struct RequestKey: Hashable, Sendable {
    package let node: NodeID
    package let number: UInt64

    package init(node: NodeID, number: UInt64) {
        self.node = node
        self.number = number
    }
}

/// Who has to say so if a request is not for it; whoever it is for answers in any case.
package enum AnswerDuty: Hashable, Sendable {
    /// The request is for this node and nobody else.
    case only(NodeID)
    /// The id names this node. The others keep quiet.
    case named(NodeID)
    case everyone

    /// Whether `node` has to answer even if the request is not for it.
    package func binds(_ node: NodeID) -> Bool {
        switch self {
        case .only(let bound), .named(let bound): bound == node
        case .everyone: true
        }
    }
}

/// The requests of this node that wait for an answer. Decides and does nothing.
///
/// A request about a connection is for whichever node has that. The node that the connection's id names must say if it
/// hasn't; when it doesn't have it, or dies, all members are asked, and when none of them has it, nobody does. Each ends
/// once: answered, refused to exist, when its node dies, or at its deadline.
package struct RequestTable<Answer: Hashable & Sendable>: Sendable {
    package typealias Number = UInt64

    package enum Target: Hashable, Sendable {
        case node(NodeID)
        /// Whoever has it; the hint is the node that its id names, if that is known to live.
        case owner(hint: NodeID?)
    }

    package enum Outcome: Hashable, Sendable {
        case answered(Answer)
        /// No living node has what the request is about.
        case nobody
        /// None had it where the request lies in the log, but one of them has it, or is about to: it may be asked again.
        case coming
        /// The node that was asked, or may have been the one, is gone. Whether it did anything is unknown.
        case nodeGone
        case timedOut
        /// This node stops.
        case stopped
        /// As many requests wait as may.
        case full
    }

    package enum Effect: Hashable, Sendable {
        case finish(Number, Outcome)
        /// Ask everybody whether they have it: in the request's topic, so that it comes after the request.
        case callRoll(Number)
    }

    private enum Phase: Hashable, Sendable {
        case asking(NodeID)
        case named(NodeID)
        /// Until it is known who the members are.
        case gathering
        case everyone(Set<NodeID>)
        /// None of the members has it; who may be about to say hello has it, if anybody.
        case lingering
    }

    private struct Request: Sendable {
        var phase: Phase
        let deadline: Moment
        let patientUntil: Moment?
        var hasLost = false
        var isComing = false
    }

    private let limit: Int
    private var members: Set<NodeID>
    private var isSettled = false
    private var isClosed = false
    private var requests: [Number: Request] = [:]
    private var last: Number = 0

    /// - Parameter limit: requests that may wait at a time.
    package init(own: NodeID, limit: Int = 65_536) {
        self.members = [own]
        self.limit = limit
    }

    package var count: Int { self.requests.count }

    // MARK: Asking

    /// - Parameter patientUntil: before then nobody is not believed to have it, since its id names a node that this one has
    ///   not heard of: perhaps one that has just started.
    /// - Returns: the request's number, and who has to answer; nil if it has ended at once.
    package mutating func begin(
        _ target: Target, deadline: Moment, patientUntil: Moment? = nil
    ) -> (number: Number, duty: AnswerDuty?, effects: [Effect]) {
        self.last += 1
        let number = self.last
        func ended(_ outcome: Outcome) -> (Number, AnswerDuty?, [Effect]) { (number, nil, [.finish(number, outcome)]) }
        guard !self.isClosed else { return ended(.stopped) }
        guard self.requests.count < self.limit else { return ended(.full) }
        let phase: Phase
        let duty: AnswerDuty
        switch target {
        case .node(let node):
            guard self.members.contains(node) else { return ended(.nodeGone) }
            (phase, duty) = (.asking(node), .only(node))
        case .owner(let hint?) where self.members.contains(hint):
            (phase, duty) = (.named(hint), .named(hint))
        case .owner:
            (phase, duty) = (self.isSettled ? .everyone(self.members) : .gathering, .everyone)
        }
        self.requests[number] = Request(phase: phase, deadline: deadline, patientUntil: patientUntil)
        return (number, duty, [])
    }

    /// The request was not sent, or nobody waits for it any more.
    package mutating func abandon(_ number: Number) {
        self.requests[number] = nil
    }

    // MARK: Answers

    /// An answer to a request that has ended is ignored: it is too late, or came twice.
    package mutating func answered(_ number: Number, _ answer: Answer) -> [Effect] {
        self.requests.removeValue(forKey: number) == nil ? [] : [.finish(number, .answered(answer))]
    }

    /// A node says that a request is not for it.
    /// - Parameter isComing: whether what it is about comes to the node, or has come there since.
    package mutating func declined(_ number: Number, by node: NodeID, isComing: Bool = false) -> [Effect] {
        guard let request = self.requests[number] else { return [] }
        if isComing { self.requests[number]?.isComing = true }
        switch request.phase {
        case .asking(node):
            self.requests[number] = nil
            return [.finish(number, .nobody)]
        case .named(node): return self.askEveryone(number, but: node)
        case .everyone(var rest):
            rest.remove(node)
            return self.wait(for: rest, number)
        case .asking, .named, .gathering, .lingering: return []
        }
    }

    // MARK: Members

    package mutating func joined(_ node: NodeID) {
        self.members.insert(node)
    }

    package mutating func departed(_ node: NodeID) -> [Effect] {
        self.members.remove(node)
        var effects: [Effect] = []
        for number in self.requests.keys.sorted() {
            switch self.requests[number]?.phase {
            case .asking(node):
                self.requests[number] = nil
                effects.append(.finish(number, .nodeGone))
            case .named(node):
                self.requests[number]?.hasLost = true
                effects += self.askEveryone(number, but: node)
            case .everyone(var rest):
                guard rest.remove(node) != nil else { continue }
                self.requests[number]?.hasLost = true
                effects += self.wait(for: rest, number)
            case .asking, .named, .gathering, .lingering, nil: continue
            }
        }
        return effects
    }

    package mutating func settled() -> [Effect] {
        self.isSettled = true
        var effects: [Effect] = []
        for number in self.requests.keys.sorted() where self.requests[number]?.phase == .gathering {
            self.requests[number]?.phase = .everyone(self.members)
            effects.append(.callRoll(number))
        }
        return effects
    }

    package mutating func unsettled() {
        self.isSettled = false
        for (number, request) in self.requests {
            if case .everyone = request.phase { self.requests[number]?.phase = .gathering }
        }
    }

    // MARK: Ends

    package mutating func expire(now: Moment) -> [Effect] {
        let over = self.requests.filter { $0.value.deadline <= now }.keys.sorted()
        for number in over { self.requests[number] = nil }
        let given = self.requests.filter {
            $0.value.phase == .lingering && $0.value.patientUntil.map { $0 <= now } ?? true
        }
        for number in given.keys { self.requests[number] = nil }
        return over.map { .finish($0, .timedOut) }
            + given.sorted { $0.key < $1.key }.map { .finish($0.key, Self.nobody($0.value)) }
    }

    private static func nobody(_ request: Request) -> Outcome {
        request.hasLost ? .nodeGone : request.isComing ? .coming : .nobody
    }

    /// Nothing comes any more.
    package mutating func close() -> [Effect] {
        self.isClosed = true
        defer { self.requests = [:] }
        return self.requests.keys.sorted().map { .finish($0, .stopped) }
    }

    private mutating func askEveryone(_ number: Number, but node: NodeID) -> [Effect] {
        guard self.isSettled else {
            self.requests[number]?.phase = .gathering
            return []
        }
        let rest = self.members.subtracting([node])
        guard !rest.isEmpty else { return self.wait(for: rest, number) }
        return self.wait(for: rest, number) + [.callRoll(number)]
    }

    private mutating func wait(for rest: Set<NodeID>, _ number: Number) -> [Effect] {
        guard rest.isEmpty else {
            self.requests[number]?.phase = .everyone(rest)
            return []
        }
        guard let request = self.requests[number] else { return [] }
        guard request.patientUntil == nil || request.isComing else {
            self.requests[number]?.phase = .lingering
            return []
        }
        self.requests[number] = nil
        return [.finish(number, Self.nobody(request))]
    }
}
