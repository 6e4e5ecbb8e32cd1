import Busbar
import Logging
import Metrics
import NIOCore
import Synchronization

/// This node among the others: shows that it lives, knows who else does, asks them and answers them.
///
/// All decisions are ``Membership``'s and ``RequestTable``'s. Records of other nodes come in through the tap, in the
/// log's order; nothing is called out under the lock.
final class NodeExchange: Sendable {
    typealias Outcome = Result<NodeAnswer?, HubSendError>

    /// Where the outcome of a request is put.
    enum Slot {
        case expected
        case awaited(CheckedContinuation<Outcome, Never>)
        case decided(Outcome)
    }

    struct State {
        var membership: Membership
        var requests: RequestTable<NodeAnswer>
        var slots: [UInt64: Slot] = [:]
        /// Where each request was published: what is asked about it comes after it there.
        var topics: [UInt64: Topic] = [:]
        /// Requests of others that are under way here.
        var serving: Set<RequestKey> = []
        /// Group changes that event loops have yet to come past, and how many of them.
        var passages: [RequestKey: Int] = [:]
        var outbox = NodeOutbox()
        var isOver = false
    }

    /// What is to be done once the lock is released.
    struct Aftermath {
        var sign: NodeSign?
        var resumptions: [(CheckedContinuation<Outcome, Never>, Outcome)] = []
        var notices: [Membership.Effect] = []
        var hasMail = false
    }

    typealias Handler = @Sendable (NodeRequest) async -> NodeAnswer

    /// Requests of others that are served at a time.
    static let servingLimit = 4_096
    /// How often deadlines are looked at.
    private static let tickInterval = Duration.milliseconds(100)

    let bus: Bus
    let connections: LocalConnections
    let mailbox: WorkMailbox
    /// The tag of ids of connections that begin here.
    let tag: NodeTag
    /// Where others send what is for this node.
    let topic: Topic
    let logger: Logger
    let handler = Mutex<Handler?>(nil)
    private let metrics = NodeMetrics()
    private let state: Mutex<State>
    private let signs = Mailbox<NodeSign>()
    private let mail = Mailbox<Void>()

    init(bus: Bus, name: String, connections: LocalConnections, mailbox: WorkMailbox, logger: Logger) {
        let id = NodeID.generate()
        let name = name.isEmpty ? String(id.process, radix: 36) : name
        self.bus = bus
        self.connections = connections
        self.mailbox = mailbox
        self.tag = id.tag
        self.topic = HubTopics.node(id.process)
        self.logger = logger
        self.state = Mutex(
            State(membership: Membership(id: id, name: name), requests: RequestTable(own: id)))
    }

    /// Who is alive, this node first.
    var members: [Membership.Member] { self.state.withLock { $0.membership.members } }

    /// Whether every living node is known.
    var isSettled: Bool { self.state.withLock { $0.membership.isSettled } }

    var now: Moment { self.bus.time.clock.now() }

    // MARK: Life

