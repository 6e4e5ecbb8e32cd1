import Busbar
import BusbarDriver
import NIOCore
import Testing

/// Drives a receiver by hand: records are named by their offsets, time is a number of seconds.
private struct Script {
    private(set) var receiver: StreamReceiver
    private(set) var log: [String] = []
    private(set) var reads: [StreamReceiver.ReadRequest] = []
    private(set) var checks = 0
    var now = Moment(nanoseconds: 0)
    let stream = StreamID(0)

    init(counting: Guarantees.Counting = .withoutHoles, holdBytes: Int = 10_000, startingAt newest: UInt64 = 0) {
        let limits = StreamReceiver.Limits(holdBytes: holdBytes, holdTime: .seconds(5))
        self.receiver = StreamReceiver(stream: StreamID(0), counting: counting, limits: limits)
        self.live(newest: newest)
    }

    var delivered: [String] { self.log.filter { !$0.hasPrefix("drop") } }

    static func record(_ offset: UInt64, sequence: UInt64? = nil, node: UInt64 = 1) -> StoredRecord {
        let key = RecordKey(node: node, incarnation: 1, sequence: sequence ?? offset)
        let message = Message(topic: Topic("t"), payload: ByteBuffer(string: "\(offset)"))
        return StoredRecord(offset: Offset(offset), bytes: Pack.encode(message, key: key))
    }

    mutating func live(epoch: UInt64 = 1, oldest: UInt64 = 1, newest: UInt64) {
        let extent = StreamExtent(epoch: Epoch(epoch), oldest: Offset(oldest), newest: Offset(newest))
        self.apply { $0.linkBecameLive(extent, now: $1, effects: &$2) }
    }

    mutating func arrive(_ offsets: UInt64..., epoch: UInt64 = 1) {
        self.arrive(offsets.map { Self.record($0) }, epoch: epoch)
    }

    mutating func arrive(_ records: [StoredRecord], epoch: UInt64 = 1) {
        self.apply { $0.received(epoch: Epoch(epoch), records, now: $1, effects: &$2) }
    }

    /// Answers the oldest open read.
    mutating func answer(_ offsets: UInt64..., epoch: UInt64 = 1, oldest: UInt64 = 1, newest: UInt64) {
        let page = Page(
            epoch: Epoch(epoch), records: offsets.map { Self.record($0) }, oldest: Offset(oldest),
            newest: Offset(newest)
        )
        guard let request = self.nextRead() else { return }
        self.apply { $0.pageRead(page, for: request, now: $1, effects: &$2) }
    }

    mutating func failRead() {
        guard let request = self.nextRead() else { return }
        self.receiver.readFailed(request, now: self.now)
    }

    private mutating func nextRead() -> StreamReceiver.ReadRequest? {
        guard self.reads.isEmpty else { return self.reads.removeFirst() }
        Issue.record("the log is not being read")
        return nil
    }

    mutating func check(epoch: UInt64 = 1, newest: UInt64, askedAt: UInt64? = nil) throws {
        let here = try #require(self.receiver.position)
        let askedAt = Position(stream: self.stream, epoch: here.epoch, offset: askedAt.map(Offset.init) ?? here.offset)
        let extent = StreamExtent(epoch: Epoch(epoch), oldest: Offset(1), newest: Offset(newest))
        self.apply { $0.checked(extent, askedAt: askedAt, now: $1, effects: &$2) }
    }

    mutating func pass(seconds: Double) {
        self.now = self.now + .seconds(seconds)
        self.apply { $0.tick(now: $1, effects: &$2) }
    }

    mutating func breakLink() { self.receiver.linkBroke() }

    private mutating func apply(_ body: (inout StreamReceiver, Moment, inout [StreamReceiver.Effect]) -> Void) {
        var effects: [StreamReceiver.Effect] = []
        body(&self.receiver, self.now, &effects)
        for effect in effects {
            switch effect {
            case .deliver(let record): self.log.append("\(record.offset)")
            case .gap(let gap):
                self.log.append("gap \(gap.reason) \(gap.after?.offset.rawValue ?? 0)-\(gap.upTo.offset)")
            case .read(let request): self.reads.append(request)
            case .check: self.checks += 1
            case .drop(let offset, let why): self.log.append("drop \(why) \(offset)")
            }
        }
    }
}

@Suite("Receiving rule")
struct ReceivingRuleTests {
    @Test("the next offset is delivered, and nothing is read")
    func inOrder() {
        var script = Script()
        script.arrive(1)
        script.arrive(2, 3)
        #expect(script.log == ["1", "2", "3"])
        #expect(script.reads.isEmpty)
    }

    @Test("P-17 a hole in the log is passed with a gap, wherever a page ends", arguments: 1...5)
    func holeInLog(pageSize: Int) {
        var script = Script(startingAt: 5)
        script.arrive(11)
        let stored: [UInt64] = [7, 8, 9, 10, 11]
        var rest = stored[...]
        while !script.reads.isEmpty {
            let last = script.reads[0].after.offset.rawValue
            rest = rest.drop { $0 <= last }
            let page = rest.prefix(pageSize).map { Script.record($0) }
            script.answer(page, newest: 11)
        }
        #expect(script.delivered == ["gap missing 5-6", "7", "8", "9", "10", "11"])
    }

