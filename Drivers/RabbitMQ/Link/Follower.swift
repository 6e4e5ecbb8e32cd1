package import BusbarDriver

/// Follows one stream queue message by message, across reconnects.
///
/// The broker promises rising places, not places without holes, and it begins at the oldest message when the one asked for is no
/// longer there. So a hole is suspicious: what comes behind it is held until the oldest message's place has shown that nothing
/// was dropped.
///
/// A value without I/O.
package struct Follower {
    package enum Sighting: Hashable {
        case nothing
        case records([StoredRecord])
        /// There is a hole before it: look for the oldest message, then report ``holeExamined(oldestPlace:)``.
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

    /// Where a consumer has to begin.
    package var start: UInt64 { self.place + 1 }

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

    /// The oldest message lay at this place *after* the hole was seen.
    package mutating func holeExamined(oldestPlace: UInt64) -> Sighting {
        guard oldestPlace <= self.start else { return .broken("messages were dropped before they were delivered") }
        var records: [StoredRecord] = []
        let held = self.held
        self.held = []
        for (index, entry) in held.enumerated() where entry.place > self.place {
            // Why only the first: a further hole is as suspicious as this one.
            guard index == 0 || entry.place == self.start else { return .broken("one hole behind another") }
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
