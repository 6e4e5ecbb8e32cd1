package import BusbarDriver
import DequeModule

/// Outbound side of one stream, as a value: publishes in, packs and outcomes out. It knows no clock, driver or continuation.
///
/// While nothing is under way a message leaves at once as a pack of its own; what arrives meanwhile is collected into the next
/// pack. After a pack of several the next message is likely the first of several, too: it waits for whoever is about to publish,
/// until ``gathered(now:effects:)``. A broker that wants to be spared then has a rest besides, until ``rested(_:now:effects:)``
/// or until a whole pack waits.
///
/// One pack is under way at a time; after a failure that leaves open whether it was stored, the very same bytes are sent again. A
/// pack that the broker refuses is sent again message by message, so only the guilty publish fails.
package struct PublishLane {
    package typealias PublishID = UInt64
    package typealias RestID = UInt64

    package struct Limits {
        package var packBytes: Int
        package var packCount: Int
        package var largestRecordBytes: Int
        package var bufferBytes: Int
        package var bufferCount: Int
        package var deadline: Duration
        package var whileStarting: OfflinePolicy
        package var whileAway: OfflinePolicy
        /// Whether a message may wait for others that are about to come.
        package var gathers: Bool

        package init(_ configuration: BusConfiguration, largestRecordBytes: Int, gathers: Bool = true) {
            self.packBytes = min(configuration.packBytes, largestRecordBytes)
            self.packCount = configuration.packCount
            self.largestRecordBytes = largestRecordBytes
            self.bufferBytes = configuration.publishBufferBytes
            self.bufferCount = configuration.publishBufferCount
            self.deadline = configuration.publishDeadline
            self.whileStarting = configuration.whileStarting
            self.whileAway = configuration.whileAway
            self.gathers = gathers
        }
    }

    package enum Offer: Hashable {
        /// The lane was idle: append this record now, then report ``appended(now:effects:)`` or the failure.
        case append(Record)
        /// Its outcome comes as an effect.
        case wait
        /// As ``wait``; report ``gathered(now:effects:)`` once those that are about to publish have done so.
        case gather
        case deliverLocally
        case refuse(BusError)
    }

    package enum Effect: Hashable {
        case append(Record)
        /// Report ``rested(_:now:effects:)`` after the time that the broker asked for.
        case rest(RestID)
        case succeed(PublishID)
        case fail(PublishID, BusError)
        case deliverLocally(PublishID, Message)
    }

    private enum Link { case starting, live, away }

    private struct Waiting {
        let id: PublishID
        let message: Message
        let bytes: Int
        let deadline: Moment
    }

    private struct Outgoing {
        let record: Record
        /// Publishes that still wait for it; those that gave up are gone from here.
        var publishes: [Waiting]
        /// How many messages the record holds.
        let count: Int
        var isUnderWay = true
        /// An earlier attempt may have been stored.
        var isUncertain = false
        var retryAt: Moment?
    }

    package private(set) var waitingBytes = 0
    package private(set) var isClosed = false

    private let limits: Limits
    private let node: UInt64
    private let incarnation: UInt64
    private var link = Link.starting
    private var nextID: PublishID = 1
    private var sequence: UInt64 = 0
    private var waiting: Deque<Waiting> = []
    /// Messages of a refused pack, to be sent one by one before anything else.
    private var singles: Deque<Waiting> = []
    private var pack: Outgoing?
    /// How many messages the last pack held.
    private var lastCount = 0
    private var isGathering = false
    private var lastRest: RestID = 0
    private var isResting = false
    private var restLength = Duration.zero
    /// The last rest that lasted to its own end: how long it was, and how many came together in it.
    private var fullRest: (length: Duration, crowd: Int) = (.zero, 0)
    private var closesAt: Moment?

    package init(node: UInt64, incarnation: UInt64, limits: Limits) {
        self.node = node
        self.incarnation = incarnation
        self.limits = limits
    }

    package var waitingCount: Int { self.waiting.count + self.singles.count }

    /// Whether the outcome of this record is awaited: once, and of no other.
    package func isUnderWay(_ key: RecordKey) -> Bool { self.pack?.isUnderWay == true && self.pack?.record.key == key }

    /// Whether this rest is neither over nor cut short.
    package func isResting(_ rest: RestID) -> Bool { self.isResting && rest == self.lastRest }

    package var isDrained: Bool { self.pack == nil && self.waitingCount == 0 }

    /// A message to publish. Every offer gets an id of its own.
    package mutating func offer(_ message: Message, now: Moment) -> (PublishID, Offer) {
        let id = self.nextID
        self.nextID += 1
        if let refusal = self.refusal(of: message) { return (id, .refuse(refusal)) }
        if self.link == .away || self.link == .starting {
            switch self.link == .starting ? self.limits.whileStarting : self.limits.whileAway {
            case .fail: return (id, .refuse(BusError(.brokerAway, "the broker can't be reached; publish again later")))
            case .deliverLocally: return (id, .deliverLocally)
            case .buffer(let bytes, let count): return (id, self.enqueue(id, message, now: now, bytes, count))
            }
        }
        guard self.pack == nil, self.waitingCount == 0, !self.isResting else {
            let offer = self.enqueue(id, message, now: now, self.limits.bufferBytes, self.limits.bufferCount)
            guard offer == .wait, self.isResting, self.isFull || self.isCrowdComplete else { return (id, offer) }
            self.isResting = false
            self.isGathering = true
            return (id, .gather)
        }
        if self.limits.gathers, self.lastCount >= Self.crowd {
            let offer = self.enqueue(id, message, now: now, self.limits.bufferBytes, self.limits.bufferCount)
            guard offer == .wait else { return (id, offer) }
            self.isGathering = true
            return (id, .gather)
        }
        let waiting = self.waiting(id, message, now: now)
        let key = self.nextKey()
        let record = Record(key: key, bytes: Pack.encode(message, key: key))
        self.pack = Outgoing(record: record, publishes: [waiting], count: 1)
        self.lastCount = 1
        return (id, .append(record))
    }

    /// Those that were about to publish have done so.
    package mutating func gathered(now: Moment, effects: inout [Effect]) {
        self.isGathering = false
        self.sendNext(now: now, effects: &effects)
    }

    /// The record under way was accepted. `rest`: what the broker asks for.
    package mutating func appended(rest: Duration = .zero, now: Moment, effects: inout [Effect]) {
        guard let pack = self.pack else { return }
        self.pack = nil
        for publish in pack.publishes { effects.append(.succeed(publish.id)) }
        if rest > .zero, self.limits.gathers, pack.count >= Self.crowd, !self.isFull, !self.isClosed {
            self.lastRest += 1
            self.restLength = rest
            if !self.isCrowdComplete {
                self.isResting = true
                effects.append(.rest(self.lastRest))
            }
        }
        self.sendNext(now: now, effects: &effects)
    }

    /// A rest is over. One that was cut short is no matter any more.
    package mutating func rested(_ rest: RestID, now: Moment, effects: inout [Effect]) {
        guard self.isResting(rest) else { return }
        self.isResting = false
        self.fullRest = (self.restLength, self.waiting.count)
        self.sendNext(now: now, effects: &effects)
    }

    /// The record under way failed.
    package mutating func appendFailed(_ error: DriverError, now: Moment, effects: inout [Effect]) {
        guard var pack = self.pack else { return }
        switch error.recovery {
        case .retry(let after):
            // Why: these two say that nothing was stored; after anything else the record may be in the log.
            if error.code != .overloaded, error.code != .rejected { pack.isUncertain = true }
            pack.isUnderWay = false
            pack.retryAt = now + after
            self.pack = pack
            self.dropAbandonedPack(now: now, effects: &effects)
        case .giveUp:
            self.pack = nil
            self.refused(pack, error, effects: &effects)
            self.sendNext(now: now, effects: &effects)
        }
    }

    package mutating func linkBecameLive(now: Moment, effects: inout [Effect]) {
        self.link = .live
        if self.pack?.isUnderWay == false { self.pack?.retryAt = now }
        self.retry(now: now, effects: &effects)
        self.sendNext(now: now, effects: &effects)
    }

    package mutating func linkBroke(effects: inout [Effect]) {
        guard self.link == .live else { return }
        self.link = .away
        self.isResting = false
        switch self.limits.whileAway {
        case .buffer: return
        case .fail:
            self.failWaiting(BusError(.brokerAway, "the link to the broker broke; publish again later"), &effects)
        case .deliverLocally:
            for publish in self.singles + self.waiting {
                effects.append(.deliverLocally(publish.id, publish.message))
            }
            self.forgetWaiting()
        }
    }

    /// Time went by: deadlines and retries.
    package mutating func tick(now: Moment, effects: inout [Effect]) {
        if let closesAt, closesAt <= now { self.abandonAll(effects: &effects) }
        let late = BusError(.deadlinePassed, "not handed to the broker within \(self.limits.deadline)")
        while let oldest = self.waiting.first, oldest.deadline <= now {
            self.waiting.removeFirst()
            self.waitingBytes -= oldest.bytes
            effects.append(.fail(oldest.id, late))
        }
        for publish in self.singles where publish.deadline <= now {
            self.waitingBytes -= publish.bytes
            effects.append(.fail(publish.id, late))
        }
        self.singles.removeAll { $0.deadline <= now }
        if let pack = self.pack {
            for publish in pack.publishes where publish.deadline <= now {
                effects.append(.fail(publish.id, Self.unknown("the broker has not answered by the deadline")))
            }
            self.pack?.publishes.removeAll { $0.deadline <= now }
        }
        self.dropAbandonedPack(now: now, effects: &effects)
        self.retry(now: now, effects: &effects)
        if self.isGathering { self.gathered(now: now, effects: &effects) }
    }

    /// The publishing task was cancelled. Answers with its outcome, or nil when that was decided before.
    package mutating func cancel(_ id: PublishID) -> BusError? {
        let cancelled = BusError(.cancelled, "the publishing task was cancelled; nothing was stored")
        if let index = self.waiting.firstIndex(where: { $0.id == id }) {
            self.waitingBytes -= self.waiting.remove(at: index).bytes
            return cancelled
        }
        if let index = self.singles.firstIndex(where: { $0.id == id }) {
            self.waitingBytes -= self.singles.remove(at: index).bytes
            return cancelled
        }
        guard let index = self.pack?.publishes.firstIndex(where: { $0.id == id }) else { return nil }
        self.pack?.publishes.remove(at: index)
        return Self.unknown("the publishing task was cancelled while the broker had the message")
    }

    /// Takes nothing more. What waits is sent, or fails when `deadline` is over.
    package mutating func close(now: Moment, deadline: Duration, effects: inout [Effect]) {
        self.isClosed = true
        if self.isResting {
            self.isResting = false
            self.sendNext(now: now, effects: &effects)
        }
        self.closesAt = min(self.closesAt ?? now + deadline, now + deadline)
        self.tick(now: now, effects: &effects)
    }
}