    @Test("P-18 a page that starts later than asked because of retention is reported as truncated, then delivered")
    func truncated() {
        var script = Script(startingAt: 3)
        script.live(oldest: 8, newest: 10)
        script.answer(8, 9, 10, oldest: 8, newest: 10)
        #expect(script.log == ["gap truncated 3-7", "8", "9", "10"])
    }

    @Test("P-18 a position equal to the newest brings nothing and reads nothing")
    func upToDate() throws {
        var script = Script(startingAt: 7)
        try script.check(newest: 7)
        script.live(newest: 7)
        #expect(script.log.isEmpty)
        #expect(script.reads.isEmpty)
    }

    @Test(
        "P-20 a change of epoch is a gap at once, and live delivery goes on",
        arguments: ["record", "live", "page", "check"])
    func newEpoch(noticedBy: String) throws {
        var script = Script(startingAt: 9)
        switch noticedBy {
        case "record":
            script.arrive(1, epoch: 2)
            #expect(script.checks == 1)
            try script.check(epoch: 2, newest: 1)
            script.answer(1, epoch: 2, newest: 1)
        case "live": script.live(epoch: 2, newest: 0)
        case "page":
            script.arrive(11)
            script.answer(epoch: 2, newest: 0)
        default: try script.check(epoch: 2, newest: 0)
        }
        if noticedBy != "record" { script.arrive(1, epoch: 2) }
        script.arrive(2, epoch: 2)
        #expect(script.delivered == ["gap newEpoch 9-0", "1", "2"])
    }

    @Test("a record that was late by an epoch does not bring the former epoch back")
    func formerEpoch() throws {
        var script = Script(startingAt: 9)
        try script.check(epoch: 2, newest: 0)
        script.arrive(1, epoch: 2)
        script.arrive(10, epoch: 1)
        script.arrive(2, epoch: 2)
        #expect(script.log == ["gap newEpoch 9-0", "1", "drop formerEpoch 10", "2"])
    }

    @Test("a record of an epoch that came and went unnoticed is not delivered behind the present one")
    func epochBetween() throws {
        var script = Script(startingAt: 9)
        try script.check(epoch: 3, newest: 1)
        script.arrive(8, epoch: 2)
        try script.check(epoch: 3, newest: 1)
        script.arrive(2, epoch: 3)
        #expect(script.log == ["gap newEpoch 9-1", "drop early 8", "2"])
    }

    @Test("what a writer wrote in a former epoch is a repeat in the next")
    func repeatsAcrossEpochs() throws {
        var script = Script(startingAt: 0)
        script.arrive(1)
        try script.check(epoch: 2, newest: 0)
        script.arrive(1, epoch: 2)
        script.arrive(2, epoch: 2)
        #expect(script.log == ["1", "gap newEpoch 1-0", "drop repeatedKey 1", "2"])
    }

    @Test("P-19 a log that went back in the same epoch is a gap, and delivery goes on from where it is now")
    func rewound() throws {
        var script = Script(startingAt: 9)
        try script.check(newest: 4)
        script.arrive(5)
        #expect(script.log == ["gap rewound 9-4", "5"])
    }

    @Test("P-19 a log that turns out to have gone back while a hole is read is a gap, and is not read again")
    func rewoundWhileReading() {
        var script = Script()
        script.arrive(1, 2, 4)
        script.answer(1, newest: 1)
        #expect(script.log == ["1", "2", "gap rewound 2-1"])
        #expect(script.reads.isEmpty)
        script.arrive([Script.record(2, sequence: 5)])
        #expect(script.delivered == ["1", "2", "gap rewound 2-1", "2"])
    }

    @Test("an answer that was overtaken by deliveries is no rewind")
    func overtakenCheck() throws {
        var script = Script()
        script.arrive(1, 2, 3)
        try script.check(newest: 1, askedAt: 1)
        script.live(newest: 1)
        #expect(script.log == ["1", "2", "3"])
        #expect(script.checks == 1)
    }

    @Test("P-23 an offset that was passed is dropped and counted")
    func repeatedOffset() {
        var script = Script()
        script.arrive(1, 2)
        script.arrive(2, 1)
        #expect(script.log == ["1", "2", "drop repeatedOffset 2", "drop repeatedOffset 1"])
    }

    @Test("P-23 a record of the same writer and sequence under another offset is dropped and counted")
    func repeatedKey() {
        var script = Script()
        script.arrive([Script.record(1, sequence: 1), Script.record(2, sequence: 1), Script.record(3, sequence: 2)])
        #expect(script.log == ["1", "drop repeatedKey 2", "3"])
    }

    @Test("P-24 beyond a hole records are held until the log has filled it, in order")
    func holdAndRepair() {
        var script = Script()
        script.arrive(1)
        script.arrive(3, 4)
        #expect(script.log == ["1"])
        #expect(script.reads.map(\.after.offset.rawValue) == [1])
        script.answer(2, 3, 4, newest: 4)
        #expect(script.delivered == ["1", "2", "3", "4"])
        #expect(script.receiver.heldBytes == 0)
    }

