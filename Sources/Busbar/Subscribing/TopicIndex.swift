/// Who listens to what on one stream. A topic exists here while somebody listens to it and not a moment longer.
package struct TopicIndex {
    private var listeners: [Topic: [Subscriber]] = [:]
    /// How many topics of this stream each subscriber listens to.
    private var followers: [Subscriber: Int] = [:]

    package init() {}

    package var topicCount: Int { self.listeners.count }
    package var followerCount: Int { self.followers.count }
    package var allFollowers: some Collection<Subscriber> { self.followers.keys }

    package subscript(topic: Topic) -> [Subscriber]? { self.listeners[topic] }

    package func isFollowing(_ subscriber: Subscriber) -> Bool { self.followers[subscriber] != nil }

    /// Adds a listener; again is without effect.
    package mutating func add(_ subscriber: Subscriber, to topic: Topic) {
        guard self.listeners[topic]?.contains(subscriber) != true else { return }
        self.listeners[topic, default: []].append(subscriber)
        self.followers[subscriber, default: 0] += 1
    }

    /// Removes a listener; true when it listens to nothing on this stream any more.
    package mutating func remove(_ subscriber: Subscriber, from topic: Topic) -> Bool {
        guard let index = self.listeners[topic]?.firstIndex(of: subscriber) else { return false }
        let last = (self.listeners[topic]?.count ?? 1) - 1
        self.listeners[topic]?.swapAt(index, last)
        self.listeners[topic]?.removeLast()
        if last == 0 { self.listeners.removeValue(forKey: topic) }
        let rest = (self.followers[subscriber] ?? 1) - 1
        self.followers[subscriber] = rest == 0 ? nil : rest
        return rest == 0
    }
}
