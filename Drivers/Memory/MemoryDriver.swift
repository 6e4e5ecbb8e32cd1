public import BusbarDriver
import Synchronization

/// The driver for one process: a log in memory, with all the guarantees of the port. The default, and the oracle that the other
/// drivers are compared with.
///
/// Several drivers on one ``MemoryBroker`` are several nodes in one process.
public final class MemoryDriver: BackplaneDriver {
    private let broker: MemoryBroker

    public init(broker: MemoryBroker = MemoryBroker()) {
        self.broker = broker
    }

    public var guarantees: Guarantees { self.broker.guarantees }

    public func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        let member = self.broker.join(following: streams, inbox: inbox)
        defer { self.broker.leave(member) }
        await Pause.untilCancelled()
    }

    public func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        try self.broker.append(batch, to: stream)
    }

    public func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        self.broker.read(stream, after: offset, limitBytes: limitBytes)
    }

    public func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        self.broker.extent(of: stream)
    }
}

/// Suspends without doing anything.
private enum Pause {
    private struct State {
        var continuation: CheckedContinuation<Void, Never>?
        var isCancelled = false
    }

    private final class Cell: Sendable {
        let state = Mutex(State())
    }

    static func untilCancelled() async {
        let cell = Cell()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = cell.state.withLock { state in
                    if !state.isCancelled { state.continuation = continuation }
                    return state.isCancelled
                }
                if isCancelled { continuation.resume() }
            }
        } onCancel: {
            let continuation = cell.state.withLock { state in
                state.isCancelled = true
                return state.continuation.take()
            }
            continuation?.resume()
        }
    }
}
