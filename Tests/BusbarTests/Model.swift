import Busbar
import BusbarDriver
import BusbarFaults
import NIOCore

/// A small farm in virtual time: a log with its faults, nodes made of the real machines, publishers, and subscribers that come,
/// go and resume elsewhere. Everything is decided by one generator, so a seed is a schedule.
struct Model {
    struct Stored {
        let id: Int
        let topic: Topic
        let place: Position
    }

    struct Node {
        var core: StreamCore
        var lane: PublishLane
        var isLive = true
        var incoming: [(Epoch, StoredRecord)] = []
        var append: Record?
        var reads: [StreamReceiver.ReadRequest] = []
        /// Publishes that wait, by the lane's ids.
        var waiting: [UInt64: Int] = [:]
    }

    /// Somebody who listens, wherever it is connected at present.
    struct Listener {
        let topics: Set<Topic>
        let start: Position
        var node: Int?
        var subscriber: Subscriber?
        var seen: [Int] = []
        var gaps: [Gap] = []
        var cursor: Position
    }

    static let stream = StreamID(0)
    static let topics = ["a", "b", "c"].map { Topic($0) }

    var random: SplitMix64
    var trace: [String] = []
    private var now = Moment(nanoseconds: 0)
    private var epochs = [Epoch(1)]
    private var log: [StoredRecord] = []
    private var newest = Offset.beginning
    private var history: [Stored] = []
    private var nodes: [Node] = []
    private var listeners: [Listener] = []
    private var nextID = 1
    private var accepted: Set<Int> = []
    private var withdrawn: Set<Int> = []
    private let retained: Int
    private let refusesRepeats: Bool
    private var lastKeys: [UInt64: UInt64] = [:]

    private var guarantees: Guarantees {
        Guarantees(
            counting: .withoutHoles, durability: .process, largestRecordBytes: 4_096, replays: true,
            refusesRepeats: self.refusesRepeats, recognisesRewind: true
        )
    }

    private let isTracing: Bool

    init(seed: UInt64, isTracing: Bool = false) {
        self.isTracing = isTracing
        self.random = SplitMix64(seed: seed)
        self.retained = Int.random(in: 5...40, using: &self.random)
        self.refusesRepeats = Bool.random(using: &self.random)
        var configuration = BusConfiguration()
        configuration.packCount = Int.random(in: 1...4, using: &self.random)
        configuration.whileAway = Bool.random(using: &self.random) ? .fail : .buffer(bytes: 10_000, count: 8)
        configuration.publishBufferCount = 6
        for node in 1...UInt64.random(in: 1...3, using: &self.random) {
            let receiver = StreamReceiver(
                stream: Self.stream, counting: .withoutHoles,
                limits: StreamReceiver.Limits(
                    holdBytes: Int.random(in: 0...400, using: &self.random), holdTime: .seconds(5)
                )
            )
            let window = Window(limitBytes: 10_000, limitCount: Int.random(in: 0...12, using: &self.random))
            var core = StreamCore(receiver: receiver, window: window)
            _ = core.linkBecameLive(self.extent, now: self.now)
            var lane = PublishLane(
                node: node, incarnation: 1, limits: PublishLane.Limits(configuration, largestRecordBytes: 4_096)
            )
            var effects: [PublishLane.Effect] = []
            lane.linkBecameLive(now: self.now, effects: &effects)
            self.nodes.append(Node(core: core, lane: lane))
        }
    }

    private var epoch: Epoch { self.epochs[self.epochs.count - 1] }

    private var extent: StreamExtent {
        StreamExtent(
            epoch: self.epoch, oldest: self.log.first?.offset ?? Offset(self.newest.rawValue + 1), newest: self.newest
        )
    }

    /// Runs a schedule, lets everything settle, and says what is wrong with the outcome; nil when nothing is.
    mutating func run(steps: Int) -> String? {
        for _ in 0..<steps { self.step(isCalm: false) }
        for node in self.nodes.indices where !self.nodes[node].isLive { self.restore(node) }
        for listener in self.listeners.indices where self.listeners[listener].node == nil { self.resume(listener) }
        for _ in 0..<100 { self.step(isCalm: true) }
        for node in self.nodes.indices { self.settle(node) }
        for listener in self.listeners.indices { self.take(listener, limitBytes: .max) }
        return self.verdict()
    }

