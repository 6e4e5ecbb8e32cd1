import Synchronization

/// A driver that takes a batch without a task of its own, and says later what became of it.
///
/// An ability beyond the contract: a driver that has none is a ``BackplaneDriver`` and complete. For drivers on a thread or event
/// loop of their own it spares the bus two changes of thread per append, which on an idle machine take longer than the append.
public protocol DirectDriver: BackplaneDriver {
    /// As ``BackplaneDriver/append(_:to:)``, with the outcome given to `completion`: once, from any thread, and bounded in time. A
    /// failure may be given before this returns, a success may not: what is appended next is appended from within it.
    ///
    /// Never waits. What it sends may be sent by the calling thread.
    func append(
        _ batch: Batch, to stream: StreamID,
        completion: @escaping @Sendable (Result<Receipt, DriverError>) -> Void
    )
}

extension DirectDriver {
    /// Waits for the other one, also when the task is cancelled: the driver bounds it in time. Of several outcomes the first one counts.
    public func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        let result = await withCheckedContinuation { continuation in
            let caller = AppendCaller(continuation)
            self.append(batch, to: stream) { caller.take()?.resume(returning: $0) }
        }
        return try result.get()
    }
}

/// Who waits for the outcome of an append, until it is there. Why: a driver that gives two must not end the process.
private final class AppendCaller: Sendable {
    typealias Continuation = CheckedContinuation<Result<Receipt, DriverError>, Never>

    private let continuation: Mutex<Continuation?>

    init(_ continuation: Continuation) {
        self.continuation = Mutex(continuation)
    }

    func take() -> Continuation? {
        self.continuation.withLock { $0.take() }
    }
}