    /// Shows signs of life, serves requests and answers them until cancelled. To be run once.
    func run(serving handler: @escaping Handler) async {
        self.handler.withLock { $0 = handler }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.runTicker() }
            group.addTask { await self.runSigns() }
            await self.runOutbox()
            group.cancelAll()
        }
        self.handler.withLock { $0 = nil }
        self.close()
    }

    /// Tells the others that this node ends; nothing is served from here on.
    func leave() {
        self.change { state, after in
            for case .send(let sign) in state.membership.leave() {
                _ = state.outbox.send(NodeRecord.sign(sign).encoded(), to: HubTopics.nodes)
                after.hasMail = true
            }
        }
    }

    /// Whether something waits to be sent.
    var hasMail: Bool { self.state.withLock { !$0.outbox.isEmpty } }

    private func close() {
        self.change { state, after in
            state.isOver = true
            self.apply(state.requests.close(), &state, &after)
        }
    }

    private func runTicker() async {
        while !Task.isCancelled {
            self.change { state, after in
                let now = self.now
                self.apply(state.membership.tick(now: now, jitter: .random(in: 0...1)), &state, &after)
                self.apply(state.requests.expire(now: now), &state, &after)
            }
            do { try await self.bus.time.clock.sleep(for: Self.tickInterval) } catch { return }
        }
    }

    private func runSigns() async {
        while let sign = await self.signs.next() {
            let succeeded = await self.send(sign)
            self.change { state, _ in
                let now = self.now
                state.membership.signSent(sign, succeeded: succeeded, now: now, jitter: .random(in: 0...1))
            }
        }
    }

    private func send(_ sign: NodeSign) async -> Bool {
        // Why not while the link is away: a sign that only this node hears would make the others seem silent.
        guard self.bus.isLive(for: HubTopics.nodes) else { return false }
        do throws(BusError) {
            try await self.bus.publishUnthrottled(NodeRecord.sign(sign).encoded(), to: HubTopics.nodes)
            return true
        } catch {
            return false
        }
    }

    private func runOutbox() async {
        while await self.mail.next() != nil {
            let records = self.state.withLock { $0.outbox.take(from: $0.membership.own.id) }
            for record in records { await self.send(record.bytes, to: record.topic) }
        }
    }

    /// Sends until it succeeds, is refused for good, or the task is cancelled.
    private func send(_ record: ByteBuffer, to topic: Topic) async {
        while !Task.isCancelled {
            do throws(BusError) {
                return try await self.bus.publishUnthrottled(record, to: topic)
            } catch {
                guard error.isWorthRetrying || error.code == .outcomeUnknown else {
                    return self.logger.debug("an answer to a node is lost", metadata: ["error": "\(error)"])
                }
            }
            do { try await self.bus.time.clock.sleep(for: Self.tickInterval) } catch { return }
        }
    }

    // MARK: Changes

    /// Changes the state and does afterwards what that calls for.
    @discardableResult
    func change<R>(_ body: (inout State, inout Aftermath) -> R) -> R {
        let (result, after) = self.state.withLock { state in
            var after = Aftermath()
            let result = body(&state, &after)
            return (result, after)
        }
        if let sign = after.sign { self.signs.put(sign) }
        if after.hasMail { self.mail.put(()) }
        for (continuation, outcome) in after.resumptions { continuation.resume(returning: outcome) }
        for notice in after.notices { self.report(notice) }
        return result
    }

    func apply(_ effects: [Membership.Effect], _ state: inout State, _ after: inout Aftermath) {
        for effect in effects {
            switch effect {
            case .send(let sign): after.sign = sign
            case .joined(let member): state.requests.joined(member.id)
            case .departed(let member, _): self.apply(state.requests.departed(member.id), &state, &after)
            case .settled: self.apply(state.requests.settled(), &state, &after)
            case .unsettled: state.requests.unsettled()
            }
            after.notices.append(effect)
        }
    }

    func apply(_ effects: [RequestTable<NodeAnswer>.Effect], _ state: inout State, _ after: inout Aftermath) {
        for effect in effects {
            switch effect {
            case .finish(let number, let outcome):
                self.decide(number, Self.outcome(outcome), &state, &after)
            case .callRoll(let number):
                guard let topic = state.topics[number] else { continue }
                let key = RequestKey(node: state.membership.own.id, number: number)
                _ = state.outbox.send(NodeRecord.rollCall(key).encoded(), to: topic)
                after.hasMail = true
            }
        }
    }

    func decide(_ number: UInt64, _ outcome: Outcome, _ state: inout State, _ after: inout Aftermath) {
        state.topics[number] = nil
        switch state.slots[number] {
        case .awaited(let continuation):
            state.slots[number] = nil
            after.resumptions.append((continuation, outcome))
        case .expected: state.slots[number] = .decided(outcome)
        case .decided, nil: break
        }
    }

    private static func outcome(_ outcome: RequestTable<NodeAnswer>.Outcome) -> Outcome {
        switch outcome {
        case .answered(let answer): .success(answer)
        case .nobody: .success(nil)
        case .nodeGone:
            .failure(HubSendError(.nodeGone, "the node of the connection is gone; whether it did anything is unknown"))
        case .timedOut: .failure(HubSendError(.timedOut, "the node of the connection did not answer in time"))
        case .stopped: .failure(HubSendError(.stopped, "the hubs of this node have stopped"))
        case .full: .failure(HubSendError(.overloaded, "too many requests to other nodes wait for an answer"))
        }
    }

    private func report(_ notice: Membership.Effect) {
        switch notice {
        case .joined(let member):
            self.logger.info("a node has joined", metadata: ["node": "\(member.name)", "id": "\(member.id)"])
        case .departed(let member, let why):
            let level: Logger.Level = why == .silent ? .warning : .info
            self.logger.log(
                level: level, "a node is gone",
                metadata: ["node": "\(member.name)", "id": "\(member.id)", "why": "\(why.rawValue)"])
            self.metrics.departed(why)
        case .unsettled:
            self.logger.warning("this node has slept, and others may have given it up")
        case .settled:
            self.logger.info("all nodes are known", metadata: ["nodes": "\(self.members.count)"])
        case .send: return
        }
        self.metrics.alive.record(self.members.count)
    }
}

/// What a node counts of the others.
private struct NodeMetrics: Sendable {
    /// Nodes that are alive, this one included.
    let alive = Gauge(label: "busbar_nodes")
    private let left = Self.departures(.left)
    private let silent = Self.departures(.silent)
    private let restarted = Self.departures(.restarted)

    func departed(_ why: Membership.Departure) {
        switch why {
        case .left: self.left.increment()
        case .silent: self.silent.increment()
        case .restarted: self.restarted.increment()
        }
    }

    private static func departures(_ why: Membership.Departure) -> Counter {
        Counter(label: "busbar_node_departures_total", dimensions: [("why", why.rawValue)])
    }
}