    // Why: telling costs more than playing; a schedule that failed is played again to be told.
    private mutating func tell(_ line: @autoclosure () -> String) {
        if self.isTracing { self.trace.append(line()) }
    }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self.random) }
    private mutating func chance(_ percent: Int) -> Bool { self.pick(100) < percent }

    private mutating func step(isCalm: Bool) {
        let node = self.pick(self.nodes.count)
        switch self.pick(isCalm ? 70 : 100) {
        case 0..<15: self.answerAppend(node, isCalm: isCalm)
        case 15..<40: self.deliver(node, isCalm: isCalm)
        case 40..<50: self.answerRead(node, isCalm: isCalm)
        case 50..<60: if !self.listeners.isEmpty { self.take(self.pick(self.listeners.count), limitBytes: self.pick(400)) }
        case 60..<66: self.pass(milliseconds: isCalm ? 200 : 50 + self.pick(2_000))
        case 66..<70: self.check(node)
        case 70..<88: self.publish(node)
        case 88..<92: self.join(node)
        case 92..<94: if !self.listeners.isEmpty { self.leave(self.pick(self.listeners.count)) }
        case 94..<96: if !self.listeners.isEmpty { self.resume(self.pick(self.listeners.count)) }
        case 96..<99: if self.nodes[node].isLive { self.cut(node) } else { self.restore(node) }
        default: if self.chance(40) { self.newEpoch() }
        }
    }
}

// MARK: - Nodes

extension Model {
    private mutating func publish(_ node: Int) {
        let id = self.nextID
        self.nextID += 1
        let topic = Self.topics[self.pick(3)]
        let message = Message(topic: topic, payload: ByteBuffer(string: "\(id)"))
        let (ticket, offer) = self.nodes[node].lane.offer(message, now: self.now)
        self.tell("node \(node) publishes \(id) to \(topic): \(offer.summary)")
        switch offer {
        case .append(let record):
            self.nodes[node].waiting[ticket] = id
            self.nodes[node].append = record
        case .wait: self.nodes[node].waiting[ticket] = id
        case .refuse, .deliverLocally: self.withdrawn.insert(id)
        }
    }

    private mutating func onLane(_ node: Int, _ body: (inout PublishLane, Moment, inout [PublishLane.Effect]) -> Void) {
        var effects: [PublishLane.Effect] = []
        body(&self.nodes[node].lane, self.now, &effects)
        for effect in effects {
            switch effect {
            case .append(let record): self.nodes[node].append = record
            case .succeed(let ticket):
                if let id = self.nodes[node].waiting.removeValue(forKey: ticket) { self.accepted.insert(id) }
            case .fail(let ticket, let error):
                guard let id = self.nodes[node].waiting.removeValue(forKey: ticket) else { continue }
                self.tell("\(id) failed: \(error.code)")
                if error.code != .outcomeUnknown { self.withdrawn.insert(id) }
            case .deliverLocally(let ticket, _): self.nodes[node].waiting.removeValue(forKey: ticket)
            }
        }
    }

    private mutating func answerAppend(_ node: Int, isCalm: Bool) {
        guard let record = self.nodes[node].append else { return }
        self.nodes[node].append = nil
        let fate = isCalm || !self.nodes[node].isLive ? (self.nodes[node].isLive ? 99 : 0) : self.pick(100)
        if fate < 10 {
            let code: DriverError.Code = fate < 5 ? .unreachable : .overloaded
            let error = DriverError(code, during: "append", recovery: .retry(after: .milliseconds(100)), detail: "")
            return self.onLane(node) { $0.appendFailed(error, now: $1, effects: &$2) }
        }
        if fate < 14 {
            let error = DriverError(.rejected, during: "append", recovery: .giveUp, detail: "")
            return self.onLane(node) { $0.appendFailed(error, now: $1, effects: &$2) }
        }
        let place = self.store(record)
        if fate < 24 {
            return self.onLane(node) { $0.appendFailed(.injected(during: "append"), now: $1, effects: &$2) }
        }
        self.nodes[node].core.recordWasStored(place)
        self.onLane(node) { $0.appended(now: $1, effects: &$2) }
    }

    private mutating func store(_ record: Record) -> Position {
        if self.refusesRepeats, (self.lastKeys[record.key.node] ?? 0) >= record.key.sequence {
            return Position(stream: Self.stream, epoch: self.epoch, offset: self.newest)
        }
        self.lastKeys[record.key.node] = record.key.sequence
        self.newest = Offset(self.newest.rawValue + 1)
        let place = Position(stream: Self.stream, epoch: self.epoch, offset: self.newest)
        let stored = StoredRecord(offset: self.newest, bytes: record.bytes)
        self.log.append(stored)
        if self.log.count > self.retained { self.log.removeFirst() }
        for message in (try? Pack.messages(in: record.bytes)) ?? [] {
            let id = Int(String(buffer: message.payload)) ?? 0
            self.history.append(Stored(id: id, topic: message.topic, place: place))
            self.tell("\(id) stored at \(place)")
        }
        for node in self.nodes.indices where self.nodes[node].isLive {
            self.nodes[node].incoming.append((self.epoch, stored))
        }
        return place
    }

