import BusbarDriver
import DequeModule
import NIOCore

/// The log of one stream in memory, as a value.
struct MemoryLog {
    private struct Writer: Hashable {
        let node: UInt64
        let incarnation: UInt64
    }

    private(set) var epoch: Epoch
    private let stream: StreamID
    private var records: Deque<StoredRecord> = []
    private var bytes = 0
    private var newest = Offset.beginning
    /// The last record of each writer and where it lies.
    private var writers: [Writer: (sequence: UInt64, offset: Offset)] = [:]

    init(stream: StreamID, epoch: Epoch) {
        self.stream = stream
        self.epoch = epoch
    }

    /// How far apart offsets lie.
    private var step: UInt64 = 1

    private var oldest: Offset {
        Offset((self.records.first?.offset.rawValue).map { $0 - (self.step - 1) } ?? self.newest.rawValue + 1)
    }

    var extent: StreamExtent { StreamExtent(epoch: self.epoch, oldest: self.oldest, newest: self.newest) }

    /// Whether a writer has seen more than is here: the log went back.
    func isBehind(_ highWater: Position) -> Bool {
        highWater.epoch == self.epoch && self.newest < highWater.offset
    }

    mutating func begin(_ epoch: Epoch) {
        self.epoch = epoch
    }

    /// Stores what is new; a repeated batch is answered with the place where its last record lies.
    mutating func append(_ batch: Batch, limits: MemoryBroker.Limits) -> Receipt {
        var last = self.newest
        for record in batch.records {
            let writer = Writer(node: record.key.node, incarnation: record.key.incarnation)
            if limits.refusesRepeats, let known = self.writers[writer], record.key.sequence <= known.sequence {
                last = known.offset
                continue
            }
            self.step = limits.offsetStride
            last = Offset(self.newest.rawValue + self.step)
            self.newest = last
            self.records.append(StoredRecord(offset: last, bytes: record.bytes))
            self.bytes += record.bytes.readableBytes
            if limits.refusesRepeats { self.writers[writer] = (record.key.sequence, last) }
        }
        while self.bytes > limits.retainedBytes || self.records.count > limits.retainedCount,
            let dropped = self.records.popFirst()
        {
            self.bytes -= dropped.bytes.readableBytes
        }
        return Receipt(last: Position(stream: self.stream, epoch: self.epoch, offset: last))
    }

    func page(after offset: Offset, limitBytes: Int) -> Page {
        var index = self.firstIndex(after: offset)
        var bytes = 0
        var records: [StoredRecord] = []
        while index < self.records.count {
            let record = self.records[index]
            bytes += record.bytes.readableBytes
            if bytes > limitBytes, !records.isEmpty { break }
            records.append(record)
            index += 1
        }
        return Page(epoch: self.epoch, records: records, oldest: self.oldest, newest: self.newest)
    }

    mutating func wipe(newEpoch: Epoch) {
        self = MemoryLog(stream: self.stream, epoch: newEpoch)
    }

    mutating func rewind(to offset: Offset) {
        self.lose(Set(self.records.map(\.offset).filter { $0 > offset }))
        self.newest = min(self.newest, offset)
        self.writers.removeAll()
    }

    mutating func lose(_ offsets: Set<Offset>) {
        self.records.removeAll { offsets.contains($0.offset) }
        self.bytes = self.records.reduce(0) { $0 + $1.bytes.readableBytes }
    }

    private func firstIndex(after offset: Offset) -> Int {
        var low = 0
        var high = self.records.count
        while low < high {
            let middle = (low + high) / 2
            if self.records[middle].offset > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
