/// What a node tells all others about itself.
package struct NodeSign: Hashable, Sendable {
    package enum Kind: UInt8, Sendable {
        /// A life begins: whoever hears it shows itself soon.
        case hello = 1
        case heartbeat
        /// A life ends as it should.
        case farewell
    }

    package let node: NodeID
    package let kind: Kind
    /// What people call the node.
    package let name: String

    package init(node: NodeID, kind: Kind, name: String) {
        self.node = node
        self.kind = kind
        self.name = name
    }
}

/// Which nodes of the app are alive, as one of them sees it. Decides and does nothing.
///
/// Silence is counted in this node's own heartbeats: a member is given up when several of them came back through the
/// log and nothing of the member lay between. So nobody is given up because the broker was away, because this node
/// slept, or because it reads late, and no clocks of two nodes are compared.
package struct Membership: Sendable {
    package struct Settings: Hashable, Sendable {
        /// Between two heartbeats, give or take a tenth. With more than fifty nodes it grows with their number, so that
        /// all of them together send at most fifty in that time.
        package var heartbeatInterval: Duration = .seconds(1)
        /// Own heartbeats that come back before a member that says nothing is given up; at least 3.
        package var silenceLimit = 5
        /// Members beyond are not known: nothing is asked of them.
        package var memberLimit = 1_024
        /// Nodes that are remembered as gone.
        package var departedLimit = 256

        package init() {}

        /// How long a node may take to show itself to another one that says hello.
        var answerLimit: Duration { self.heartbeatInterval / 4 }

        /// A pause of this node after which others may have given it up.
        var pauseLimit: Duration { self.heartbeatInterval * max(1, self.silenceLimit - 2) }
    }

    package struct Member: Hashable, Sendable {
        package let id: NodeID
        package var name: String

        package init(id: NodeID, name: String) {
            self.id = id
            self.name = name
        }
    }

    package enum Departure: String, Hashable, Sendable {
        /// It said so.
        case left
        /// Nothing is heard of it any more.
        case silent
        /// It has begun a new life: it had slept.
        case restarted
    }

    package enum Effect: Hashable, Sendable {
        case send(NodeSign)
        case joined(Member)
        case departed(Member, Departure)
        /// Every node that lives is a member, or will say hello.
        case settled
        /// This node has slept; what it knows of others may be old.
        case unsettled
    }

    private enum Standing: Sendable {
        case idle
        case arriving
        case settled
        case gone
    }

    private struct Neighbour: Sendable {
        var member: Member
        var silence = 0
    }

    private let settings: Settings
    package private(set) var own: Member
    private var standing = Standing.idle
    private var others: [UInt64: Neighbour] = [:]
    private var departed: [(id: NodeID, why: Departure)] = []
    private var isSending = false
    private var isHelloDue = true
    private var nextSign = Moment(nanoseconds: .min)
    private var lastTick: Moment?
    /// This life's own signs: how many were sent and how many have come back.
    private var sentSigns = 0
    private var returnedSigns = 0
    /// When the first of them came back.
    private var introducedAt: Moment?
    /// The one behind which everybody who heard the hello has answered, by its number.
    private var settlingSign: Int?
    /// Whether this life goes on after a pause and its hello has not come back yet.
    private var isReturning = false

    package init(id: NodeID, name: String, settings: Settings = .init()) {
        self.settings = settings
        self.own = Member(id: id, name: name)
    }

    /// Everybody who is alive, this node first, the others by name.
    package var members: [Member] {
        [self.own] + self.others.values.map(\.member).sorted { ($0.name, $0.id.process) < ($1.name, $1.id.process) }
    }

    package var isSettled: Bool {
        if case .settled = self.standing { true } else { false }
    }

    /// Whether requests that are read from the log now are meant for this life. After a pause, those before this node's
    /// new hello were given up by whoever made them; after the farewell all are.
    package var takesRequests: Bool { !self.isReturning && !self.isGone }

    /// Whether a sign of this life has come back: what others read from the log later finds this node known.
    package var isIntroduced: Bool {
        switch self.standing {
        case .arriving: self.introducedAt != nil
        case .settled: true
        case .idle, .gone: false
        }
    }

    private var isGone: Bool {
        if case .gone = self.standing { true } else { false }
    }

    /// The living node that issued ids with this tag.
    package func member(tagged tag: NodeTag) -> NodeID? {
        if self.own.id.tag == tag { return self.own.id }
        return self.others.values.first { $0.member.id.tag == tag }?.member.id
    }

    /// Whether a node with this tag is known to be gone.
    package func isDeparted(_ tag: NodeTag) -> Bool { self.departed.contains { $0.id.tag == tag } }
}

// MARK: - Own life

extension Membership {
    /// - Parameter jitter: a random number from 0 to 1.
    package mutating func tick(now: Moment, jitter: Double) -> [Effect] {
        var effects = self.wake(now: now)
        self.lastTick = now
        switch self.standing {
        case .gone: return effects
        case .idle: self.standing = .arriving
        case .arriving, .settled: break
        }
        guard !self.isSending, self.nextSign <= now else { return effects }
        self.isSending = true
        self.sentSigns += 1
        // Why not the very next one: it may answer another node's hello, and be earlier than the answers to ours.
        if self.settlingSign == nil, let introducedAt, introducedAt + self.settings.answerLimit * 2 <= now {
            self.settlingSign = self.sentSigns
        }
        effects.append(.send(self.sign(self.isHelloDue ? .hello : .heartbeat)))
        return effects
    }

