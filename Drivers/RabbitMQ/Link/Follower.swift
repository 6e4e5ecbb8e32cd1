package import BusbarDriver

/// Follows one stream queue message by message, across reconnects.
///
/// The broker promises rising places, not places without holes, and it begins at the oldest message when the one asked for is no
/// longer there. So a hole is suspicious: what comes behind it is held until a look has shown what lies in it, and that nothing was
/// dropped.
///
/// A value without I/O.
package struct Follower {
    package enum Sighting: Hashable {
        case nothing
        case records([StoredRecord])
        /// There is a hole before it: look for what lies there, then report ``holeExamined(_:oldestPlace:)``.
        case hole
        /// The queue holds another log than the one that was followed, or what is missing was dropped.
        case broken(String)
    }

    package let stream: StreamID
    package private(set) var epoch: Epoch
    /// Everything up to this message was seen.
    package private(set) var place: UInt64
    private var held: [LogEntry] = []
    private let heldLimit: Int

    /// Begins behind what `extent` holds.
    package init(_ stream: StreamID, _ extent: StreamExtent, heldLimit: Int = 4_096) {
        self.stream = stream
        self.epoch = extent.epoch
        self.place = extent.newest.rawValue / RecordPlace.stride
        self.heldLimit = heldLimit
    }

    /// The next message.
    package var start: UInt64 { self.place + 1 }
    /// Where a consumer has to begin.
    ///
    /// Why at a message that was seen: RabbitMQ may skip one that is just being written when a consumer asks for it.
    package var anchor: UInt64 { self.place }

    /// The link is made anew and found this: goes on where it was, if it is the same log and still there.
    package mutating func resume(_ extent: StreamExtent) {
        self.held = []
        let newest = extent.newest.rawValue / RecordPlace.stride
        guard extent.epoch == self.epoch, newest >= self.place else {
            self = Follower(self.stream, extent, heldLimit: self.heldLimit)
            return
        }
        // Why: the bus was told the same extent and reports what was dropped.
        self.place = max(self.place, extent.oldest.rawValue / RecordPlace.stride)
    }

    package mutating func saw(_ entry: LogEntry) -> Sighting {
        guard entry.place > self.place else { return .nothing }
        guard self.held.isEmpty, entry.place == self.start else {
            guard self.held.count < self.heldLimit else { return .broken("too much arrived behind a hole") }
            self.held.append(entry)
            return self.held.count == 1 ? .hole : .nothing
        }
        return self.take(entry)
    }

    /// What a look from ``start`` on found, and where the oldest message lay *after* that.
    package mutating func holeExamined(_ found: [LogEntry], oldestPlace: UInt64) -> Sighting {
        guard oldestPlace <= self.start else { return .broken("messages were dropped before they were delivered") }
        guard let first = self.held.first, let last = found.last, last.place + 1 >= first.place else {
            return .broken("a hole that is too large to be looked into")
        }
        let held = self.held
        self.held = []
        // Why first: whatever is given up here is asked for again by the next consumer, so nothing may have been taken yet.
        guard zip(held, held.dropFirst()).allSatisfy({ $1.place == $0.place + 1 }) else {
            return .broken("one hole behind another")
        }
        var records: [StoredRecord] = []
        for entry in found.prefix(while: { $0.place < first.place }) + held where entry.place > self.place {
            switch self.take(entry) {
            case .records(let more): records += more
            case .nothing, .hole: break
            case .broken(let why): return .broken(why)
            }
        }
        return records.isEmpty ? .nothing : .records(records)
    }

    private mutating func take(_ entry: LogEntry) -> Sighting {
        if case .batch(let epoch, _) = entry.content, epoch != self.epoch {
            return .broken("the queue was made anew")
        }
        self.place = entry.place
        return entry.isBatch ? .records(entry.records) : .nothing
    }
}
