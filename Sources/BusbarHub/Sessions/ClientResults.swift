package import Busbar
package import NIOCore

/// Calls of one client's methods that wait for its answer, bounded in number. Decides and does nothing.
package struct ClientResults: Sendable {
    private struct Call: Sendable {
        let key: RequestKey
        let deadline: NIODeadline
        let isFromOwnCall: Bool
    }

    package let limit: Int
    private var calls: [String: Call] = [:]

    package init(limit: Int) { self.limit = limit }

    package var isFull: Bool { self.calls.count >= self.limit }

    /// The client is going to be called; ask ``isFull`` before.
    package mutating func expect(_ id: String, for key: RequestKey, isFromOwnCall: Bool, until deadline: NIODeadline) {
        self.calls[id] = Call(key: key, deadline: deadline, isFromOwnCall: isFromOwnCall)
    }

    /// The client has answered: whom to tell. Nil if nobody waits for that any more, or ever did.
    package mutating func answered(_ id: String) -> RequestKey? { self.calls.removeValue(forKey: id)?.key }

    /// Who waited until now.
    package mutating func expire(now: NIODeadline) -> [RequestKey] { self.remove { $0.deadline <= now } }

    /// The client is not read for now, because calls of its own wait for one that may be waiting for its answer: who is
    /// told that none will come.
    package mutating func removeOwn() -> [RequestKey] { self.remove { $0.isFromOwnCall } }

    /// The client is gone.
    package mutating func removeAll() -> [RequestKey] { self.remove { _ in true } }

    private mutating func remove(where isOver: (Call) -> Bool) -> [RequestKey] {
        // Why: nearly always nothing waits, and each connection is asked every second.
        if self.calls.isEmpty { return [] }
        let over = self.calls.filter { isOver($0.value) }
        for id in over.keys { self.calls[id] = nil }
        return over.values.map(\.key)
    }
}