    /// Finds out whether this node has slept. Asked at every tick, and before a request is served: what waited in the
    /// socket meanwhile may be read before the first tick.
    package mutating func wake(now: Moment) -> [Effect] {
        guard let last = self.lastTick, last + self.settings.pauseLimit < now else { return [] }
        self.lastTick = now
        if case .idle = self.standing { return [] }
        if self.isGone { return [] }
        let former = self.own
        self.own = Member(id: former.id.next, name: former.name)
        self.standing = .arriving
        (self.sentSigns, self.returnedSigns, self.introducedAt, self.settlingSign) = (0, 0, nil, nil)
        self.isReturning = true
        self.isHelloDue = true
        self.nextSign = now
        return [.unsettled, .departed(former, .restarted), .joined(self.own)]
    }

    /// Signs can be sent again: what could not be sent before need not wait for its next turn.
    package mutating func linkIsLive(now: Moment) {
        self.nextSign = min(self.nextSign, now)
    }

    /// The broker has taken the sign, or it could not be sent.
    package mutating func signSent(_ sign: NodeSign, succeeded: Bool, now: Moment, jitter: Double) {
        self.isSending = false
        guard sign.node == self.own.id else { return }
        guard succeeded else {
            if self.settlingSign == self.sentSigns { self.settlingSign = nil }
            self.sentSigns -= 1
            self.nextSign = now + self.settings.heartbeatInterval / 4
            return
        }
        self.isHelloDue = false
        let crowd = max(1, Double(self.others.count + 1) / 50)
        self.nextSign = now + self.settings.heartbeatInterval * (crowd * (0.9 + 0.2 * jitter))
    }

    /// This node ends. Nothing is sent after the farewell.
    package mutating func leave() -> [Effect] {
        if self.isGone { return [] }
        self.standing = .gone
        return [.send(self.sign(.farewell))]
    }

    private func sign(_ kind: NodeSign.Kind) -> NodeSign {
        NodeSign(node: self.own.id, kind: kind, name: self.own.name)
    }
}

// MARK: - Others

extension Membership {
    /// A sign was read from the log. Signs are shown in the log's order, also this node's own.
    package mutating func heard(_ sign: NodeSign, now: Moment, jitter: Double) -> [Effect] {
        if sign.node.process == self.own.id.process {
            return sign.node == self.own.id ? self.cameBack(sign, now: now) : []
        }
        switch sign.kind {
        case .farewell:
            guard let known = self.others[sign.node.process], known.member.id == sign.node else { return [] }
            return [self.depart(known.member, .left)]
        case .hello:
            // Why not at once: many nodes may hear it, and one sign serves several that arrive together.
            self.nextSign = min(self.nextSign, now + self.settings.answerLimit * jitter)
            return self.isAlive(sign)
        case .heartbeat:
            return self.isAlive(sign)
        }
    }

    private mutating func isAlive(_ sign: NodeSign) -> [Effect] {
        let member = Member(id: sign.node, name: sign.name)
        guard let known = self.others[sign.node.process]?.member else {
            // Why: a heartbeat may have been on its way when the farewell was sent.
            let hasLeft = self.departed.contains { $0.id == sign.node && $0.why == .left }
            guard !hasLeft, self.others.count + 1 < self.settings.memberLimit else { return [] }
            self.departed.removeAll { $0.id.tag == sign.node.tag }
            self.others[sign.node.process] = Neighbour(member: member)
            return [.joined(member)]
        }
        guard sign.node.incarnation >= known.id.incarnation else { return [] }
        self.others[sign.node.process] = Neighbour(member: member)
        return known.id == sign.node ? [] : [.departed(known, .restarted), .joined(member)]
    }

    private mutating func cameBack(_ returned: NodeSign, now: Moment) -> [Effect] {
        var effects: [Effect] = []
        self.returnedSigns += 1
        self.introducedAt = self.introducedAt ?? now
        if returned.kind == .hello { self.isReturning = false }
        for process in self.others.keys.sorted() {
            guard var neighbour = self.others[process] else { continue }
            neighbour.silence += 1
            if neighbour.silence > self.settings.silenceLimit {
                effects.append(self.depart(neighbour.member, .silent))
            } else {
                self.others[process] = neighbour
            }
        }
        guard case .arriving = self.standing, let sign = self.settlingSign, sign <= self.returnedSigns else {
            return effects
        }
        self.standing = .settled
        effects.append(.settled)
        return effects
    }

    private mutating func depart(_ member: Member, _ departure: Departure) -> Effect {
        self.others[member.id.process] = nil
        self.departed.append((member.id, departure))
        if self.departed.count > self.settings.departedLimit { self.departed.removeFirst() }
        return .departed(member, departure)
    }
}
