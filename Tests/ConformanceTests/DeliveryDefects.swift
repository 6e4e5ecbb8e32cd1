import BusbarDriver
import NIOCore
import Synchronization

// Defects of what is delivered.

/// Leaves out every thousandth record.
final class DropsEveryThousandth: Defect {
    private let count = Mutex(0)

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            records.filter { _ in
                self.count.withLock { count in
                    count += 1
                    return count % 1_000 != 0
                }
            }
        }
    }
}

/// Delivers every 500th record twice.
final class RepeatsNowAndThen: Defect {
    private let count = Mutex(0)

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            records.flatMap { record in
                let count = self.count.withLock { count in
                    count += 1
                    return count
                }
                return count % 500 == 0 ? [record, record] : [record]
            }
        }
    }
}

/// Swaps two records of a larger batch.
struct SwapsTwo: Defect {
    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            guard records.count > 5 else { return records }
            var records = records
            records.swapAt(2, 3)
            return records
        }
    }
}

/// Delivers everything twice once a link has come back.
final class RepeatsAfterReconnect: Defect {
    private let lives = Mutex(0)

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        if case .live = event { self.lives.withLock { $0 += 1 } }
        let isBack = self.lives.withLock { $0 > 1 }
        return event.mapping { _, records in isBack ? records.flatMap { [$0, $0] } : records }
    }
}

/// After a reconnect the last stream stays silent.
final class ForgetsOneStream: Defect {
    private let state = Mutex<(lives: Int, last: StreamID?)>((0, nil))

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        if case .live(let extents) = event {
            self.state.withLock { state in
                state.lives += 1
                state.last = extents.keys.max()
            }
        }
        let (lives, last) = self.state.withLock { $0 }
        return event.mapping { stream, records in lives > 1 && stream == last ? [] : records }
    }
}

/// Says that it is live, and hears nothing.
struct IsDeaf: Defect {
    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] { event.mapping { _, _ in [] } }
}

/// Is live a moment before it hears: the first record after each live is lost.
final class HearsTooLate: Defect {
    private let hasHeard = Mutex(false)

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            let isFirst = self.hasHeard.withLock { hasHeard in
                defer { hasHeard = true }
                return !hasHeard
            }
            return isFirst ? Array(records.dropFirst()) : records
        }
    }
}

/// Tells its own records apart and treats them otherwise.
final class OwnRecords: Defect {
    private let own = Mutex<Set<ByteBuffer>>([])
    private let copies: Int

    init(copies: Int) {
        self.copies = copies
    }

    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        self.own.withLock { $0.formUnion(batch.records.map(\.bytes)) }
        return try await node.inner.append(batch, to: stream)
    }

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            records.flatMap { record in
                Array(repeating: record, count: self.own.withLock { $0.contains(record.bytes) } ? self.copies : 1)
            }
        }
    }
}

/// Keeps large records back until a small one has passed them.
final class LetsSmallOvertake: Defect {
    private let kept = Mutex<[StoredRecord]>([])

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            self.kept.withLock { kept in
                let large = records.filter { $0.bytes.readableBytes > 5_000 }
                let small = records.filter { $0.bytes.readableBytes <= 5_000 }
                defer { kept = large }
                return small + kept
            }
        }
    }
}

/// Delivers the records of each stream as those of its neighbour.
struct CrossesStreams: Defect {
    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        guard case .records(let stream, let epoch, let records) = event, stream.index == 3 else { return [event] }
        return [.records(stream: StreamID(2), epoch: epoch, records)]
    }
}

/// Node 2 hears two writers in another order than the rest.
final class HasAnOrderOfItsOwn: Defect {
    private let kept = Mutex<StoredRecord?>(nil)

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        guard node.number == 2 else { return [event] }
        return event.mapping { _, records in
            self.kept.withLock { kept in
                guard kept == nil, String(buffer: records[0].bytes).hasSuffix(" 7") else {
                    defer { kept = nil }
                    return records + (kept.map { [$0] } ?? [])
                }
                kept = records[0]
                return Array(records.dropFirst())
            }
        }
    }
}

/// Numbers deliveries by itself, with holes, though none are declared.
struct NumbersWithHoles: Defect {
    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] {
        event.mapping { _, records in
            records.map { StoredRecord(offset: Offset($0.offset.rawValue * 3), bytes: $0.bytes) }
        }
    }

    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        let last = try await node.inner.append(batch, to: stream).last
        return Receipt(
            last: Position(stream: stream, epoch: last.epoch, offset: Offset(last.offset.rawValue * 3))
        )
    }
}