extension PublishLane {
    /// A pack of so many says that publishers come in crowds.
    private static var crowd: Int { 4 }

    /// Whether a whole pack waits, or what must be sent one by one.
    private var isFull: Bool {
        !self.singles.isEmpty || self.waiting.count >= self.limits.packCount
            || self.waitingBytes >= self.limits.packBytes
    }

    /// Whether as many wait as came together in a rest no shorter than this one: nobody else is about to come.
    ///
    /// Never in one rest of 32: that finds out whether there are more by now.
    private var isCrowdComplete: Bool {
        self.lastRest % 32 != 0 && self.restLength <= self.fullRest.length && self.fullRest.crowd >= Self.crowd
            && self.waiting.count >= self.fullRest.crowd
    }

    private static func unknown(_ detail: String) -> BusError { BusError(.outcomeUnknown, detail) }

    private func refusal(of message: Message) -> BusError? {
        if self.isClosed { return BusError(.closed, "the bus is closed") }
        let bytes = Pack.headerBytes + Pack.bytes(of: message)
        guard bytes > self.limits.largestRecordBytes else { return nil }
        let limit = self.limits.largestRecordBytes
        return BusError(.messageTooLarge, "the message takes \(bytes) bytes as a record; this driver takes \(limit)")
    }

    private mutating func nextKey() -> RecordKey {
        self.sequence += 1
        return RecordKey(node: self.node, incarnation: self.incarnation, sequence: self.sequence)
    }