    private mutating func deliver(_ node: Int, isCalm: Bool) {
        guard !self.nodes[node].incoming.isEmpty else { return }
        let fate = isCalm ? 99 : self.pick(100)
        let isSwapped = fate < 8 && self.nodes[node].incoming.count > 1
        let (epoch, record) = self.nodes[node].incoming.remove(at: isSwapped ? 1 : 0)
        if (8..<18).contains(fate) { return self.tell("node \(node) misses \(record.offset)") }
        if (18..<26).contains(fate) { self.nodes[node].incoming.insert((epoch, record), at: 0) }
        self.tell("node \(node) gets \(epoch)@\(record.offset)")
        let now = self.now
        self.note(self.nodes[node].core.received(epoch: epoch, [record], now: now), node)
    }

    private mutating func note(_ outcome: StreamCore.Outcome, _ node: Int) {
        if let read = outcome.read { self.nodes[node].reads.append(read) }
        if outcome.wantsCheck { self.check(node) }
    }

    private func page(after offset: Offset) -> Page {
        let records = self.log.filter { $0.offset > offset }.prefix(3)
        let extent = self.extent
        return Page(epoch: extent.epoch, records: Array(records), oldest: extent.oldest, newest: extent.newest)
    }

    private mutating func answerRead(_ node: Int, isCalm: Bool) {
        guard !self.nodes[node].reads.isEmpty else { return }
        let request = self.nodes[node].reads.removeFirst()
        let now = self.now
        if !self.nodes[node].isLive || (!isCalm && self.chance(20)) {
            return self.nodes[node].core.readFailed(request, now: now)
        }
        let page = self.page(after: request.after.offset)
        self.tell("node \(node) reads after \(request.after): \(page.records.map(\.offset))")
        self.note(self.nodes[node].core.pageRead(page, for: request, now: now), node)
    }

    private mutating func check(_ node: Int) {
        guard self.nodes[node].isLive, let position = self.nodes[node].core.receiver.position else { return }
        if self.extent.newest != position.offset || self.extent.epoch != position.epoch {
            self.tell("node \(node) checks at \(position)")
        }
        let (extent, now) = (self.extent, self.now)
        self.note(self.nodes[node].core.checked(extent, askedAt: position, now: now), node)
    }

    private mutating func pass(milliseconds: Int) {
        self.now = self.now + .milliseconds(milliseconds)
        let now = self.now
        for node in self.nodes.indices {
            self.note(self.nodes[node].core.tick(now: now), node)
            self.onLane(node) { $0.tick(now: $1, effects: &$2) }
        }
    }

    private mutating func cut(_ node: Int) {
        self.tell("node \(node) is cut off")
        self.nodes[node].isLive = false
        self.nodes[node].incoming.removeAll()
        self.nodes[node].core.linkBroke()
        self.onLane(node) { lane, _, effects in lane.linkBroke(effects: &effects) }
    }

    private mutating func restore(_ node: Int) {
        self.tell("node \(node) is back: \(self.extent)")
        self.nodes[node].isLive = true
        let (extent, now) = (self.extent, self.now)
        self.note(self.nodes[node].core.linkBecameLive(extent, now: now), node)
        self.onLane(node) { $0.linkBecameLive(now: $1, effects: &$2) }
    }

    /// The log is wiped, or goes back a few records; either way it comes back under another epoch.
    private mutating func newEpoch() {
        self.epochs.append(Epoch(UInt64(self.epochs.count + 1)))
        if self.chance(50) {
            self.log.removeAll()
            self.newest = .beginning
        } else {
            let lost = min(self.log.count, self.pick(4))
            self.log.removeLast(lost)
            self.newest = Offset(self.newest.rawValue - UInt64(lost))
        }
        self.lastKeys.removeAll()
        self.tell("new epoch: \(self.extent)")
    }

    private mutating func settle(_ node: Int) {
        for _ in 0..<60 {
            self.pass(milliseconds: 100)
            self.answerAppend(node, isCalm: true)
            self.deliver(node, isCalm: true)
            self.answerRead(node, isCalm: true)
            self.check(node)
        }
    }
}

