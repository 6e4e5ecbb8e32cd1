import DequeModule

/// The ids that were inserted last; the oldest is forgotten when there are too many.
package struct RecentIDs: Sendable {
    private let limit: Int
    private var order: Deque<String> = []
    private var ids: Set<String> = []

    package init(limit: Int) {
        self.limit = limit
    }

    package func contains(_ id: String) -> Bool { self.ids.contains(id) }

    package mutating func insert(_ id: String) {
        guard self.ids.insert(id).inserted else { return }
        self.order.append(id)
        if self.order.count > self.limit, let oldest = self.order.popFirst() { self.ids.remove(oldest) }
    }

    package mutating func remove(_ id: String) {
        guard self.ids.remove(id) != nil else { return }
        self.order.removeAll { $0 == id }
    }
}
