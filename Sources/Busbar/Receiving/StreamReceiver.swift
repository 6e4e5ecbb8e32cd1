package import BusbarDriver
import NIOCore

/// The receiving rule of one stream, as a value: events of the driver in, effects out. It knows no clock, lock or topic.
///
/// The next offset is delivered; an offset already passed is a repeat; beyond a hole records are held, bounded, while the hole is
/// read from the log; what the log lacks is reported as a gap, and delivery goes on behind it. Every change of epoch is a gap.
package struct StreamReceiver {
    package struct Limits: Hashable {
        package var holdBytes: Int
        package var holdTime: Duration
        /// Pause after a read that failed.
        package var readPause = Duration.milliseconds(200)
        /// So many reads of a hole have to fail, besides, before it is given up: a broker that was silent for as long as one may take
        /// answers the next.
        package var readFailures = 3
        /// After so many hold times it is given up in any case.
        package var longestHold = 4

        package init(holdBytes: Int, holdTime: Duration) {
            self.holdBytes = holdBytes
            self.holdTime = holdTime
        }
    }

    /// Ask the log for what lies after `after`; the page comes back with this request.
    package struct ReadRequest: Hashable, Sendable {
        package let after: Position
    }

    package enum Dropped: Hashable {
        /// At or below the offset reached.
        case repeatedOffset
        /// Behind the offset reached, but a record of this writer that was delivered before: the position moves on.
        case repeatedKey
        /// Of an epoch that is over.
        case formerEpoch
        /// Before the first link was live, or before the store has confirmed their epoch.
        case early
        /// Bytes without a readable header; the position moves on.
        case poison
    }

    package enum Effect: Hashable {
        case deliver(StoredRecord)
        case gap(Gap)
        case read(ReadRequest)
        /// Ask the store for the stream's extent.
        case check
        case drop(Offset, Dropped)
    }

    package let stream: StreamID
    /// How far delivery has come; nil until the first link was live.
    package private(set) var position: Position?
    package private(set) var heldBytes = 0
    package private(set) var isLive = false
    /// How far delivery had come in this epoch before the log went back.
    private var lost: Position?

    private let counting: Guarantees.Counting
    private let limits: Limits
    package private(set) var writers = WriterTable()
    /// The writers as they stood when this epoch began: what they had written by then is a repeat wherever it lies in it.
    package private(set) var writersBefore = WriterTable()
    /// The newest stretches of this epoch that were passed with a gap.
    package private(set) var skipped: [SkippedStretch] = []
    private var formerEpochs: [Epoch] = []
    /// Where an epoch begins of which records have come, but of which the store has not said yet that it is the present one.
    private var announced: Position?
    /// Records beyond a hole, in offset order.
    private var held: [StoredRecord] = []
    /// The newest offset known to exist in this epoch.
    private var known = Offset.beginning
    private var reading: ReadRequest?
    private var nextReadAt: Moment?
    private var holeSince: Moment?
    /// How many reads have failed since.
    private var readFailures = 0

    package init(stream: StreamID, counting: Guarantees.Counting, limits: Limits) {
        self.stream = stream
        self.counting = counting
        self.limits = limits
    }

    /// The link delivers from now on; `extent` is what the store held at that moment.
    package mutating func linkBecameLive(_ extent: StreamExtent, now: Moment, effects: inout [Effect]) {
        self.isLive = true
        guard let position = self.position else {
            self.position = Position(stream: self.stream, epoch: extent.epoch, offset: extent.newest)
            self.known = extent.newest
            return
        }
        guard extent.epoch == position.epoch else { return self.enter(extent, now: now, effects: &effects) }
        // Why: a page read meanwhile may have brought us further than the store was when the link was made. Ask again.
        guard extent.newest >= position.offset else { return effects.append(.check) }
        if self.counting == .withJumps, extent.oldest.rawValue > position.offset.rawValue + 1 {
            // Why at once: the driver goes on with the oldest record there is, and its offset doesn't show what is missing
            // before it.
            self.skip(to: Offset(extent.oldest.rawValue - 1), reason: .truncated, effects: &effects)
        }
        self.learned(extent, now: now, effects: &effects)
    }

    package mutating func linkBroke() {
        self.isLive = false
        // Why: while the broker is away a hole can't be read, and nothing that waits for it would come either.
        self.holeSince = nil
    }

    package mutating func received(
        epoch: Epoch, _ records: [StoredRecord], now: Moment, effects: inout [Effect]
    ) {
        guard let position = self.position else {
            return effects.append(contentsOf: records.map { .drop($0.offset, .early) })
        }
        guard epoch == position.epoch else { return self.receivedForeign(epoch, records, effects: &effects) }
        for record in records { self.take(record, effects: &effects) }
        self.lookForHole(now: now, effects: &effects)
    }

    /// The log answered `request`.
    package mutating func pageRead(_ page: Page, for request: ReadRequest, now: Moment, effects: inout [Effect]) {
        guard self.reading == request else { return }
        self.reading = nil
        guard let position = self.position, position.epoch == request.after.epoch else { return }
        guard page.epoch == position.epoch else {
            return self.enterEpoch(page.epoch, at: page.newest, reason: .newEpoch, effects: &effects)
        }
        guard page.newest >= request.after.offset else {
            return self.enterEpoch(page.epoch, at: page.newest, reason: .rewound, effects: &effects)
        }
        self.known = max(self.known, page.newest)
        let firstRetained = page.oldest.rawValue
        if firstRetained > self.last.rawValue + 1 {
            self.skip(to: Offset(firstRetained - 1), reason: .truncated, effects: &effects)
        }
        for record in page.records where record.offset > self.last {
            if self.counting == .withoutHoles, record.offset.rawValue > self.last.rawValue + 1 {
                self.skip(to: Offset(record.offset.rawValue - 1), reason: .missing, effects: &effects)
            }
            self.take(record, effects: &effects)
        }
        if page.records.isEmpty, page.newest > self.last {
            self.skip(to: page.newest, reason: .missing, effects: &effects)
        }
        self.holeSince = nil
        self.lookForHole(now: now, effects: &effects)
    }

    /// The log couldn't be read. It is asked again at a later tick, until the hole is given up.
    package mutating func readFailed(_ request: ReadRequest, now: Moment) {
        guard self.reading == request else { return }
        self.reading = nil
        self.readFailures += 1
        self.nextReadAt = now + self.limits.readPause
    }

    /// The store answered a check that was asked when delivery stood at `askedAt`.
    package mutating func checked(
        _ extent: StreamExtent, askedAt: Position, now: Moment, effects: inout [Effect]
    ) {
        guard let position = self.position, position.epoch == askedAt.epoch else { return }
        guard extent.epoch == position.epoch else { return self.enter(extent, now: now, effects: &effects) }
        guard extent.newest >= askedAt.offset else {
            return self.enterEpoch(extent.epoch, at: extent.newest, reason: .rewound, effects: &effects)
        }
        self.learned(extent, now: now, effects: &effects)
    }

    package mutating func tick(now: Moment, effects: inout [Effect]) {
        if self.isLive, self.isUnreadable(now: now) {
            let next = self.held.first.map { Offset($0.offset.rawValue - 1) } ?? self.known
            self.skip(to: next, reason: .unreadable, effects: &effects)
            self.reading = nil
            self.holeSince = nil
            self.nextReadAt = nil
        }
        self.lookForHole(now: now, effects: &effects)
    }

    /// Whether the log has had its time to tell what lies in the hole.
    private func isUnreadable(now: Moment) -> Bool {
        guard let since = self.holeSince, since + self.limits.holdTime <= now else { return false }
        if self.readFailures >= self.limits.readFailures { return true }
        return since + self.limits.holdTime * self.limits.longestHold <= now
    }
}

