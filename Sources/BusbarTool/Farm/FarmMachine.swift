#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A farm as a value: what each node is doing, and what to do about it. It holds no process and no clock.
///
/// A node that has served and ends by itself is started again, after a pause that doubles with each end that follows
/// soon. One that ends before it ever served ends the farm: its configuration is at fault, and starting it again would
/// not help.
package struct FarmMachine {
    package struct Policy: Hashable {
        /// How long a node may take from a request to stop until it is killed. A server's own drain takes up to ten
        /// seconds.
        package var stopLimit = Duration.seconds(15)
        package var firstPause = Duration.seconds(1)
        package var longestPause = Duration.seconds(30)
        /// A second request to stop kills, but not so soon: one Ctrl-C may arrive twice.
        package var patience = Duration.seconds(1)
        /// A node that served this long is taken for healthy again.
        package var healthyAfter = Duration.seconds(60)

        package init() {}
    }

    /// How a process ended.
    package enum Ending: Hashable {
        case exited(status: Int32)
        case signalled(Int32)

        /// Of a node that was asked to stop. One that doesn't serve yet may not heed the signal yet either, and has nobody to take
        /// leave of.
        func isClean(served: Bool) -> Bool { self == .exited(status: 0) || (!served && self == .signalled(SIGTERM)) }
    }

    package enum Event: Hashable {
        case started
        case nodeListens(Int)
        case nodeEnded(Int, Ending)
        case nodeFailedToStart(Int, reason: String)
        case stopRequested
        /// Time has passed; comes a few times a second.
        case ticked
    }

    package enum Effect: Hashable {
        case start(Int)
        /// Ask it to stop.
        case terminate(Int)
        case kill(Int)
        case announceServing
        case announceRestart(Int, Ending, after: Duration)
        case announceKill(Int)
        /// The last effect.
        case end(Outcome)
    }

    package enum Outcome: Hashable {
        case stopped
        /// A node ended before it served.
        case nodeNeverServed(Int, Ending)
        case nodeFailedToStart(Int, reason: String)
        /// These nodes had to be killed, or reported a failure, when the farm was stopped.
        case stoppedUncleanly([Int])
    }

    private enum Node: Hashable {
        case starting(isFirst: Bool)
        case serving(since: Duration)
        case pausing(until: Duration)
        case stopping(until: Duration?, served: Bool)
        case ended
    }

    private let policy: Policy
    private var nodes: [Node]
    private var pauses: [Duration]
    private var hasServed = false
    private var outcome: Outcome?
    private var stoppingSince: Duration?
    private var unclean: [Int] = []

    package init(nodes: Int, policy: Policy = Policy()) {
        self.policy = policy
        self.nodes = Array(repeating: .starting(isFirst: true), count: nodes)
        self.pauses = Array(repeating: policy.firstPause, count: nodes)
    }

    /// - Parameter now: time since the farm began.
    package mutating func handle(_ event: Event, at now: Duration) -> [Effect] {
        switch event {
        case .started: return self.nodes.indices.map { .start($0) }
        case .nodeListens(let node): return self.nodeListens(node, at: now)
        case .nodeEnded(let node, let ending): return self.nodeEnded(node, ending, at: now)
        case .nodeFailedToStart(let node, let reason):
            self.nodes[node] = .ended
            return self.stop(.nodeFailedToStart(node, reason: reason), at: now)
        case .stopRequested:
            if let since = self.stoppingSince { return now - since < self.policy.patience ? [] : self.killAll() }
            return self.stop(.stopped, at: now)
        case .ticked: return self.ticked(at: now)
        }
    }

    private mutating func nodeListens(_ node: Int, at now: Duration) -> [Effect] {
        guard case .starting = self.nodes[node] else { return [] }
        self.nodes[node] = .serving(since: now)
        let allServe = self.nodes.allSatisfy { if case .serving = $0 { true } else { false } }
        guard allServe, !self.hasServed else { return [] }
        self.hasServed = true
        return [.announceServing]
    }

    private mutating func nodeEnded(_ node: Int, _ ending: Ending, at now: Duration) -> [Effect] {
        switch self.nodes[node] {
        case .starting(isFirst: true):
            self.nodes[node] = .ended
            return self.stop(.nodeNeverServed(node, ending), at: now)
        case .starting(isFirst: false): return self.pause(node, ending, at: now)
        case .serving(let since):
            if now - since >= self.policy.healthyAfter { self.pauses[node] = self.policy.firstPause }
            return self.pause(node, ending, at: now)
        case .stopping(_, let served):
            self.nodes[node] = .ended
            if !ending.isClean(served: served) { self.unclean.append(node) }
            return self.endIfAllEnded()
        case .pausing, .ended: return []
        }
    }

    private mutating func pause(_ node: Int, _ ending: Ending, at now: Duration) -> [Effect] {
        let pause = self.pauses[node]
        self.pauses[node] = min(pause * 2, self.policy.longestPause)
        self.nodes[node] = .pausing(until: now + pause)
        return [.announceRestart(node, ending, after: pause)]
    }

    private mutating func stop(_ outcome: Outcome, at now: Duration) -> [Effect] {
        if self.outcome == nil { (self.outcome, self.stoppingSince) = (outcome, now) }
        var effects: [Effect] = []
        for (node, state) in self.nodes.enumerated() {
            switch state {
            case .starting, .serving:
                let served = if case .serving = state { true } else { false }
                self.nodes[node] = .stopping(until: now + self.policy.stopLimit, served: served)
                effects.append(.terminate(node))
            case .pausing: self.nodes[node] = .ended
            case .stopping, .ended: break
            }
        }
        return effects + self.endIfAllEnded()
    }

    private mutating func killAll() -> [Effect] {
        var effects: [Effect] = []
        for (node, state) in self.nodes.enumerated() {
            guard case .stopping(until: .some, let served) = state else { continue }
            self.nodes[node] = .stopping(until: nil, served: served)
            effects += [.announceKill(node), .kill(node)]
        }
        return effects
    }

    private mutating func ticked(at now: Duration) -> [Effect] {
        var effects: [Effect] = []
        for (node, state) in self.nodes.enumerated() {
            switch state {
            case .pausing(let until) where until <= now:
                self.nodes[node] = .starting(isFirst: false)
                effects.append(.start(node))
            case .stopping(let until?, let served) where until <= now:
                self.nodes[node] = .stopping(until: nil, served: served)
                effects += [.announceKill(node), .kill(node)]
            default: break
            }
        }
        return effects
    }

    private func endIfAllEnded() -> [Effect] {
        guard let outcome = self.outcome, self.nodes.allSatisfy({ $0 == .ended }) else { return [] }
        if outcome == .stopped, !self.unclean.isEmpty { return [.end(.stoppedUncleanly(self.unclean.sorted()))] }
        return [.end(outcome)]
    }
}
