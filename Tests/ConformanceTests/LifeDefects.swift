import BusbarDriver
import Dispatch
import Synchronization

// Defects of how a driver begins, ends and bears an outage.

/// An append that never comes back.
struct NeverCompletesAppend: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        _ = try await node.inner.append(batch, to: stream)
        await hangForever()
        return try await node.inner.append(batch, to: stream)
    }
}

/// An append that blocks the thread it is called on.
struct BlocksThreads: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        self.block()
        return try await node.inner.append(batch, to: stream)
    }

    private func block() { DispatchSemaphore(value: 0).wait() }
}

/// run doesn't return when it should.
struct BlocksClose: Defect {
    func run(following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant) async throws(DriverError) {
        try await node.inner.run(following: streams, delivering: inbox)
        await hangForever()
    }
}

/// Never lets go of an inbox.
struct LeaksInbox: Defect {
    private static let leaked = Mutex<[any Inbox]>([])

    func run(following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant) async throws(DriverError) {
        Self.leaked.withLock { $0.append(inbox) }
        try await node.inner.run(following: streams, delivering: inbox)
    }
}

/// Goes on delivering after run has returned.
final class KeepsDelivering: Defect {
    private let task = Mutex<Task<Void, Never>?>(nil)

    func run(following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant) async throws(DriverError) {
        let inner = node.inner
        self.task.withLock { task in task = Task { try? await inner.run(following: streams, delivering: inbox) } }
        let ending = Ending()
        await ending.untilCancelled()
    }

    deinit { self.task.withLock { $0?.cancel() } }
}

/// run ends when the link breaks.
struct EndsWithTheLink: Defect {
    func run(following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant) async throws(DriverError) {
        let ending = Ending()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await node.inner.run(following: streams, delivering: EndingInbox(inbox: inbox, ending: ending))
            }
            await ending.untilCancelled()
            group.cancelAll()
        }
    }

    private struct EndingInbox: Inbox {
        let inbox: any Inbox
        let ending: Ending

        func receive(_ event: DriverEvent) {
            self.inbox.receive(event)
            if case .interrupted = event { self.ending.end() }
        }
    }
}

/// Takes every failure for final.
struct GivesUpAtOnce: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        do {
            return try await node.inner.append(batch, to: stream)
        } catch {
            throw DriverError(error.code, during: "append", recovery: .giveUp, detail: error.detail)
        }
    }
}

/// Says that it stored what it couldn't store.
struct AcknowledgesInVain: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        do {
            return try await node.inner.append(batch, to: stream)
        } catch {
            return Receipt(last: Position(stream: stream, epoch: Epoch(1), offset: Offset(1)))
        }
    }
}

/// Tries an append that lost its reply again by itself, as another write.
struct RetriesAsAnotherWrite: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        do {
            return try await node.inner.append(batch, to: stream)
        } catch {
            let renamed = batch.mapping { records in
                records.map {
                    let key = RecordKey(
                        node: $0.key.node, incarnation: .random(in: 2...UInt64.max), sequence: $0.key.sequence
                    )
                    return Record(key: key, bytes: $0.bytes)
                }
            }
            return try await node.inner.append(renamed, to: stream)
        }
    }
}

/// Suspends until it is told to end or cancelled.
final class Ending: Sendable {
    private let state = Mutex<(isOver: Bool, waiter: CheckedContinuation<Void, Never>?)>((false, nil))

    func end() {
        let waiter = self.state.withLock { state in
            state.isOver = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    func untilCancelled() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = self.state.withLock { state in
                    if !state.isOver { state.waiter = continuation }
                    return state.isOver
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.end()
        }
    }
}
