import Busbar
import BusbarDriver
import NIOCore
import Testing

/// Reading the log from a cursor, page by page. Records are named by their sequences.
@Suite("Catching up")
struct CatchUpTests {
    private let stream = StreamID(0)
    private let topic = Topic("t")

    private func guarantees(refusesRepeats: Bool) -> Guarantees {
        Guarantees(
            counting: .withoutHoles, durability: .process, largestRecordBytes: 4_096, replays: true,
            refusesRepeats: refusesRepeats, recognisesRewind: true
        )
    }

    private func position(_ offset: UInt64, epoch: UInt64 = 1) -> Position {
        Position(stream: self.stream, epoch: Epoch(epoch), offset: Offset(offset))
    }

    private func key(_ sequence: UInt64) -> RecordKey { RecordKey(node: 1, incarnation: 1, sequence: sequence) }

    private func page(_ records: [(offset: UInt64, sequence: UInt64)], epoch: UInt64 = 1, newest: UInt64) -> Page {
        let records = records.map { offset, sequence in
            let message = Message(topic: self.topic, payload: ByteBuffer(string: "\(sequence)"))
            return StoredRecord(offset: Offset(offset), bytes: Pack.encode(message, key: self.key(sequence)))
        }
        return Page(
            epoch: Epoch(epoch), records: records, oldest: records.first?.offset ?? Offset(newest + 1),
            newest: Offset(newest)
        )
    }

    private func catchUp(from offset: UInt64, epoch: UInt64 = 1, refusesRepeats: Bool = true) -> CatchUp {
        CatchUp(
            index: 0, position: self.position(offset, epoch: epoch), topics: [self.topic],
            guarantees: self.guarantees(refusesRepeats: refusesRepeats)
        )
    }

    private func recollection(
        at position: Position?, repeats: [UInt64] = [], writers: UInt64 = 0, writersBefore: UInt64 = 0
    ) -> Recollection {
        var table = RepeatTable()
        for offset in repeats { table.append(Offset(offset)) }
        var (now, before) = (WriterTable(), WriterTable())
        if writers > 0 { _ = now.admit(self.key(writers)) }
        if writersBefore > 0 { _ = before.admit(self.key(writersBefore)) }
        return Recollection(position: position, repeats: table, writers: now, writersBefore: before)
    }

    private var nothing: Recollection { self.recollection(at: nil) }

    private func texts(_ step: CatchUp.Step) -> [String] { step.messages.map { String(buffer: $0.payload) } }

    @Test("where the store keeps repeats, reading begins before the cursor so that second copies are recognised")
    func lookBack() {
        var catchUp = self.catchUp(from: 3, refusesRepeats: false)
        #expect(catchUp.nextRead == .beginning)
        let page = self.page([(1, 1), (2, 2), (3, 3), (4, 3), (5, 4)], newest: 5)
        let step = catchUp.pageRead(page, self.nothing) { _, _ in true }
        #expect(self.texts(step) == ["4"])
        #expect(catchUp.position == self.position(5))
    }

    @Test("what was moved past in the window is looked back on as well")
    func lookBackAfterMove() {
        var catchUp = self.catchUp(from: 1, refusesRepeats: false)
        catchUp.move(to: self.position(100))
        #expect(catchUp.nextRead == Offset(100 - CatchUp.lookBack))
    }

    @Test("a page that ends before a gap does not make its second half forget what came before")
    func putBack() {
        var catchUp = self.catchUp(from: 0, refusesRepeats: false)
        let page = self.page([(1, 1), (2, 2), (4, 2), (5, 3)], newest: 5)
        #expect(self.texts(catchUp.pageRead(page, self.nothing) { _, _ in true }) == ["1", "2"])
        let rest = self.page([(4, 2), (5, 3)], newest: 5)
        let step = catchUp.pageRead(rest, self.nothing) { _, _ in true }
        #expect(step.gaps.map(\.reason) == [.truncated])
        #expect(self.texts(step) == ["3"])
    }

    @Test("a second copy whose first is no longer retained is known to the node that met both")
    func repeatsOfNode() {
        var catchUp = self.catchUp(from: 4, refusesRepeats: false)
        let recollection = self.recollection(at: self.position(6), repeats: [5], writers: 6)
        let step = catchUp.pageRead(self.page([(5, 3), (6, 6)], newest: 6), recollection) { _, _ in true }
        #expect(self.texts(step) == ["6"])
    }

    @Test("beyond what the node has reached, its writers tell what it is going to drop")
    func writersOfNode() {
        var catchUp = self.catchUp(from: 4, refusesRepeats: false)
        let recollection = self.recollection(at: self.position(5), writers: 5)
        let step = catchUp.pageRead(self.page([(5, 5), (6, 4), (7, 6)], newest: 7), recollection) { _, _ in true }
        #expect(self.texts(step) == ["5", "6"])
    }

    @Test("what lay in the former epoch is a repeat in this one")
    func writersOfFormerEpoch() {
        var catchUp = self.catchUp(from: 0, epoch: 2)
        let recollection = self.recollection(at: self.position(2, epoch: 2), writers: 2, writersBefore: 1)
        let step = catchUp.pageRead(self.page([(1, 1), (2, 2)], epoch: 2, newest: 2), recollection) { _, _ in true }
        #expect(self.texts(step) == ["2"])
    }
}
