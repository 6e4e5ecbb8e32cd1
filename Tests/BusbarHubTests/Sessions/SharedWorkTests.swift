import BusbarHub
import Testing

@Suite struct SharedWorkTests {
    private func makeQueue(_ items: String...) -> WorkQueue<String> {
        var queue = WorkQueue<String>(limits: WorkQueue<String>.Limits(count: 2, bytes: 100))
        for item in items { _ = queue.offer(item, bytes: 1) }
        return queue
    }

    @Test("the next item is started only if it is wanted, and only while one runs")
    func nextIsConditional() {
        var queue = self.makeQueue("first", "second", "third")
        #expect(queue.next { $0 == "third" } == nil)
        #expect(queue.next { $0 == "second" } == "second")
        #expect(queue.finished() == "third")
        #expect(queue.finished() == nil)
        #expect(queue.next { _ in true } == nil)
    }

    @Test("taking the next item out of a full queue makes room, once")
    func takingMakesRoom() {
        let work = SharedWork<String>(limits: WorkQueue<String>.Limits(count: 2, bytes: 100))
        for item in ["first", "second", "third"] { _ = work.offer(item, bytes: 1) }
        #expect(work.isFull)
        #expect(work.next { _ in true }?.madeRoom == true)
        #expect(work.next { _ in true }?.madeRoom == false)
        #expect(work.next { _ in true } == nil)
    }
}
