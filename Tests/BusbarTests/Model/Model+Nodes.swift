import Busbar
import BusbarDriver
import BusbarFaults
import NIOCore

extension Model {
    mutating func publish(_ node: Int) {
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
        case .gather:
            self.nodes[node].waiting[ticket] = id
            self.nodes[node].isGathering = true
        case .refuse, .deliverLocally: self.withdrawn.insert(id)
        }
    }

    mutating func onLane(_ node: Int, _ body: (inout PublishLane, Moment, inout [PublishLane.Effect]) -> Void) {
        var effects: [PublishLane.Effect] = []
        body(&self.nodes[node].lane, self.now, &effects)
        for effect in effects {
            switch effect {
            case .append(let record): self.nodes[node].append = record
            case .rest(let rest): self.nodes[node].rest = rest
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

    mutating func answerAppend(_ node: Int, isCalm: Bool) {
        if self.nodes[node].isGathering {
            self.nodes[node].isGathering = false
            self.onLane(node) { $0.gathered(now: $1, effects: &$2) }
        }
        if let rest = self.nodes[node].rest, isCalm || self.pick(2) == 0 {
            self.nodes[node].rest = nil
            self.onLane(node) { $0.rested(rest, now: $1, effects: &$2) }
        }
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
        let rest = Duration.milliseconds(isCalm ? 0 : self.pick(3))
        self.onLane(node) { $0.appended(rest: rest, now: $1, effects: &$2) }
    }

    mutating func store(_ record: Record) -> Position {
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
            let id = Self.id(message)
            self.history.append(Stored(id: id, topic: message.topic, place: place))
            self.tell("\(id) stored at \(place)")
        }
        for node in self.nodes.indices where self.nodes[node].isLive {
            self.nodes[node].incoming.append((self.epoch, stored))
        }
        return place
    }

    mutating func deliver(_ node: Int, isCalm: Bool) {
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

    mutating func note(_ outcome: StreamCore.Outcome, _ node: Int) {
        if let read = outcome.read { self.nodes[node].reads.append(read) }
        if outcome.wantsCheck { self.check(node) }
    }

    func page(after offset: Offset) -> Page {
        let records = self.log.filter { $0.offset > offset }.prefix(3)
        let extent = self.extent
        return Page(epoch: extent.epoch, records: Array(records), oldest: extent.oldest, newest: extent.newest)
    }

    mutating func answerRead(_ node: Int, isCalm: Bool) {
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

    mutating func check(_ node: Int) {
        guard self.nodes[node].isLive, let position = self.nodes[node].core.receiver.position else { return }
        if self.extent.newest != position.offset || self.extent.epoch != position.epoch {
            self.tell("node \(node) checks at \(position)")
        }
        let (extent, now) = (self.extent, self.now)
        self.note(self.nodes[node].core.checked(extent, askedAt: position, now: now), node)
    }

    mutating func pass(milliseconds: Int) {
        self.now = self.now + .milliseconds(milliseconds)
        let now = self.now
        for node in self.nodes.indices {
            self.note(self.nodes[node].core.tick(now: now), node)
            self.onLane(node) { $0.tick(now: $1, effects: &$2) }
        }
    }

    mutating func cut(_ node: Int) {
        self.tell("node \(node) is cut off")
        self.nodes[node].isLive = false
        self.nodes[node].incoming.removeAll()
        self.nodes[node].core.linkBroke()
        self.onLane(node) { lane, _, effects in lane.linkBroke(effects: &effects) }
    }

    mutating func restore(_ node: Int) {
        self.tell("node \(node) is back: \(self.extent)")
        self.nodes[node].isLive = true
        let (extent, now) = (self.extent, self.now)
        self.note(self.nodes[node].core.linkBecameLive(extent, now: now), node)
        self.onLane(node) { $0.linkBecameLive(now: $1, effects: &$2) }
    }

    /// The log is wiped, or goes back a few records; either way it comes back under another epoch.
    mutating func newEpoch() {
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

    /// Whether everything that was ever going to arrive has arrived everywhere.
    private var isSettled: Bool {
        self.nodes.allSatisfy { node in
            node.append == nil && node.reads.isEmpty && node.lane.isDrained && node.incoming.isEmpty
                && node.core.receiver.position?.epoch == self.epoch
                && node.core.receiver.position?.offset == self.newest
        }
    }

    /// Nothing goes wrong any more: the nodes come to rest. False when they don't.
    mutating func settle() -> Bool {
        for _ in 0..<400 {
            guard !self.isSettled else { return true }
            self.pass(milliseconds: 100)
            for node in self.nodes.indices {
                self.answerAppend(node, isCalm: true)
                self.deliver(node, isCalm: true)
                self.answerRead(node, isCalm: true)
                self.check(node)
            }
        }
        return false
    }
}

extension PublishLane.Offer {
    fileprivate var summary: String {
        switch self {
        case .append: "sent"
        case .wait: "waits"
        case .gather: "gathers"
        case .deliverLocally: "local"
        case .refuse(let error): error.code.name
        }
    }
}
