package import BusbarDriver

/// The last sequence seen of each writer. A writer's records of one stream lie in the log in the order of their sequences, so
/// whatever is not larger is a repeat. Bounded: beyond 4 096 writers the ones silent for longest are forgotten.
package struct WriterTable {
    private struct Writer: Hashable {
        let node: UInt64
        let incarnation: UInt64
    }

    private struct Entry {
        var sequence: UInt64
        var seen: UInt64
    }

    package static let limit = 4_096

    private var entries: [Writer: Entry] = [:]
    private var clock: UInt64 = 0
    // Why: most nodes hear one writer many times in a row; comparing two integers spares the hashing.
    private var latest: Writer?
    private var latestSequence: UInt64 = 0

    package init() {}

    package var count: Int { self.entries.count + (self.latest == nil ? 0 : 1) }

    /// Notes a record; false when it is a repeat.
    package mutating func admit(_ key: RecordKey) -> Bool {
        let writer = Writer(node: key.node, incarnation: key.incarnation)
        if writer != self.latest { self.change(to: writer) }
        guard key.sequence > self.latestSequence else { return false }
        self.latestSequence = key.sequence
        return true
    }

    /// Whether a record of this key, or a later one of its writer, was admitted.
    package func knows(_ key: RecordKey) -> Bool {
        let writer = Writer(node: key.node, incarnation: key.incarnation)
        let last = writer == self.latest ? self.latestSequence : self.entries[writer]?.sequence ?? 0
        return key.sequence <= last
    }

    private mutating func change(to writer: Writer) {
        self.clock += 1
        if let latest = self.latest {
            self.entries[latest] = Entry(sequence: self.latestSequence, seen: self.clock)
        }
        self.latest = writer
        self.latestSequence = self.entries.removeValue(forKey: writer)?.sequence ?? 0
        guard self.entries.count >= Self.limit else { return }
        let recent = self.entries.sorted { $0.value.seen > $1.value.seen }.prefix(Self.limit / 2)
        self.entries = Dictionary(uniqueKeysWithValues: recent.map { ($0.key, $0.value) })
    }
}