    private func waiting(_ id: PublishID, _ message: Message, now: Moment) -> Waiting {
        Waiting(id: id, message: message, bytes: message.cost, deadline: now + self.limits.deadline)
    }

    private mutating func enqueue(
        _ id: PublishID, _ message: Message, now: Moment, _ limitBytes: Int, _ limitCount: Int
    ) -> Offer {
        let waiting = self.waiting(id, message, now: now)
        guard self.waitingCount < limitCount, self.waitingBytes + waiting.bytes <= limitBytes else {
            let bounds = "\(limitBytes) bytes and \(limitCount) messages"
            return .refuse(BusError(.bufferFull, "the publish buffer of \(bounds) is full; publish again later"))
        }
        self.waiting.append(waiting)
        self.waitingBytes += waiting.bytes
        return .wait
    }

    private mutating func sendNext(now: Moment, effects: inout [Effect]) {
        guard self.link == .live, self.pack == nil, !self.isResting else { return }
        var publishes: [Waiting] = []
        if let single = self.singles.popFirst() {
            publishes.append(single)
        } else {
            var bytes = Pack.headerBytes
            while publishes.count < self.limits.packCount, let next = self.waiting.first {
                bytes += Pack.bytes(of: next.message)
                guard publishes.isEmpty || bytes <= self.limits.packBytes else { break }
                publishes.append(next)
                self.waiting.removeFirst()
            }
        }
        guard !publishes.isEmpty else { return }
        self.waitingBytes -= publishes.reduce(0) { $0 + $1.bytes }
        let key = self.nextKey()
        let record = Record(key: key, bytes: Pack.encode(publishes.map(\.message), key: key))
        self.pack = Outgoing(record: record, publishes: publishes, count: publishes.count)
        self.lastCount = publishes.count
        self.isGathering = false
        effects.append(.append(record))
    }