extension StreamReceiver {
    /// The newest place of this epoch that was ever seen: what a writer tells the store, so that one that went back begins a
    /// new epoch. Else offsets would name other records than before, and cursors from then would skip them in silence.
    package var highWater: Position? {
        guard let position = self.position, let lost = self.lost, lost.offset > position.offset else {
            return self.position
        }
        return lost
    }

    private var last: Offset { self.position?.offset ?? .beginning }

    /// Records of another epoch: a former one, or one to come. Which of the two is for the store to say.
    ///
    /// A node that learned of an epoch from a page or a check may be sent what a link had under way of those in between.
    private mutating func receivedForeign(_ epoch: Epoch, _ records: [StoredRecord], effects: inout [Effect]) {
        guard let first = records.first, let position = self.position, !self.formerEpochs.contains(epoch) else {
            return effects.append(contentsOf: records.map { .drop($0.offset, .formerEpoch) })
        }
        if self.announced?.epoch != epoch {
            let start = Offset(first.offset.rawValue - min(1, first.offset.rawValue))
            self.announced = Position(stream: position.stream, epoch: epoch, offset: start)
        }
        effects.append(contentsOf: records.map { .drop($0.offset, .early) })
        effects.append(.check)
    }

    /// The store says that its log lives under another epoch.
    private mutating func enter(_ extent: StreamExtent, now: Moment, effects: inout [Effect]) {
        // Why: the records that announced the epoch lie in its log; they are read from there instead of being skipped.
        let announced = self.announced.flatMap { $0.epoch == extent.epoch ? $0.offset : nil }
        let start = min(announced ?? extent.newest, extent.newest)
        self.enterEpoch(extent.epoch, at: start, reason: .newEpoch, effects: &effects)
        self.learned(extent, now: now, effects: &effects)
    }

    private mutating func leaveBehind(_ epoch: Epoch) {
        self.formerEpochs.removeAll { $0 == epoch }
        if self.formerEpochs.count == 16 { self.formerEpochs.removeFirst() }
        self.formerEpochs.append(epoch)
    }