    @Test("P-24 while the log can't be read the hole is reported after the hold time, not before")
    func unreadable() {
        var script = Script()
        script.arrive(2)
        while script.now.nanoseconds < 4_900_000_000 {
            if !script.reads.isEmpty { script.failRead() }
            script.pass(seconds: 0.1)
        }
        #expect(script.log.isEmpty)
        script.pass(seconds: 0.2)
        #expect(script.log == ["gap unreadable 0-1", "2"])
    }

    @Test("P-24 a read that takes the whole hold time, and fails, is tried again before the hole is reported")
    func slowRead() {
        var script = Script()
        script.arrive(2)
        script.pass(seconds: 5.1)
        script.failRead()
        script.pass(seconds: 0.3)
        #expect(script.log.isEmpty)
        script.answer(1, 2, newest: 2)
        #expect(script.delivered == ["1", "2"])
    }

    @Test("P-24 a log that says nothing at all is waited for no longer than four hold times")
    func silentLog() {
        var script = Script()
        script.arrive(2)
        script.pass(seconds: 19.9)
        #expect(script.log.isEmpty)
        script.pass(seconds: 0.2)
        #expect(script.log == ["gap unreadable 0-1", "2"])
    }

    @Test("while the link is broken the hold time stands still")
    func holdTimeStops() {
        var script = Script()
        script.arrive(2)
        script.failRead()
        script.breakLink()
        script.pass(seconds: 60)
        #expect(script.log.isEmpty)
        script.live(newest: 2)
        while script.reads.count > 1 { script.failRead() }
        script.answer(1, 2, newest: 2)
        #expect(script.delivered == ["1", "2"])
    }

    @Test("P-25 arrivals in the wrong order are delivered in the right one without waiting for the log")
    func reordered() {
        var script = Script()
        script.arrive(2)
        script.arrive(1)
        #expect(script.log == ["1", "2"])
        script.answer(1, 2, newest: 2)
        #expect(script.delivered == ["1", "2"])
    }

    @Test("P-26 a lost last record is found by the position check")
    func lostLast() throws {
        var script = Script()
        script.arrive(1)
        try script.check(newest: 2)
        script.answer(2, newest: 2)
        #expect(script.log == ["1", "2"])
    }

    @Test("what is held is bounded; what didn't fit is read from the log")
    func holdIsBounded() {
        let size = Script.record(1).bytes.readableBytes
        var script = Script(holdBytes: 2 * size)
        for offset in UInt64(2)...9 { script.arrive(offset) }
        #expect(script.receiver.heldBytes <= 2 * size)
        script.answer(1, newest: 9)
        #expect(script.delivered == ["1", "2", "3"])
        script.answer(4, 5, 6, 7, 8, 9, newest: 9)
        #expect(script.delivered == (1...9).map(String.init))
    }

    @Test("where offsets may jump, a jump is no hole")
    func jumps() {
        var script = Script(counting: .withJumps)
        script.arrive(3)
        script.arrive(10, 20)
        script.arrive(10)
        #expect(script.log == ["3", "10", "20", "drop repeatedOffset 10"])
        #expect(script.reads.isEmpty)
    }

    @Test("F-63 where offsets may jump, what a new link no longer finds is a gap before the oldest record is delivered")
    func droppedWhileAway() {
        var script = Script(counting: .withJumps)
        script.arrive(3)
        script.live(oldest: 11, newest: 20)
        script.arrive(12)
        #expect(script.log == ["3", "gap truncated 3-10", "12"])
    }

    @Test("where offsets may jump, a new link that finds everything from the next offset on reports nothing")
    func nothingDroppedWhileAway() {
        var script = Script(counting: .withJumps)
        script.arrive(3)
        script.live(oldest: 4, newest: 3)
        script.arrive(12)
        #expect(script.log == ["3", "12"])
    }

    @Test("bytes that are no pack are passed over")
    func poison() {
        var script = Script()
        script.arrive([StoredRecord(offset: Offset(1), bytes: ByteBuffer(string: "hello")), Script.record(2)])
        #expect(script.log == ["drop poison 1", "2"])
    }

    @Test("the table of writers is bounded")
    func writersAreBounded() {
        var table = WriterTable()
        for node in 1...UInt64(20_000) {
            let isNew = table.admit(RecordKey(node: node, incarnation: 1, sequence: 1))
            #expect(isNew)
            guard node > 1 else { continue }
            let isRepeat = !table.admit(RecordKey(node: node - 1, incarnation: 1, sequence: 1))
            #expect(isRepeat)
        }
        #expect(table.count <= WriterTable.limit + 1)
    }
}

extension Script {
    mutating func answer(_ records: [StoredRecord], newest: UInt64) {
        let page = Page(epoch: Epoch(1), records: records, oldest: Offset(1), newest: Offset(newest))
        guard let request = self.nextRead() else { return }
        self.apply(page, request)
    }

    private mutating func apply(_ page: Page, _ request: StreamReceiver.ReadRequest) {
        self.apply { $0.pageRead(page, for: request, now: $1, effects: &$2) }
    }
}
