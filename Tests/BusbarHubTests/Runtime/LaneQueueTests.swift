import Busbar
import BusbarDriver
import BusbarHub
import NIOCore
import Testing

@Suite("A lane")
struct LaneQueueTests {
    private func batch(_ offset: UInt64, bytes: Int) -> LaneBatch {
        LaneBatch(records: [], frontier: self.frontier(offset), bytes: bytes)
    }

    private func frontier(_ offset: UInt64) -> Frontier {
        Frontier(positions: [Position(stream: StreamID(0), epoch: Epoch(1), offset: Offset(offset))])
    }

    @Test("one batch is in flight: the loop is woken once, and what arrives meanwhile becomes its next batch")
    func oneInFlight() {
        var lane = LaneQueue(limitBytes: 1_000)
        expect(lane.offer(self.batch(1, bytes: 10)) == .wakeLoop)
        expect(lane.take(limitBytes: 100)?.frontier == self.frontier(1))
        expect(lane.offer(self.batch(2, bytes: 10)) == .queued)
        expect(lane.offer(self.batch(3, bytes: 10)) == .queued)
        let next = lane.take(limitBytes: 100)
        expect(next?.frontier == self.frontier(3))
        expect(next?.bytes == 20)
        expect(lane.take(limitBytes: 100) == nil)
        expect(lane.offer(self.batch(4, bytes: 10)) == .wakeLoop)
    }

    @Test("a turn of the loop is bounded, but takes at least one batch")
    func turns() {
        var lane = LaneQueue(limitBytes: 1_000)
        for offset in 1...3 as ClosedRange<UInt64> { _ = lane.offer(self.batch(offset, bytes: 60)) }
        expect(lane.take(limitBytes: 50)?.frontier == self.frontier(1))
        expect(lane.take(limitBytes: 120)?.frontier == self.frontier(3))
    }

    @Test("a lane at its budget says so until the loop has taken enough")
    func budget() {
        var lane = LaneQueue(limitBytes: 100)
        _ = lane.offer(self.batch(1, bytes: 99))
        expect(!lane.isFull)
        _ = lane.offer(self.batch(2, bytes: 1))
        expect(lane.isFull)
        _ = lane.take(limitBytes: 10)
        expect(!lane.isFull)
        expect(lane.queuedBytes == 1)
    }
}
