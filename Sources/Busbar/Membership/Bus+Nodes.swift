package import NIOCore

/// What the runtime of a node needs of the bus beyond publishing.
extension Bus {
    /// Whether the link that carries `topic` is live, as far as this node knows.
    package func isLive(for topic: Topic) -> Bool {
        self.streams[topic.streamIndex(of: self.streams.count)].healthNow.phase == .live
    }

    /// Publishes without waiting for subscribers of this node that are behind: a node that is slow is still alive, and
    /// whoever waits for its answer shouldn't wait for its clients.
    /// - Throws: as ``publish(_:to:)``.
    package func publishUnthrottled(_ payload: ByteBuffer, to topic: Topic) async throws(BusError) {
        try await self.streams[topic.streamIndex(of: self.streams.count)]
            .publish(Message(topic: topic, payload: payload))
    }

    /// Delivers to subscribers of this node, after everything they have been given before. No other node hears it, and
    /// no cursor covers it.
    package func deliverLocally(_ payload: ByteBuffer, to topic: Topic) {
        let outcome = self.streams[topic.streamIndex(of: self.streams.count)].withCore {
            $0.deliverLocally(Message(topic: topic, payload: payload))
        }
        for subscriber in outcome.wakes { subscriber.wake() }
    }
}
