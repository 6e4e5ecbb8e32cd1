package import BusbarDriver
import DequeModule

/// What a node knows of one stream's log at a moment: which of its records are second copies.
///
/// A store that keeps repeats has a record twice, as has one that was wiped between two attempts. Whoever resumes between the two
/// must not get the second one, also when the first is no longer retained. The node that has met both knows better than the log.
package struct Recollection {
    private let position: Position?
    private let repeats: RepeatTable
    private let writers: WriterTable
    private let writersBefore: WriterTable
    private let skipped: [SkippedStretch]

    /// - Parameters:
    ///   - position: how far the node has come.
    ///   - repeats: what it has met up to there for the second time.
    ///   - writers: whose records it has met up to there.
    ///   - writersBefore: the same when the present epoch began.
    ///   - skipped: where it has met nothing.
    package init(
        position: Position?, repeats: RepeatTable, writers: WriterTable, writersBefore: WriterTable,
        skipped: [SkippedStretch] = []
    ) {
        self.skipped = skipped
        self.position = position
        self.repeats = repeats
        self.writers = writers
        self.writersBefore = writersBefore
    }

    /// Whether the record of `key` at `place` is one that the node dropped, or will drop when it gets there.
    package func isRepeat(_ key: RecordKey, at place: Position) -> Bool {
        guard let position = self.position, position.epoch == place.epoch else { return false }
        if place.offset > position.offset { return self.writers.knows(key) }
        return self.repeats.contains(place.offset) || self.writersBefore.knows(key)
            || self.skipped.contains { $0.after < place.offset && place.offset <= $0.upTo && $0.writers.knows(key) }
    }
}

/// Offsets that a node passed with a gap, and whose records it had met by then. What lies there may be met again by reading.
package struct SkippedStretch {
    /// So many are remembered, the newest.
    package static let limit = 8

    package let after: Offset
    package let upTo: Offset
    package let writers: WriterTable
}

/// Offsets of one epoch at which a node met a record for the second time, in offset order. Bounded: the newest 1 024 are kept.
package struct RepeatTable {
    package static let limit = 1_024

    private var offsets: Deque<Offset> = []

    package init() {}

    package var count: Int { self.offsets.count }

    /// Notes an offset larger than all before.
    package mutating func append(_ offset: Offset) {
        if self.offsets.count == Self.limit { self.offsets.removeFirst() }
        self.offsets.append(offset)
    }

    /// Forgets everything: another epoch counts anew.
    package mutating func removeAll() {
        self.offsets.removeAll()
    }

    package func contains(_ offset: Offset) -> Bool {
        guard let oldest = self.offsets.first, let newest = self.offsets.last else { return false }
        // Why: repeats are rare, so hardly anybody gets as far as the search.
        return oldest <= offset && offset <= newest && self.offsets.contains(offset)
    }
}
