package import Busbar
import DequeModule

/// What one step of the tap brings to every event loop: decoded once, shared by all of them.
package struct LaneBatch: Sendable {
    package var records: [LaneRecord]
    /// The place after the batch.
    package var frontier: Frontier
    /// Payload and topic bytes of the records, the batch's charge in a lane.
    package var bytes: Int

    package init(records: [LaneRecord], frontier: Frontier, bytes: Int) {
        self.records = records
        self.frontier = frontier
        self.bytes = bytes
    }
}

/// One record of the hub runtime with the topic it was published to.
package struct LaneRecord: Sendable {
    package let topic: Topic
    package let content: HubRecord

    package init(topic: Topic, content: HubRecord) {
        self.topic = topic
        self.content = content
    }
}

/// What waits for one event loop: batches, bounded in bytes, and whether the loop has been asked to come for them.
///
/// One batch is in flight per loop. While the loop works on it, what arrives collects and becomes the next one: under
/// load batches grow by themselves.
package struct LaneQueue: Sendable {
    package enum Offer: Hashable, Sendable {
        /// The loop is idle: ask it to come.
        case wakeLoop
        /// The loop comes anyway.
        case queued
    }

    private var pending: Deque<LaneBatch> = []
    private var isScheduled = false
    private let limitBytes: Int
    package private(set) var queuedBytes = 0

    package init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    /// Whether the tap must not be drained any further for now.
    package var isFull: Bool { self.queuedBytes >= self.limitBytes }

    /// Takes a batch, however full the lane is; ask ``isFull`` before.
    package mutating func offer(_ batch: LaneBatch) -> Offer {
        self.pending.append(batch)
        self.queuedBytes += batch.bytes
        if self.isScheduled { return .queued }
        self.isScheduled = true
        return .wakeLoop
    }

    /// What the loop works on next: everything that waits, joined, at most about `limitBytes`. Nil = the loop is idle
    /// now.
    package mutating func take(limitBytes: Int) -> LaneBatch? {
        guard var batch = self.pending.popFirst() else {
            self.isScheduled = false
            return nil
        }
        while let next = self.pending.first, batch.bytes + next.bytes <= limitBytes {
            self.pending.removeFirst()
            batch.records.append(contentsOf: next.records)
            batch.bytes += next.bytes
            batch.frontier = next.frontier
        }
        self.queuedBytes -= batch.bytes
        return batch
    }
}
