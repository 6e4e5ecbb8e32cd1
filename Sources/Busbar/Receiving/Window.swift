package import BusbarDriver
import DequeModule

/// The newest messages of a stream in memory, bounded in bytes and count. Everything after ``floor`` up to ``head`` is in it.
package struct Window {
    package struct Entry {
        package let offset: Offset
        package let messages: [Message]
        package let cost: Int
    }

    /// Resuming from here or later needs no log. Nil before the stream has a position.
    package private(set) var floor: Position?
    package private(set) var head: Position?
    package private(set) var bytes = 0
    package private(set) var count = 0

    private let limitBytes: Int
    private let limitCount: Int
    private var entries: Deque<Entry> = []

    package init(limitBytes: Int, limitCount: Int) {
        self.limitBytes = limitBytes
        self.limitCount = limitCount
    }

    /// Begins anew at `position`: at the start, and behind every gap, so that whoever resumes from before it asks the log.
    package mutating func restart(at position: Position) {
        self.entries.removeAll()
        self.bytes = 0
        self.count = 0
        self.floor = position
        self.head = position
    }

    package mutating func append(_ messages: [Message], at position: Position) {
        let cost = messages.reduce(0) { $0 + $1.cost }
        self.entries.append(Entry(offset: position.offset, messages: messages, cost: cost))
        self.bytes += cost
        self.count += messages.count
        self.head = position
        while self.bytes > self.limitBytes || self.count > self.limitCount, let oldest = self.entries.popFirst() {
            self.bytes -= oldest.cost
            self.count -= oldest.messages.count
            self.floor = Position(stream: position.stream, epoch: position.epoch, offset: oldest.offset)
        }
    }

    /// The stream moved on without anything to deliver, as after a repeat.
    package mutating func advance(to position: Position) {
        if self.entries.isEmpty { self.floor = position }
        self.head = position
    }

    /// Whether everything after `position` is here.
    package func reaches(back position: Position) -> Bool {
        guard let floor = self.floor, let head = self.head, position.epoch == head.epoch else { return false }
        return floor.offset <= position.offset && position.offset <= head.offset
    }

    /// Index of the first entry after `offset`.
    package func firstIndex(after offset: Offset) -> Int {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].offset > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }

    package var entryCount: Int { self.entries.count }

    package subscript(index: Int) -> Entry { self.entries[index] }
}