// MARK: - Listeners

extension Model {
    private mutating func join(_ node: Int) {
        guard self.listeners.count < 5 else { return }
        let topics = Set(Self.topics.filter { _ in self.chance(60) } + [Self.topics[self.pick(3)]])
        let subscriber = self.makeSubscriber()
        self.nodes[node].core.add(subscriber, to: topics)
        let start = subscriber.standing.positions[0]
        self.tell("listener \(self.listeners.count) joins node \(node) at \(start): \(topics.map(\.name).sorted())")
        self.listeners.append(
            Listener(topics: topics, start: start, node: node, subscriber: subscriber, cursor: start)
        )
    }

    private mutating func makeSubscriber() -> Subscriber {
        var limits = SubscriberLimits()
        limits.queuedBytes = 200 + self.pick(2_000)
        return Subscriber(limits: limits)
    }

    private mutating func leave(_ index: Int) {
        guard let node = self.listeners[index].node, let subscriber = self.listeners[index].subscriber else { return }
        self.tell("listener \(index) leaves at \(self.listeners[index].cursor)")
        self.nodes[node].core.remove(subscriber, from: self.listeners[index].topics)
        _ = subscriber.finish()
        self.listeners[index].node = nil
        self.listeners[index].subscriber = nil
    }

    private mutating func take(_ index: Int, limitBytes: Int) {
        guard let node = self.listeners[index].node, let subscriber = self.listeners[index].subscriber,
            let head = self.nodes[node].core.head
        else { return }
        while let delivery = subscriber.take(limitBytes: limitBytes, heads: [head]) {
            self.record(delivery.gaps, delivery.messages, upTo: delivery.frontier.positions[0], index)
            if limitBytes != .max { return }
        }
        self.listeners[index].cursor = subscriber.frontier(heads: [head]).positions[0]
    }

    private mutating func record(_ gaps: [Gap], _ messages: [Message], upTo place: Position, _ index: Int) {
        self.listeners[index].gaps += gaps
        self.listeners[index].seen += messages.map { Int(String(buffer: $0.payload)) ?? 0 }
        self.listeners[index].cursor = place
        if !gaps.isEmpty || !messages.isEmpty {
            self.tell("listener \(index) takes \(messages.map { String(buffer: $0.payload) }) \(gaps) up to \(place)")
        }
    }

    private mutating func resume(_ index: Int) {
        guard self.listeners[index].node == nil else { return }
        let candidates = self.nodes.indices.filter { self.nodes[$0].isLive }
        guard !candidates.isEmpty else { return }
        let node = candidates[self.pick(candidates.count)]
        let (topics, cursor) = (self.listeners[index].topics, self.listeners[index].cursor)
        let subscriber = self.makeSubscriber()
        self.listeners[index].node = node
        self.listeners[index].subscriber = subscriber
        self.tell("listener \(index) resumes on node \(node) at \(cursor)")
        if self.nodes[node].core.standing(of: cursor) == .otherEpoch { self.check(node) }
        switch self.nodes[node].core.standing(of: cursor) {
        case .otherEpoch: self.beginNow(index, node, subscriber, .newEpoch, after: cursor)
        case .ahead:
            guard cursor.epoch == self.epoch, cursor.offset <= self.newest else {
                return self.beginNow(index, node, subscriber, .futureCursor, after: cursor)
            }
            self.nodes[node].core.add(subscriber, to: topics, from: cursor)
            subscriber.follow(ahead: cursor)
        case .inWindow, .inLog: self.catchUp(index, node, subscriber, from: cursor)
        }
    }

    private mutating func beginNow(
        _ index: Int, _ node: Int, _ subscriber: Subscriber, _ reason: Gap.Reason, after: Position
    ) {
        guard let head = self.nodes[node].core.head else { return }
        self.nodes[node].core.add(subscriber, to: self.listeners[index].topics, from: head.position)
        _ = subscriber.offer(Gap(stream: Self.stream, reason: reason, after: after, upTo: head.position), at: head)
    }

