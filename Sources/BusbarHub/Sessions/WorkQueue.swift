import DequeModule

/// The work of one connection: calls and lifetime events, one at a time, in order, bounded in count and bytes.
package struct WorkQueue<Item> {
    package struct Limits: Hashable, Sendable {
        package var count: Int
        package var bytes: Int

        package init(count: Int, bytes: Int) {
            self.count = count
            self.bytes = bytes
        }
    }

    private let limits: Limits
    private var waiting: Deque<(item: Item, bytes: Int)> = []
    private var waitingBytes = 0
    /// Whether an item is being worked on.
    package private(set) var isBusy = false

    package init(limits: Limits) {
        self.limits = limits
    }

    package var isEmpty: Bool { self.waiting.isEmpty && !self.isBusy }

    /// Whether nothing more should be read from the peer for now. One item may always wait, whatever its size.
    package var isFull: Bool {
        self.waiting.count >= self.limits.count || (!self.waiting.isEmpty && self.waitingBytes >= self.limits.bytes)
    }

    /// Puts an item at the end and returns the item to start now, if the connection is idle.
    package mutating func offer(_ item: Item, bytes: Int = 0) -> Item? {
        if self.isBusy {
            self.waiting.append((item, bytes))
            self.waitingBytes += bytes
            return nil
        }
        self.isBusy = true
        return item
    }

    /// The running item is done: returns the next to start, if any.
    package mutating func finished() -> Item? {
        guard let next = self.waiting.popFirst() else {
            self.isBusy = false
            return nil
        }
        self.waitingBytes -= next.bytes
        return next.item
    }

    /// The running item is done and `isWanted` holds for the next: it runs now. Nil, and nothing has changed, otherwise.
    package mutating func next(where isWanted: (Item) -> Bool) -> Item? {
        guard self.isBusy, let first = self.waiting.first, isWanted(first.item) else { return nil }
        return self.finished()
    }

    /// Forgets what waits and is unwanted. The running item stays.
    package mutating func removeWaiting(where isUnwanted: (Item) -> Bool) {
        self.waiting.removeAll { isUnwanted($0.item) }
        self.waitingBytes = self.waiting.reduce(0) { $0 + $1.bytes }
    }

    /// Forgets what waits. The running item stays.
    package mutating func removeWaiting() { _ = self.takeWaiting() }

    /// Hands out what waits, which is not started any more. The running item stays.
    package mutating func takeWaiting() -> [Item] {
        defer {
            self.waiting.removeAll()
            self.waitingBytes = 0
        }
        return self.waiting.map(\.item)
    }
}

extension WorkQueue: Sendable where Item: Sendable {}
