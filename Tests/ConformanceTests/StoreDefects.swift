import BusbarDriver
import NIOCore
import Synchronization

// Defects of what is stored and read.

/// Cuts records off at 8 000 bytes.
struct Truncates: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let cut = batch.mapping { records in
            records.map { $0.with($0.bytes.getSlice(at: $0.bytes.readerIndex, length: 8_000) ?? $0.bytes) }
        }
        return try await node.inner.append(cut, to: stream)
    }
}

/// Takes NUL for the end of a text.
struct LosesNUL: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let cut = batch.mapping { records in
            records.map { $0.with(ByteBuffer(bytes: $0.bytes.readableBytesView.prefix { $0 != 0 })) }
        }
        return try await node.inner.append(cut, to: stream)
    }
}

/// Takes equal records that follow each other for one.
struct MergesEqual: Defect {
    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            records.enumerated().filter { $0 == 0 || records[$0 - 1].bytes != $1.bytes }.map(\.element)
        }
    }
}

/// Stores a batch back to front.
struct ReversesBatches: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let keys = batch.records.map(\.key)
        let reversed = zip(keys, batch.records.reversed()).map { Record(key: $0, bytes: $1.bytes) }
        return try await node.inner.append(Batch(records: reversed, highWater: batch.highWater), to: stream)
    }
}

/// Stores a batch record by record: what precedes a refused one stays.
struct SplitsBatches: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        var receipt: Receipt?
        for record in batch.records {
            receipt = try await node.inner.append(Batch(records: [record], highWater: batch.highWater), to: stream)
        }
        guard let receipt else {
            throw DriverError(.rejected, during: "append", recovery: .giveUp, detail: "an empty batch")
        }
        return receipt
    }
}

/// Tells before it stores: the append goes on only when somebody has looked for the record in vain. All nodes share
/// one.
final class DeliversBeforeAppend: Defect {
    private struct Shared {
        var looks = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
        var inboxes: [any Inbox] = []
    }

    private let shared = Mutex(Shared())

    func run(following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant) async throws(DriverError) {
        self.shared.withLock { $0.inboxes.append(inbox) }
        try await node.inner.run(following: streams, delivering: DefectInbox(node: node, inbox: inbox))
    }

    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let extent = try await node.inner.extent(of: stream)
        let records = batch.records.enumerated().map {
            StoredRecord(offset: Offset(extent.newest.rawValue + UInt64($0) + 1), bytes: $1.bytes)
        }
        let (inboxes, looks) = self.shared.withLock { ($0.inboxes, $0.looks) }
        for inbox in inboxes { inbox.receive(.records(stream: stream, epoch: extent.epoch, records)) }
        await withCheckedContinuation { continuation in
            // Why asked: on another thread somebody may have looked already.
            let isSeen = self.shared.withLock { shared in
                guard shared.looks == looks else { return true }
                shared.waiters.append(continuation)
                return false
            }
            if isSeen { continuation.resume() }
        }
        return try await node.inner.append(batch, to: stream)
    }

    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        let page = try await node.inner.read(stream, after: offset, limitBytes: limitBytes)
        let waiters = self.shared.withLock { shared in
            shared.looks += 1
            defer { shared.waiters.removeAll() }
            return shared.waiters
        }
        for waiter in waiters { waiter.resume() }
        return page
    }

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] { event.mapping { _, _ in [] } }
}

/// Answers an append with a receipt made up, and stores the batch with the next one.
final class AnswersTooEarly: Defect {
    private let pending = Mutex<[Record]>([])

    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let earlier = self.pending.withLock { pending in
            defer { pending = batch.records }
            return pending
        }
        if !earlier.isEmpty {
            _ = try await node.inner.append(Batch(records: earlier, highWater: nil), to: stream)
        }
        let extent = try await node.inner.extent(of: stream)
        let offset = Offset(extent.newest.rawValue + UInt64(batch.records.count))
        return Receipt(last: Position(stream: stream, epoch: extent.epoch, offset: offset))
    }
}

