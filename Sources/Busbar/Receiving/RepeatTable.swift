package import BusbarDriver
import DequeModule

/// Offsets of one epoch at which a node met a record for the second time, in offset order. Bounded: the newest 1 024 are kept.
///
/// A store that keeps repeats has a record twice. Whoever resumes between the two copies must not get the second one, also when the
/// first is no longer retained; the node that has seen both says which one that is.
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
