import BusbarHub
import Testing

@Suite("A connection's work queue")
struct WorkQueueTests {
    @Test("one item at a time, in order")
    func serial() {
        var queue = WorkQueue<Int>(limits: .init(count: 4, bytes: 100))
        expect(queue.offer(1) == 1)
        expect(queue.offer(2) == nil)
        expect(queue.offer(3) == nil)
        expect(queue.finished() == 2)
        expect(queue.finished() == 3)
        expect(queue.finished() == nil)
        expect(queue.isEmpty)
        expect(queue.offer(4) == 4)
    }

    @Test("it is full by count or by bytes, though one item may always wait")
    func limits() {
        var queue = WorkQueue<Int>(limits: .init(count: 2, bytes: 100))
        _ = queue.offer(1, bytes: 500)
        expect(!queue.isFull)
        _ = queue.offer(2, bytes: 100)
        expect(queue.isFull)
        _ = queue.finished()
        _ = queue.offer(3, bytes: 1)
        expect(!queue.isFull)
        _ = queue.offer(4, bytes: 1)
        expect(queue.isFull)
    }

    @Test("what waits can be forgotten; the running item still has to finish")
    func removeWaiting() {
        var queue = WorkQueue<Int>(limits: .init(count: 2, bytes: 100))
        _ = queue.offer(1)
        _ = queue.offer(2, bytes: 100)
        queue.removeWaiting()
        expect(queue.isBusy)
        expect(!queue.isFull)
        expect(queue.finished() == nil)
    }
}
