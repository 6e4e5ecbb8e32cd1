import BusbarDriver
import NIOCore
import Synchronization

/// An inbox that writes down what it is told, link by link, and lets cases wait for it.
final class Recorder: Inbox {
    struct Heard: Hashable {
        let epoch: Epoch
        let record: StoredRecord
    }

    /// From one `live` to the next.
    struct Stretch {
        let extents: [StreamID: StreamExtent]
        var heard: [StreamID: [Heard]] = [:]
    }

    struct State {
        var stretches: [Stretch] = []
        /// Since the first live. What went wrong on the way there proves nothing of what a case does later.
        var interruptions: [DriverError] = []
        /// How run ended, once it has.
        var ending: String?
        /// What the driver did that no inbox may be told.
        var offence: String?
        fileprivate var busy: Set<StreamID> = []
        fileprivate var waiters: [UInt64: Waiter] = [:]
        fileprivate var nextWaiter: UInt64 = 0

        func heard(_ stream: StreamID) -> [Heard] { self.stretches.flatMap { $0.heard[stream] ?? [] } }

        func count(_ stream: StreamID) -> Int { self.stretches.reduce(0) { $0 + ($1.heard[stream]?.count ?? 0) } }

        /// Whether `bytes` are among the last 64 records of a stream: what a waiter asks after each event.
        func newest(_ stream: StreamID, contain bytes: ByteBuffer) -> Bool {
            let stretch = self.stretches.last { $0.heard[stream] != nil }
            return stretch?.heard[stream]?.suffix(64).contains { $0.record.bytes == bytes } == true
        }

        /// Whether a link that was made again says that a record lies before it.
        func hasBegun(behind place: Position) -> Bool {
            guard self.stretches.count > 1, let extent = self.stretches.last?.extents[place.stream] else {
                return false
            }
            return extent.epoch == place.epoch && extent.newest >= place.offset
        }

        func last(_ stream: StreamID) -> Heard? { self.stretches.last { $0.heard[stream] != nil }?.heard[stream]?.last }
    }

    fileprivate struct Waiter {
        let isMet: @Sendable (State) -> Bool
        let continuation: CheckedContinuation<Void, any Error>
    }

    private let state = Mutex(State())
    private let progress: Progress
    private let name: String

    init(name: String, progress: Progress) {
        self.name = name
        self.progress = progress
    }

    var now: State { self.state.withLock { $0 } }

    func receive(_ event: DriverEvent) {
        switch event {
        case .live(let extents): self.change { $0.stretches.append(Stretch(extents: extents)) }
        case .interrupted(let error):
            self.progress.trouble("\(self.name): \(error)")
            self.change { state in
                if !state.stretches.isEmpty { state.interruptions.append(error) }
            }
        case .records(let stream, let epoch, let records):
            let isAlone = self.state.withLock { $0.busy.insert(stream).inserted }
            self.change { state in
                state.busy.remove(stream)
                if !isAlone { state.offence = "two calls about \(stream) overlapped" }
                guard !state.stretches.isEmpty else {
                    state.offence = "records of \(stream) came before the first live"
                    return
                }
                let heard = records.map { Heard(epoch: epoch, record: $0) }
                let last = state.stretches.count - 1
                state.stretches[last].heard[stream, default: []].append(contentsOf: heard)
            }
        }
    }

    func runEnded(_ how: String) {
        self.change { $0.ending = how }
    }

    /// Suspends until the condition is met. Throws when run ends before, and when the case's deadline passes.
    func wait(for what: String, _ isMet: @escaping @Sendable (State) -> Bool) async throws {
        self.progress.isDoing("waiting at \(self.name) for \(what)")
        let id = self.state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer: Result<Void, any Error>? = self.state.withLock { state in
                    if isMet(state) { return .success(()) }
                    if let ending = state.ending { return .failure(self.premature(ending, what)) }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[id] = Waiter(isMet: isMet, continuation: continuation)
                    return nil
                }
                if let answer { continuation.resume(with: answer) }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.continuation.resume(
                throwing: CancellationError())
        }
    }

    private func premature(_ ending: String, _ what: String) -> LawBroken {
        LawBroken(seen: "run of \(self.name) \(ending) before \(what)")
    }

    private func change(_ body: (inout State) -> Void) {
        let due = self.state.withLock { state -> [(Waiter, (any Error)?)] in
            body(&state)
            guard !state.waiters.isEmpty else { return [] }
            var due: [(Waiter, (any Error)?)] = []
            for (id, waiter) in state.waiters {
                if waiter.isMet(state) {
                    due.append((waiter, nil))
                } else if let ending = state.ending {
                    due.append((waiter, self.premature(ending, "what was awaited came")))
                } else {
                    continue
                }
                state.waiters.removeValue(forKey: id)
            }
            return due
        }
        for (waiter, error) in due {
            if let error { waiter.continuation.resume(throwing: error) } else { waiter.continuation.resume() }
        }
    }
}
