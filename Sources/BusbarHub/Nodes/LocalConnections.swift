import Synchronization

/// Which connections this node has, asked from any thread.
final class LocalConnections: Sendable {
    let core = Mutex<Set<String>>([])
    private let classic: ClassicDirectory

    init(classic: ClassicDirectory) {
        self.classic = classic
    }

    /// A core connection can be sent to from here on.
    func add(_ id: String) { self.core.withLock { _ = $0.insert(id) } }

    func remove(_ id: String) { self.core.withLock { _ = $0.remove(id) } }

    /// Whether the connection is here, or has just come here from another node.
    func isHere(_ id: String) -> Bool { self.core.withLock { $0.contains(id) } || self.classic.ticket(of: id) != nil }

    /// Whether requests about the connection are this node's to serve.
    func owns(_ id: String) -> Bool { self.core.withLock { $0.contains(id) } || self.classic.owns(id) }

    /// A classic connection lives on a node from here on: on this one, or on another that has taken it over.
    /// - Parameter isBeginning: whether it began there, perhaps before it came here.
    func moved(_ id: String, isHere: Bool, isBeginning: Bool = false) {
        if isHere { return self.classic.confirm(id) }
        guard let ticket = self.classic.release(id, toBeginning: isBeginning) else { return }
        self.classic.perform(ticket) { $0?.movedAway() }
    }

    /// The client of a classic connection has ended it on another node, which has run its event.
    func ended(_ id: String) {
        guard let ticket = self.classic.end(id) else { return }
        self.classic.perform(ticket) { $0?.movedAway() }
    }
}
