import Synchronization

/// Whether publishers go on, and which listeners have come to the end.
final class Traffic: Sendable {
    private let state = Mutex<(isFlowing: Bool, settled: Set<Int>)>((true, []))

    var isFlowing: Bool { self.state.withLock { $0.isFlowing } }
    var settledCount: Int { self.state.withLock { $0.settled.count } }

    func stop() { self.state.withLock { $0.isFlowing = false } }
    func settle(_ listener: Int) { self.state.withLock { _ = $0.settled.insert(listener) } }
}
