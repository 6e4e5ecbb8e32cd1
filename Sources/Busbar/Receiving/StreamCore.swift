package import BusbarDriver

/// Receiving side of one stream with everything that hangs on it: receiver, window, listeners and taps. Driven under the stream's
/// lock; it calls nobody out but says whom to wake afterwards.
package struct StreamCore {
    /// What the shell has to do once the lock is released.
    package struct Outcome {
        package var wakes: [Subscriber] = []
        package var read: StreamReceiver.ReadRequest?
        package var wantsCheck = false
    }

    /// Totals since the start.
    package struct Counts: Hashable, Sendable {
        package var delivered: UInt64 = 0
        package var repeats: UInt64 = 0
        package var gaps: UInt64 = 0
        package var repairs: UInt64 = 0
        package var poison: UInt64 = 0
        package var local: UInt64 = 0
    }

    /// Where a resuming subscriber stands relative to what this node has in memory.
    package enum Standing: Hashable {
        /// Everything since is in the window.
        case inWindow
        /// Older: the log must be read.
        case inLog
        /// Newer than what this node has received: the store must be asked whether it exists.
        case ahead
        case otherEpoch
    }

    package private(set) var receiver: StreamReceiver
    package private(set) var window: Window
    package private(set) var counts = Counts()
    package private(set) var index = TopicIndex()
    private var repeats = RepeatTable()
    private var taps: [Subscriber] = []
    private var step: UInt64 = 0
    /// The newest place the store has told this node's publishers of; delivery may still be on its way.
    private var stored: Position?
    // Why: kept between calls so that the usual case allocates nothing here.
    private var effects: [StreamReceiver.Effect] = []

    package init(receiver: StreamReceiver, window: Window) {
        self.receiver = receiver
        self.window = window
    }

    /// Nil until the first link was live.
    package var head: StreamHead? {
        self.receiver.position.map { StreamHead(position: $0, step: self.step) }
    }

    package mutating func linkBecameLive(_ extent: StreamExtent, now: Moment) -> Outcome {
        let isFirst = self.receiver.position == nil
        self.receiver.linkBecameLive(extent, now: now, effects: &self.effects)
        if isFirst, let position = self.receiver.position {
            self.window.restart(at: position)
            for tap in self.taps { tap.follow(position) }
        }
        return self.applyEffects()
    }

    package mutating func linkBroke() {
        self.receiver.linkBroke()
    }

    package mutating func received(epoch: Epoch, _ records: [StoredRecord], now: Moment) -> Outcome {
        self.receiver.received(epoch: epoch, records, now: now, effects: &self.effects)
        return self.applyEffects()
    }

    package mutating func pageRead(_ page: Page, for request: StreamReceiver.ReadRequest, now: Moment) -> Outcome {
        self.receiver.pageRead(page, for: request, now: now, effects: &self.effects)
        return self.applyEffects()
    }

    package mutating func readFailed(_ request: StreamReceiver.ReadRequest, now: Moment) {
        self.receiver.readFailed(request, now: now)
    }

    package mutating func checked(_ extent: StreamExtent, askedAt: Position, now: Moment) -> Outcome {
        self.receiver.checked(extent, askedAt: askedAt, now: now, effects: &self.effects)
        return self.applyEffects()
    }

    package mutating func tick(now: Moment) -> Outcome {
        self.receiver.tick(now: now, effects: &self.effects)
        return self.applyEffects()
    }

    /// Delivers to this node only; no position moves and no window keeps it.
    package mutating func deliverLocally(_ message: Message) -> Outcome {
        var outcome = Outcome()
        let position = self.receiver.position ?? .beforeFirstLink(self.receiver.stream)
        self.step += 1
        let head = StreamHead(position: position, step: self.step)
        for tap in self.taps where tap.offer(message, at: head, isLocal: true) { outcome.wakes.append(tap) }
        for listener in self.index[message.topic] ?? [] where listener.offer(message, at: head, isLocal: true) {
            outcome.wakes.append(listener)
        }
        self.counts.local += 1
        return outcome
    }
}

extension StreamCore {
    package mutating func addTap(_ tap: Subscriber) {
        self.taps.append(tap)
        tap.follow(self.receiver.position ?? .beforeFirstLink(self.receiver.stream))
    }

    package mutating func removeTap(_ tap: Subscriber) {
        self.taps.removeAll { $0 === tap }
    }

    /// The store has accepted a record of this node.
    package mutating func recordWasStored(_ position: Position) {
        self.stored = position
    }

    /// Where who begins now stands: after everything whose publish has returned here, even if its delivery lags behind. Nil until
    /// the first link was live.
    private var now: Position? {
        guard let head = self.receiver.position else { return nil }
        guard let stored = self.stored, stored.epoch == head.epoch, stored.offset > head.offset else { return head }
        return stored
    }

    /// Listens to topics from now on. A subscriber new to this stream depends on it from `start`, or from now.
    package mutating func add(_ subscriber: Subscriber, to topics: some Sequence<Topic>, from start: Position? = nil) {
        if !self.index.isFollowing(subscriber), let head = self.receiver.position {
            if let start {
                subscriber.follow(start)
            } else if let now = self.now, now != head {
                subscriber.follow(ahead: now)
            } else {
                subscriber.follow(head)
            }
        }
        for topic in topics { self.index.add(subscriber, to: topic) }
    }