    /// Takes one record of the current epoch.
    private mutating func take(_ record: StoredRecord, effects: inout [Effect]) {
        self.known = max(self.known, record.offset)
        guard record.offset > self.last else { return effects.append(.drop(record.offset, .repeatedOffset)) }
        let isNext = self.counting == .withJumps || record.offset.rawValue == self.last.rawValue + 1
        guard isNext else { return self.hold(record, effects: &effects) }
        self.accept(record, effects: &effects)
        if !self.held.isEmpty { self.releaseHeld(effects: &effects) }
    }

    private mutating func accept(_ record: StoredRecord, effects: inout [Effect]) {
        self.move(to: record.offset)
        guard let key = try? Pack.key(of: record.bytes) else {
            return effects.append(.drop(record.offset, .poison))
        }
        guard self.writers.admit(key) else { return effects.append(.drop(record.offset, .repeatedKey)) }
        effects.append(.deliver(record))
    }

    private mutating func releaseHeld(effects: inout [Effect]) {
        var released = 0
        for record in self.held {
            guard record.offset.rawValue <= self.last.rawValue + 1 else { break }
            released += 1
            self.heldBytes -= record.bytes.readableBytes
            if record.offset > self.last { self.accept(record, effects: &effects) }
        }
        self.held.removeFirst(released)
    }

    private mutating func hold(_ record: StoredRecord, effects: inout [Effect]) {
        let index = self.held.lastIndex { $0.offset <= record.offset }
        if let index, self.held[index].offset == record.offset {
            return effects.append(.drop(record.offset, .repeatedOffset))
        }
        // Why: what isn't held is not lost. It lies in the log, and `known` says that it must be read from there.
        guard self.heldBytes + record.bytes.readableBytes <= self.limits.holdBytes else { return }
        self.heldBytes += record.bytes.readableBytes
        self.held.insert(record, at: index.map { $0 + 1 } ?? 0)
    }

    private mutating func learned(_ extent: StreamExtent, now: Moment, effects: inout [Effect]) {
        self.known = max(self.known, extent.newest)
        if self.counting == .withJumps, extent.newest > self.last, self.reading == nil {
            self.read(effects: &effects)
        }
        self.lookForHole(now: now, effects: &effects)
    }

    /// Something is known to exist that was not delivered: read it, once at a time.
    private mutating func lookForHole(now: Moment, effects: inout [Effect]) {
        guard self.counting == .withoutHoles || self.nextReadAt != nil else { return }
        guard self.position != nil, self.known > self.last else {
            self.holeSince = nil
            return
        }
        if self.isLive, self.holeSince == nil {
            self.holeSince = now
            self.readFailures = 0
        }
        guard self.reading == nil else { return }
        if let next = self.nextReadAt, next > now { return }
        self.read(effects: &effects)
    }

    private mutating func read(effects: inout [Effect]) {
        guard let position = self.position else { return }
        let request = ReadRequest(after: position)
        self.nextReadAt = nil
        self.reading = request
        effects.append(.read(request))
    }

    private mutating func move(to offset: Offset) {
        guard let position = self.position else { return }
        self.position = Position(stream: self.stream, epoch: position.epoch, offset: offset)
    }

    private mutating func skip(to offset: Offset, reason: Gap.Reason, effects: inout [Effect]) {
        guard let from = self.position, offset > from.offset else { return }
        if self.skipped.count == SkippedStretch.limit { self.skipped.removeFirst() }
        self.skipped.append(SkippedStretch(after: from.offset, upTo: offset, writers: self.writers))
        self.move(to: offset)
        let upTo = Position(stream: self.stream, epoch: from.epoch, offset: offset)
        effects.append(.gap(Gap(stream: self.stream, reason: reason, after: from, upTo: upTo)))
        self.releaseHeld(effects: &effects)
    }

    private mutating func enterEpoch(_ epoch: Epoch, at offset: Offset, reason: Gap.Reason, effects: inout [Effect]) {
        let from = self.position
        if let from, from.epoch != epoch {
            self.formerEpochs.removeAll { $0 == epoch }
            self.leaveBehind(from.epoch)
            self.writersBefore = self.writers
        }
        if let from, from.epoch == epoch, from.offset > self.lost?.offset ?? offset {
            self.lost = from
        } else if from?.epoch != epoch {
            self.lost = nil
        }
        self.announced = nil
        let position = Position(stream: self.stream, epoch: epoch, offset: offset)
        self.position = position
        self.known = offset
        self.skipped.removeAll()
        self.held.removeAll()
        self.heldBytes = 0
        self.reading = nil
        self.nextReadAt = nil
        self.holeSince = nil
        effects.append(.gap(Gap(stream: self.stream, reason: reason, after: from, upTo: position)))
    }
}