    private mutating func retry(now: Moment, effects: inout [Effect]) {
        guard let pack = self.pack, !pack.isUnderWay, let retryAt = pack.retryAt, retryAt <= now else { return }
        self.pack?.isUnderWay = true
        self.pack?.retryAt = nil
        effects.append(.append(pack.record))
    }

    /// Nobody waits any more for a pack that is not under way: it is not sent again.
    private mutating func dropAbandonedPack(now: Moment, effects: inout [Effect]) {
        guard let pack = self.pack, !pack.isUnderWay, pack.publishes.isEmpty else { return }
        self.pack = nil
        self.sendNext(now: now, effects: &effects)
    }

    private mutating func refused(_ pack: Outgoing, _ error: DriverError, effects: inout [Effect]) {
        let isOurs = error.code == .rejected || error.code == .recordTooLarge
        if pack.isUncertain {
            let unknown = Self.unknown("an earlier attempt may have been stored; the last one: \(error.detail)")
            for publish in pack.publishes { effects.append(.fail(publish.id, unknown)) }
        } else if isOurs, pack.count > 1 {
            for publish in pack.publishes { self.waitingBytes += publish.bytes }
            self.singles.append(contentsOf: pack.publishes)
        } else {
            let code: BusError.Code = isOurs ? .rejected : .driverFailed
            for publish in pack.publishes { effects.append(.fail(publish.id, BusError(code, error.detail))) }
        }
    }

    private mutating func failWaiting(_ error: BusError, _ effects: inout [Effect]) {
        for publish in self.singles { effects.append(.fail(publish.id, error)) }
        for publish in self.waiting { effects.append(.fail(publish.id, error)) }
        self.forgetWaiting()
    }

    private mutating func forgetWaiting() {
        self.singles.removeAll()
        self.waiting.removeAll()
        self.waitingBytes = 0
    }

    private mutating func abandonAll(effects: inout [Effect]) {
        self.failWaiting(BusError(.closed, "the bus was closed before the message could be sent"), &effects)
        for publish in self.pack?.publishes ?? [] {
            effects.append(.fail(publish.id, Self.unknown("the bus was closed before the broker answered")))
        }
        self.pack?.publishes.removeAll()
    }
}
