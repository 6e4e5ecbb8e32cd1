/// Where connections leave work that suspends, such as asking an authenticator; ``run()`` owns the tasks that do it.
final class WorkQueue: Sendable {
    typealias Work = @Sendable () async -> Void

    private let queue: AsyncStream<Work>
    private let entrance: AsyncStream<Work>.Continuation

    /// - Parameter limit: how many pieces of work may wait to be begun.
    init(limit: Int = 4_096) {
        (self.queue, self.entrance) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(limit))
    }

    /// Leaves a piece of work. Returns false, and does nothing, when too much is waiting or the queue has ended.
    func submit(_ work: @escaping Work) -> Bool {
        switch self.entrance.yield(work) {
        case .enqueued: true
        case .dropped, .terminated: false
        @unknown default: false
        }
    }

    /// Does the work, each piece concurrently, until the task is cancelled or ``finish()`` was called and all is done.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await work in self.queue {
                group.addTask { await work() }
            }
        }
    }

    func finish() {
        self.entrance.finish()
    }
}
