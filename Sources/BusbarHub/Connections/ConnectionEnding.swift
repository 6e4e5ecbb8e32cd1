/// Who waits for the end of a connection.
struct ConnectionEnding {
    private enum State {
        case open([UInt64: CheckedContinuation<Void, Never>])
        case ended
    }

    private var state = State.open([:])
    private var lastID: UInt64 = 0

    var hasEnded: Bool {
        if case .ended = self.state { true } else { false }
    }

    mutating func nextID() -> UInt64 {
        self.lastID += 1
        return self.lastID
    }

    /// Keeps `continuation` until the end. False if there is nothing to wait for: the caller resumes it.
    mutating func wait(_ id: UInt64, _ continuation: CheckedContinuation<Void, Never>) -> Bool {
        guard case .open(var waiting) = self.state else { return false }
        waiting[id] = continuation
        self.state = .open(waiting)
        return true
    }

    /// The continuation to resume, if `id` waits.
    mutating func stopWaiting(_ id: UInt64) -> CheckedContinuation<Void, Never>? {
        guard case .open(var waiting) = self.state else { return nil }
        let continuation = waiting.removeValue(forKey: id)
        self.state = .open(waiting)
        return continuation
    }

    /// The continuations to resume; nil if the end has come before.
    mutating func end() -> [CheckedContinuation<Void, Never>]? {
        guard case .open(let waiting) = self.state else { return nil }
        self.state = .ended
        return Array(waiting.values)
    }
}
