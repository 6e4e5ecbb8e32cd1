import Busbar
import BusbarDriver
import NIOCore
import Testing

/// What waits for one subscriber, fed by hand: a record's offset is also its step.
@Suite("Subscriber queue")
struct SubscriberQueueTests {
    private let stream = StreamID(0)

    private func head(_ offset: UInt64) -> StreamHead {
        StreamHead(position: Position(stream: self.stream, epoch: Epoch(1), offset: Offset(offset)), step: offset)
    }

    private func message(_ text: String) -> Message { Message(topic: Topic("t"), payload: ByteBuffer(string: text)) }

    private func texts(_ delivery: Delivery?) -> [String]? { delivery?.messages.map { String(buffer: $0.payload) } }

    /// A queue that follows the stream from its beginning and holds one message of record 1 and two of record 2.
    private func queue() -> SubscriberQueue {
        var queue = SubscriberQueue(limits: SubscriberLimits())
        queue.follow(self.head(0).position)
        _ = queue.offer(self.message("1"), at: self.head(1))
        for text in ["2a", "2b"] { _ = queue.offer(self.message(text), at: self.head(2)) }
        return queue
    }

    @Test("of a record that is still being dispatched nothing is taken, and the cursor stays before it")
    func beingDispatched() {
        var queue = self.queue()
        let first = queue.take(limitBytes: .max, heads: [self.head(1)])
        #expect(self.texts(first) == ["1"])
        #expect(first?.frontier == Frontier(positions: [self.head(1).position]))
        #expect(queue.take(limitBytes: .max, heads: [self.head(1)]) == nil)
        #expect(queue.frontier(heads: [self.head(1)]) == Frontier(positions: [self.head(1).position]))
        let second = queue.take(limitBytes: .max, heads: [self.head(2)])
        #expect(self.texts(second) == ["2a", "2b"])
        #expect(second?.frontier == Frontier(positions: [self.head(2).position]))
    }

    @Test("the messages of one record are taken together, whatever the limit")
    func wholeRecords() {
        var queue = self.queue()
        #expect(self.texts(queue.take(limitBytes: 1, heads: [self.head(2)])) == ["1"])
        let second = queue.take(limitBytes: 1, heads: [self.head(2)])
        #expect(self.texts(second) == ["2a", "2b"])
        #expect(second?.frontier == Frontier(positions: [self.head(2).position]))
        #expect(queue.isEmpty)
    }

    @Test("what is given up is told before anything else, from the last message taken to the last one lost")
    func givesUp() {
        var limits = SubscriberLimits()
        limits.queuedBytes = 3 * self.message("1").cost
        var queue = SubscriberQueue(limits: limits)
        queue.follow(self.head(0).position)
        for offset in UInt64(1)...5 { _ = queue.offer(self.message("\(offset)"), at: self.head(offset)) }
        let delivery = queue.take(limitBytes: .max, heads: [self.head(5)])
        let gap = Gap(
            stream: self.stream, reason: .slowSubscriber, after: self.head(0).position, upTo: self.head(2).position
        )
        #expect(delivery?.gaps == [gap])
        #expect(self.texts(delivery) == ["3", "4", "5"])
    }
}
