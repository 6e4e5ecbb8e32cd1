package import BusbarDriver
import DequeModule

/// How much a subscriber may have waiting, and what happens beyond.
public struct SubscriberLimits: Hashable, Sendable {
    public enum Overflow: Hashable, Sendable {
        /// Give up the oldest messages and say so with a gap.
        case dropOldest
        /// End the subscription with ``BusError/Code/subscriberTooSlow``.
        case disconnect
    }

    /// Bytes of messages that may wait, bookkeeping included.
    public var queuedBytes: Int = 1 << 20
    public var overflow: Overflow = .dropOldest
    /// How much one delivery of a subscription brings, in bytes. Records are never split: with 1, each comes by itself,
    /// with a cursor of its own behind it.
    public var deliveryBytes: Int = 256 << 10

    public init() {}
}

/// How far a stream's delivery has come, and a count that grows with every step of it.
package struct StreamHead: Hashable, Sendable {
    package var position: Position
    package var step: UInt64

    package init(position: Position, step: UInt64) {
        self.position = position
        self.step = step
    }
}

extension Position {
    /// Where a stream stands that was never reached.
    package static func beforeFirstLink(_ stream: StreamID) -> Self {
        Position(stream: stream, epoch: Epoch(0), offset: .beginning)
    }
}

/// What waits for one subscriber, bounded in bytes.
///
/// Cursors stand on record boundaries, so all messages of a record are taken together. While a record is being
/// dispatched its step is not yet part of the stream's head; whoever takes passes the heads and gets nothing beyond
/// them.
package struct SubscriberQueue {
    private enum Content {
        case message(Message)
        case gap(Gap)
    }

    private struct Entry {
        let content: Content
        let cost: Int
        let stream: StreamID
        let step: UInt64
        let position: Position

        /// Whether it lies within what the streams have come to.
        func isDue(_ heads: [StreamHead]) -> Bool {
            guard let head = heads.first(where: { $0.position.stream == self.stream }) else {
                // Why: before its first link a stream has no head, and delivers what is local.
                return self.position == .beforeFirstLink(self.stream)
            }
            return self.step <= head.step
        }
    }

    package enum Verdict: Hashable {
        /// Nothing waited before: wake the subscriber.
        case becameFilled
        case queued
        /// Not wanted: before the place where this subscriber starts, or after its end.
        case ignored
        /// The queue was full and the policy is to disconnect. Wake the subscriber; it is over.
        case disconnected
    }

    package private(set) var bytes = 0
    package private(set) var isDisconnected = false
    /// Messages and notices given up so far.
    package private(set) var droppedCount = 0

    private let limits: SubscriberLimits
    private var entries: Deque<Entry> = []
    /// What was given up, to be reported before anything else.
    private var lost: [Gap] = []
    /// One place per followed stream, in the order of streams: what was taken so far.
    private var taken: [Position] = []
    /// Places ahead of this node at which a subscriber resumed: it has seen what this node will deliver up to there.
    private var skipping: [Position] = []

    package init(limits: SubscriberLimits) {
        self.limits = limits
    }

    package var isEmpty: Bool { self.entries.isEmpty && self.lost.isEmpty }
    package var isOverHalf: Bool { self.bytes > self.limits.queuedBytes / 2 }

    /// Starts, or moves, the place from which this subscriber depends on a stream.
    package mutating func follow(_ position: Position) {
        if let index = self.taken.firstIndex(where: { $0.stream >= position.stream }) {
            if self.taken[index].stream == position.stream {
                self.taken[index] = position
            } else {
                self.taken.insert(position, at: index)
            }
        } else {
            self.taken.append(position)
        }
    }

    /// Follows a stream from a place that this node has not reached yet.
    package mutating func follow(ahead position: Position) {
        self.follow(position)
        self.skipping.append(position)
    }

    /// Stops depending on a stream. What waits of it is still delivered.
    package mutating func unfollow(_ stream: StreamID) {
        self.taken.removeAll { $0.stream == stream }
    }

    /// Takes in a message of the record at `head`. `isLocal`: it has no record of its own and comes after the one at
    /// `head`.
    package mutating func offer(_ message: Message, at head: StreamHead, isLocal: Bool = false) -> Verdict {
        guard !self.isDisconnected else { return .ignored }
        if !self.skipping.isEmpty, !isLocal, self.isSkipped(head.position) { return .ignored }
        return self.push(.message(message), cost: message.cost, at: head)
    }

    package mutating func offer(_ gap: Gap, at head: StreamHead) -> Verdict {
        guard !self.isDisconnected else { return .ignored }
        // Why: what this node missed on the way to where the subscriber already is, the subscriber has not missed.
        if gap.reason != .rewound, self.isSkipped(gap.upTo) { return .ignored }
        self.skipping.removeAll { $0.stream == gap.stream }
        return self.push(.gap(gap), cost: Self.gapCost, at: head)
    }

    /// Takes what waits: gaps, then messages up to the next gap, at most about `limitBytes` but at least one record's.
    package mutating func take(limitBytes: Int, heads: [StreamHead]) -> Delivery? {
        guard !self.isEmpty else { return nil }
        var gaps = self.lost
        var messages: [Message] = []
        var takenBytes = 0
        var lastStep: (StreamID, UInt64)?
        for gap in gaps { self.move(to: gap.upTo) }
        self.lost.removeAll()
        if self.bytes <= limitBytes { messages.reserveCapacity(self.entries.count) }
        taking: while let entry = self.entries.first {
            guard entry.isDue(heads) else { break }
            switch entry.content {
            case .gap(let gap):
                guard messages.isEmpty else { break taking }
                gaps.append(gap)
            case .message(let message):
                let isSameRecord = lastStep.map { $0 == (entry.stream, entry.step) } ?? true
                guard isSameRecord || takenBytes + entry.cost <= limitBytes else { break taking }
                messages.append(message)
                takenBytes += entry.cost
                lastStep = (entry.stream, entry.step)
            }
            self.bytes -= entry.cost
            self.move(to: entry.position)
            self.entries.removeFirst()
        }
        guard !gaps.isEmpty || !messages.isEmpty else { return nil }
        return Delivery(gaps: gaps, messages: messages, frontier: self.frontier(heads: heads))
    }

    /// Where the subscriber stands: behind what was taken, and at the heads when nothing waits.
    package mutating func frontier(heads: [StreamHead]) -> Frontier {
        if self.isEmpty {
            for head in heads where !self.isSkipped(head.position) { self.move(to: head.position) }
        }
        return Frontier(positions: self.taken)
    }
}

