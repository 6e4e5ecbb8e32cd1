import DequeModule
import Synchronization

/// Hands work to the one task that does it; at most ``limit`` items wait.
package final class Mailbox<Item: Sendable>: Sendable {
    private struct State {
        var items: Deque<Item> = []
        var reader: CheckedContinuation<Item?, Never>?
    }

    private let state = Mutex(State())

    package init() {}

    package static var limit: Int { 8 }

    /// False when the mailbox is full; the item is not taken then.
    @discardableResult
    package func put(_ item: Item) -> Bool {
        let (isTaken, reader) = self.state.withLock { state -> (Bool, CheckedContinuation<Item?, Never>?) in
            if let reader = state.reader.take() { return (true, reader) }
            guard state.items.count < Self.limit else { return (false, nil) }
            state.items.append(item)
            return (true, nil)
        }
        reader?.resume(returning: item)
        return isTaken
    }

    /// The next item; nil when the task was cancelled.
    package func next() async -> Item? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Item?? = self.state.withLock { state in
                    if Task.isCancelled { return .some(nil) }
                    if let item = state.items.popFirst() { return item }
                    state.reader = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.state.withLock { $0.reader.take() }?.resume(returning: nil)
        }
    }
}
