import Busbar
import Logging
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
        var asked: [UInt64: (topic: Topic, subject: String)] = [:]
        /// Requests of others that are under way here.
        var serving: Set<RequestKey> = []
        /// Group changes and calls of clients that event loops have yet to come past, and how many of them.
        var passages: [RequestKey: Int] = [:]
        /// Calls that clients of this node have yet to answer; bounded by what each client may have.
        var unanswered: Set<RequestKey> = []
        var outbox = NodeOutbox()
        /// Whether what was taken from the outbox is being sent.
        var isSending = false
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

    let bus: Bus
    let connections: LocalConnections
    let mailbox: WorkMailbox
    /// The tag of ids of connections that begin here.
    let tag: NodeTag
    /// Where others send what is for this node.
    let topic: Topic
    let logger: Logger
    let handler = Mutex<Handler?>(nil)
    let metrics = NodeMetrics()
    let state: Mutex<State>
    let signs = Mailbox<NodeSign>()
    let mail = Mailbox<Void>()
    /// Who waits until this node's hello has come back.
    let introduction = WaitList()

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

    /// Whether there are other nodes, or may be since not all are known so far.
    var mayHaveOthers: Bool { self.state.withLock { $0.membership.members.count > 1 || !$0.membership.isSettled } }

    /// Whether every living node is known.
    var isSettled: Bool { self.state.withLock { $0.membership.isSettled } }

    var now: Moment { self.bus.time.clock.now() }

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
                guard let (topic, subject) = state.asked[number] else { continue }
                let key = RequestKey(node: state.membership.own.id, number: number)
                _ = state.outbox.send(NodeRecord.rollCall(key, subject: subject).encoded(), to: topic)
                after.hasMail = true
            }
        }
    }

    func decide(_ number: UInt64, _ outcome: Outcome, _ state: inout State, _ after: inout Aftermath) {
        state.asked[number] = nil
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
        case .coming: .failure(HubSendError(.moving, "the connection is on its way to another node"))
        case .nodeGone:
            .failure(HubSendError(.nodeGone, "the node of the connection is gone; whether it did anything is unknown"))
        case .timedOut: .failure(HubSendError(.timedOut, "the node of the connection did not answer in time"))
        case .stopped: .failure(HubSendError(.stopped, "the hubs of this node have stopped"))
        case .full: .failure(HubSendError(.overloaded, "too many requests to other nodes wait for an answer"))
        }
    }
}