extension SubscriberQueue {
    private static let gapCost = 64

    private func isSkipped(_ position: Position) -> Bool {
        self.skipping.contains {
            $0.stream == position.stream && $0.epoch == position.epoch && position.offset <= $0.offset
        }
    }

    private mutating func move(to position: Position) {
        guard let index = self.taken.firstIndex(where: { $0.stream == position.stream }) else { return }
        self.taken[index] = position
    }

    private mutating func push(_ content: Content, cost: Int, at head: StreamHead) -> Verdict {
        let wasEmpty = self.isEmpty
        if self.bytes + cost > self.limits.queuedBytes, !self.entries.isEmpty {
            guard self.limits.overflow == .dropOldest else { return self.disconnect() }
            self.makeRoom(for: cost)
        }
        self.bytes += cost
        self.entries.append(
            Entry(
                content: content, cost: cost, stream: head.position.stream, step: head.step, position: head.position
            )
        )
        return wasEmpty ? .becameFilled : .queued
    }

    private mutating func disconnect() -> Verdict {
        self.isDisconnected = true
        self.entries.removeAll()
        self.lost.removeAll()
        self.bytes = 0
        return .disconnected
    }

    private mutating func makeRoom(for cost: Int) {
        while self.bytes + cost > self.limits.queuedBytes, let oldest = self.entries.popFirst() {
            self.bytes -= oldest.cost
            self.droppedCount += 1
            self.report(oldest)
        }
    }

    /// One notice per stream covers everything given up of it.
    private mutating func report(_ dropped: Entry) {
        let index = self.lost.firstIndex { $0.stream == dropped.stream }
        let after: Position?
        if let index {
            after = self.lost[index].after
        } else if case .gap(let gap) = dropped.content {
            // Why: a notice may reach further back than what was taken here, as after a cursor that couldn't be
            // honoured.
            after = gap.after
        } else {
            after = self.taken.first { $0.stream == dropped.stream }
        }
        let gap = Gap(stream: dropped.stream, reason: .slowSubscriber, after: after, upTo: dropped.position)
        if let index { self.lost[index] = gap } else { self.lost.append(gap) }
    }
}