    /// Listens to topics from now on, and tells the subscriber first that what came since `after` is not to be had.
    package mutating func add(
        _ subscriber: Subscriber, to topics: some Sequence<Topic>, missing reason: Gap.Reason, since after: Position?
    ) {
        if let head = self.head, let now = self.now {
            let gap = Gap(stream: self.receiver.stream, reason: reason, after: after, upTo: now)
            _ = subscriber.offer(gap, at: StreamHead(position: now, step: head.step))
        }
        self.add(subscriber, to: topics)
    }

    package mutating func remove(_ subscriber: Subscriber, from topics: some Sequence<Topic>) {
        for topic in topics where self.index.remove(subscriber, from: topic) {
            subscriber.unfollow(self.receiver.stream)
        }
    }

    /// What this node knows to lie in the log for the second time.
    package var recollection: Recollection {
        Recollection(
            position: self.receiver.position, repeats: self.repeats, writers: self.receiver.writers,
            writersBefore: self.receiver.writersBefore, skipped: self.receiver.skipped
        )
    }

    package func standing(of position: Position) -> Standing {
        guard let head = self.receiver.position, head.epoch == position.epoch else { return .otherEpoch }
        if position.offset > head.offset { return .ahead }
        return self.window.reaches(back: position) ? .inWindow : .inLog
    }

    /// A stretch of the window after `position`, whole records, at most about `limitBytes` but at least one record if there is any.
    /// - Returns: the wanted messages, and the place behind what was looked at.
    package func windowPage(
        after position: Position, upTo last: Offset? = nil, limitBytes: Int, isWanted: (Message, Offset) -> Bool
    ) -> (messages: [Message], end: Position) {
        guard var end = self.window.head else { return ([], position) }
        if let last, last < end.offset { end = Position(stream: end.stream, epoch: end.epoch, offset: last) }
        var messages: [Message] = []
        var bytes = 0
        for index in self.window.firstIndex(after: position.offset)..<self.window.entryCount {
            let entry = self.window[index]
            guard entry.offset <= end.offset else { break }
            let wanted = entry.messages.filter { isWanted($0, entry.offset) }
            let cost = wanted.reduce(0) { $0 + $1.cost }
            if bytes + cost > limitBytes, !messages.isEmpty {
                let previous = self.window[index - 1].offset
                return (messages, Position(stream: end.stream, epoch: end.epoch, offset: previous))
            }
            messages.append(contentsOf: wanted)
            bytes += cost
        }
        return (messages, end.offset < position.offset ? position : end)
    }

    private mutating func applyEffects() -> Outcome {
        var outcome = Outcome()
        guard !self.effects.isEmpty else { return outcome }
        for effect in self.effects {
            switch effect {
            case .deliver(let record): self.deliver(record, &outcome)
            case .gap(let gap): self.report(gap, &outcome)
            case .read(let request):
                outcome.read = request
                self.counts.repairs += 1
            case .check: outcome.wantsCheck = true
            case .drop(let offset, let why): self.note(offset, why, &outcome)
            }
        }
        self.effects.removeAll(keepingCapacity: true)
        return outcome
    }

    private mutating func note(_ offset: Offset, _ why: StreamReceiver.Dropped, _ outcome: inout Outcome) {
        switch why {
        case .repeatedOffset: self.counts.repeats += 1
        case .repeatedKey:
            self.counts.repeats += 1
            self.repeats.append(offset)
            if let position = self.place(of: offset) { self.window.advance(to: position) }
        case .poison: self.poisoned(offset, &outcome)
        case .formerEpoch, .early: break
        }
    }

    private func place(of offset: Offset) -> Position? {
        self.receiver.position.map { Position(stream: $0.stream, epoch: $0.epoch, offset: offset) }
    }

    private mutating func deliver(_ record: StoredRecord, _ outcome: inout Outcome) {
        guard let position = self.place(of: record.offset) else { return }
        guard let messages = try? Pack.messages(in: record.bytes) else { return self.poisoned(record.offset, &outcome) }
        self.step += 1
        let head = StreamHead(position: position, step: self.step)
        self.window.append(messages, at: position)
        self.counts.delivered += UInt64(messages.count)
        for tap in self.taps where tap.offer(messages, at: head) { outcome.wakes.append(tap) }
        for message in messages {
            guard let listeners = self.index[message.topic] else { continue }
            for listener in listeners where listener.offer(message, at: head) { outcome.wakes.append(listener) }
        }
    }

    private mutating func poisoned(_ offset: Offset, _ outcome: inout Outcome) {
        guard let position = self.place(of: offset) else { return }
        self.counts.poison += 1
        let before = Position(
            stream: position.stream, epoch: position.epoch, offset: Offset(max(1, offset.rawValue) - 1)
        )
        self.report(Gap(stream: position.stream, reason: .poison, after: before, upTo: position), &outcome)
    }

    private mutating func report(_ gap: Gap, _ outcome: inout Outcome) {
        self.step += 1
        self.counts.gaps += 1
        if self.window.head?.epoch != gap.upTo.epoch { self.repeats.removeAll() }
        // Why: what was stored is gone, and its offset will name something else.
        if gap.reason == .rewound { self.stored = nil }
        self.window.restart(at: gap.upTo)
        let head = StreamHead(position: gap.upTo, step: self.step)
        for tap in self.taps where tap.offer(gap, at: head) { outcome.wakes.append(tap) }
        for follower in self.index.allFollowers where follower.offer(gap, at: head) { outcome.wakes.append(follower) }
    }
}
