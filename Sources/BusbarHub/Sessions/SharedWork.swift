import Synchronization

/// The work of one connection: put in on its event loop, and taken out also by the task that works on it.
///
/// Why: a task that goes on with the next call by itself, without asking the loop, publishes several messages while the loop is
/// busy with one, and what has gathered is sent together.
package final class SharedWork<Item: Sendable>: Sendable {
    private let queue: Mutex<WorkQueue<Item>>

    package init(limits: WorkQueue<Item>.Limits) {
        self.queue = Mutex(WorkQueue(limits: limits))
    }

    package var isFull: Bool { self.queue.withLock { $0.isFull } }

    package func offer(_ item: Item, bytes: Int) -> Item? { self.queue.withLock { $0.offer(item, bytes: bytes) } }

    package func finished() -> Item? { self.queue.withLock { $0.finished() } }

    package func removeWaiting() { self.queue.withLock { $0.removeWaiting() } }

    /// The next item if it is wanted, and whether taking it made room in a full queue.
    package func next(where isWanted: @Sendable (Item) -> Bool) -> (item: Item, madeRoom: Bool)? {
        self.queue.withLock { queue in
            let wasFull = queue.isFull
            return queue.next(where: isWanted).map { ($0, wasFull && !queue.isFull) }
        }
    }
}