    private mutating func catchUp(_ index: Int, _ node: Int, _ subscriber: Subscriber, from cursor: Position) {
        let topics = self.listeners[index].topics
        var catchUp = CatchUp(index: 0, position: cursor, topics: topics, guarantees: self.guarantees)
        for _ in 0..<200 {
            switch self.nodes[node].core.standing(of: catchUp.position) {
            case .otherEpoch:
                return self.beginNow(index, node, subscriber, .newEpoch, after: catchUp.position)
            case .ahead:
                self.nodes[node].core.add(subscriber, to: topics, from: catchUp.position)
                subscriber.follow(ahead: catchUp.position)
                return
            case .inWindow:
                let page = self.nodes[node].core.windowPage(after: catchUp.position, limitBytes: 200) { message, offset in
                    catchUp.isWanted(message, at: offset)
                }
                self.record([], page.messages, upTo: page.end, index)
                catchUp.move(to: page.end)
                guard page.end == self.nodes[node].core.head?.position else { continue }
                self.nodes[node].core.add(subscriber, to: topics, from: page.end)
                return
            case .inLog:
                let filter = catchUp
                let step = catchUp.pageRead(self.page(after: catchUp.nextRead)) { filter.isWanted($0, at: $1) }
                if step.isLost { return self.beginNow(index, node, subscriber, .newEpoch, after: catchUp.position) }
                self.record(step.gaps, step.messages, upTo: catchUp.position, index)
            }
        }
        self.tell("listener \(index) never catches up")
        self.listeners[index].seen.append(-1)
    }
}

// MARK: - Verdict

extension Model {
    private func age(_ epoch: Epoch) -> Int { self.epochs.firstIndex(of: epoch) ?? -1 }

    private func isAfter(_ place: Position, _ start: Position) -> Bool {
        place.epoch == start.epoch ? place.offset > start.offset : self.age(place.epoch) > self.age(start.epoch)
    }

    /// Something a listener got twice without excuse. A message that lies in the log twice, because the store keeps repeats or was
    /// wiped between two attempts, may come again behind a gap: whoever skipped the first copy can't know the second for one.
    private func repeated(in seen: [Int]) -> Int? {
        var before: Set<Int> = []
        let hasSkipped = self.nodes.contains { $0.core.counts.gaps > 0 }
        return seen.first { id in
            guard !before.insert(id).inserted else { return false }
            return !hasSkipped || self.history.count { $0.id == id } < 2
        }
    }

    /// Whether the log tells the same story. A record may lie in it several times: stored, wiped away, and sent again.
    private func isInOrder(_ seen: [Int]) -> Bool {
        var rest = self.history[...]
        for id in seen {
            guard let place = rest.firstIndex(where: { $0.id == id }) else { return false }
            rest = rest[place...]
        }
        return true
    }

    private func covers(_ gap: Gap, _ place: Position) -> Bool {
        guard let after = gap.after else { return true }
        if place.epoch == after.epoch, place.offset > after.offset {
            return gap.upTo.epoch != place.epoch || place.offset <= gap.upTo.offset
        }
        if place.epoch == gap.upTo.epoch { return after.epoch != place.epoch && place.offset <= gap.upTo.offset }
        let (from, to) = (self.age(after.epoch), self.age(gap.upTo.epoch))
        return (min(from, to)...max(from, to)).contains(self.age(place.epoch)) && place.epoch != after.epoch
    }

    private func verdict() -> String? {
        let stored = Set(self.history.map(\.id))
        if let id = self.accepted.subtracting(stored).min() { return "\(id) was accepted and never stored" }
        if let id = self.withdrawn.intersection(stored).min() { return "\(id) was refused and yet stored" }
        for (index, listener) in self.listeners.enumerated() {
            if listener.seen.contains(-1) { return "listener \(index) never caught up" }
            let seen = Set(listener.seen)
            if let id = self.repeated(in: listener.seen) { return "listener \(index) got \(id) twice: \(listener.seen)" }
            if !self.isInOrder(listener.seen) { return "listener \(index) got things out of order: \(listener.seen)" }
            // Why: a message may lie in the log twice; told of either place, the listener was told of the message.
            let told = Set(
                self.history.filter { record in listener.gaps.contains { self.covers($0, record.place) } }.map(\.id)
            )
            for record in self.history where listener.topics.contains(record.topic) {
                guard self.isAfter(record.place, listener.start), !seen.contains(record.id) else { continue }
                // Why: a repeat of something stored before the listener joined is not news.
                if self.history.contains(where: { $0.id == record.id && !self.isAfter($0.place, listener.start) }) { continue }
                if !told.contains(record.id) {
                    return "listener \(index) neither got \(record.id) at \(record.place) nor was told"
                }
            }
        }
        return nil
    }
}

extension PublishLane.Offer {
    fileprivate var summary: String {
        switch self {
        case .append: "sent"
        case .wait: "waits"
        case .deliverLocally: "local"
        case .refuse(let error): error.code.name
        }
    }
}
