import DequeModule

/// Requests that await their answers on one connection, in order, bounded in count and bytes.
///
/// A value without I/O; generic over the ticket by which its owner knows a request.
package struct RequestPipeline<Ticket> {
    private struct Request {
        let ticket: Ticket
        let byteCount: Int
        let deadline: ContinuousClock.Instant
    }

    private let limitCount: Int
    private let limitBytes: Int
    private var requests: Deque<Request> = []
    private var pendingBytes = 0

    package init(limitCount: Int = 4_096, limitBytes: Int = 32 << 20) {
        self.limitCount = limitCount
        self.limitBytes = limitBytes
    }

    package var count: Int { self.requests.count }

    /// When the oldest request must have been answered.
    package var deadline: ContinuousClock.Instant? {
        // Why the oldest suffices: answers come in order, so whatever is later waits for it anyway.
        self.requests.first?.deadline
    }

    /// Takes a request, or refuses it when the pipeline is full. One request is always taken, however large.
    package mutating func offer(_ ticket: Ticket, byteCount: Int, deadline: ContinuousClock.Instant) -> Bool {
        guard
            self.requests.isEmpty
                || (self.requests.count < self.limitCount && self.pendingBytes + byteCount <= self.limitBytes)
        else { return false }
        self.requests.append(Request(ticket: ticket, byteCount: byteCount, deadline: deadline))
        self.pendingBytes += byteCount
        return true
    }

    /// An answer has arrived: whose it is, or nil when nothing was asked.
    package mutating func answered() -> Ticket? {
        guard let request = self.requests.popFirst() else { return nil }
        self.pendingBytes -= request.byteCount
        return request.ticket
    }

    /// The connection is over: everything that will get no answer, oldest first.
    package mutating func closed() -> [Ticket] {
        defer {
            self.requests.removeAll()
            self.pendingBytes = 0
        }
        return self.requests.map(\.ticket)
    }
}