/// Says that a repeated append is stored once, and stores it again.
final class StoresRepeats: Defect {
    private let count = Mutex<UInt64>(0)

    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let incarnation = self.count.withLock { count in
            count += 1
            return count
        }
        let renamed = batch.mapping { records in
            records.map {
                let key = RecordKey(node: $0.key.node, incarnation: incarnation, sequence: $0.key.sequence)
                return Record(key: key, bytes: $0.bytes)
            }
        }
        return try await node.inner.append(renamed, to: stream)
    }
}

/// Appends whatever the writer has seen before.
struct IgnoresHighWater: Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        try await node.inner.append(Batch(records: batch.records, highWater: nil), to: stream)
    }
}

/// Pages without a limit.
struct PagesWithoutLimit: Defect {
    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        try await node.inner.read(stream, after: offset, limitBytes: .max)
    }
}

/// A record larger than a page never fits.
struct StopsAtLargeRecords: Defect {
    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        let page = try await node.inner.read(stream, after: offset, limitBytes: limitBytes)
        let fitting = page.records.filter { $0.bytes.readableBytes <= limitBytes }
        return Page(epoch: page.epoch, records: fitting, oldest: page.oldest, newest: page.newest)
    }
}

/// Pages newest first.
struct ReadsBackwards: Defect {
    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        let page = try await node.inner.read(stream, after: offset, limitBytes: limitBytes)
        return Page(epoch: page.epoch, records: page.records.reversed(), oldest: page.oldest, newest: page.newest)
    }
}

/// Keeps silent about records that were trimmed.
struct HidesTrimming: Defect {
    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        let page = try await node.inner.read(stream, after: offset, limitBytes: limitBytes)
        return Page(epoch: page.epoch, records: page.records, oldest: Offset(1), newest: page.newest)
    }
}

/// Answers from memory what it was asked before.
final class RemembersExtents: Defect {
    private let known = Mutex<[StreamID: StreamExtent]>([:])

    func extent(of stream: StreamID, at node: Mutant) async throws(DriverError) -> StreamExtent {
        if let extent = self.known.withLock({ $0[stream] }) { return extent }
        let extent = try await node.inner.extent(of: stream)
        self.known.withLock { $0[stream] = extent }
        return extent
    }
}

/// Each node begins an epoch of its own.
struct BeginsAnEpochPerNode: EpochDefect {
    func shown(_ epoch: Epoch, at node: Mutant) -> Epoch { Epoch(epoch.rawValue &+ UInt64(node.number) << 8) }
}

/// Goes on under the first epoch it knew, whatever happens to the log.
final class KeepsEpoch: EpochDefect {
    private let first = Mutex<Epoch?>(nil)

    func shown(_ epoch: Epoch, at node: Mutant) -> Epoch {
        self.first.withLock { first in
            if let first { return first }
            first = epoch
            return epoch
        }
    }
}

/// Shows epochs otherwise than they are, everywhere.
protocol EpochDefect: Defect {
    func shown(_ epoch: Epoch, at node: Mutant) -> Epoch
}

extension EpochDefect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let last = try await node.inner.append(Batch(records: batch.records, highWater: nil), to: stream).last
        return Receipt(last: Position(stream: stream, epoch: self.shown(last.epoch, at: node), offset: last.offset))
    }

    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        let page = try await node.inner.read(stream, after: offset, limitBytes: limitBytes)
        return Page(
            epoch: self.shown(page.epoch, at: node), records: page.records, oldest: page.oldest, newest: page.newest
        )
    }

    func extent(of stream: StreamID, at node: Mutant) async throws(DriverError) -> StreamExtent {
        let extent = try await node.inner.extent(of: stream)
        return StreamExtent(epoch: self.shown(extent.epoch, at: node), oldest: extent.oldest, newest: extent.newest)
    }

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        switch event {
        case .records(let stream, let epoch, let records):
            return [.records(stream: stream, epoch: self.shown(epoch, at: node), records)]
        case .live(let extents):
            return [
                .live(
                    extents.mapValues {
                        StreamExtent(epoch: self.shown($0.epoch, at: node), oldest: $0.oldest, newest: $0.newest)
                    }
                )
            ]
        case .interrupted: return [event]
        }
    }
}
