import BusbarConformance
import BusbarDriver
import NIOCore
import Synchronization
import Testing

// The example of Drivers/README.md: a complete driver, and all that certifying it takes.

/// A broker in miniature: a log per stream, and bells that ring when one has grown.
final class Shelf: Sendable {
    private struct State {
        var logs: [StreamID: [ByteBuffer]] = [:]
        var bells: [Int: AsyncStream<Void>.Continuation] = [:]
        var nextBell = 0
    }

    private let state = Mutex(State())
    private let epoch = Epoch(.random(in: 1...UInt64.max))

    func append(_ records: [ByteBuffer], to stream: StreamID) -> Position {
        let (newest, bells) = self.state.withLock { state in
            state.logs[stream, default: []] += records
            return (state.logs[stream, default: []].count, Array(state.bells.values))
        }
        for bell in bells { bell.yield() }
        return Position(stream: stream, epoch: self.epoch, offset: Offset(UInt64(newest)))
    }

    /// Record number n lies at index n - 1: offsets count from 1 without holes.
    func page(of stream: StreamID, after offset: Offset, limitBytes: Int) -> Page {
        self.state.withLock { state in
            let log = state.logs[stream, default: []]
            var records: [StoredRecord] = []
            var bytes = 0
            for index in min(Int(clamping: offset.rawValue), log.count)..<log.count {
                bytes += log[index].readableBytes
                guard records.isEmpty || bytes <= limitBytes else { break }
                records.append(StoredRecord(offset: Offset(UInt64(index) + 1), bytes: log[index]))
            }
            return Page(epoch: self.epoch, records: records, oldest: Offset(1), newest: Offset(UInt64(log.count)))
        }
    }

    /// One ring stands for any number: whoever hears it reads all there is.
    func hangBell() -> (id: Int, rings: AsyncStream<Void>) {
        let (rings, bell) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = self.state.withLock { state in
            state.nextBell += 1
            state.bells[state.nextBell] = bell
            return state.nextBell
        }
        return (id, rings)
    }

    func takeBell(_ id: Int) {
        self.state.withLock { _ = $0.bells.removeValue(forKey: id) }
    }
}

/// The driver: doorbell and log, as on a database.
struct ShelfDriver: BackplaneDriver {
    let shelf: Shelf

    let guarantees = Guarantees(
        counting: .withoutHoles, durability: .process, largestRecordBytes: 1 << 20, replays: true,
        refusesRepeats: false, recognisesRewind: false
    )

    func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        let bell = self.shelf.hangBell()
        defer { self.shelf.takeBell(bell.id) }
        var extents: [StreamID: StreamExtent] = [:]
        for stream in streams { extents[stream] = try await self.extent(of: stream) }
        inbox.receive(.live(extents))
        var seen = extents.mapValues(\.newest)
        for await _ in bell.rings {
            for stream in streams {
                let page = self.shelf.page(of: stream, after: seen[stream] ?? .beginning, limitBytes: .max)
                guard let last = page.records.last else { continue }
                inbox.receive(.records(stream: stream, epoch: page.epoch, page.records))
                seen[stream] = last.offset
            }
        }
    }

    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        let limit = self.guarantees.largestRecordBytes
        if let bytes = batch.records.map(\.bytes.readableBytes).max(), bytes > limit {
            throw DriverError(
                .recordTooLarge, during: "append", recovery: .giveUp, detail: "\(bytes) bytes; the largest is \(limit)"
            )
        }
        return Receipt(last: self.shelf.append(batch.records.map(\.bytes), to: stream))
    }

    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        self.shelf.page(of: stream, after: offset, limitBytes: limitBytes)
    }

    func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        let page = self.shelf.page(of: stream, after: .beginning, limitBytes: 0)
        return StreamExtent(epoch: page.epoch, oldest: page.oldest, newest: page.newest)
    }
}

/// What the kit needs to know of it.
struct ShelfUnderTest: DriverUnderTest {
    let name = "shelf"
    let limitsRetention = false

    func makeApp(_ options: AppOptions) async throws -> any AppUnderTest { ShelfApp() }
}

struct ShelfApp: AppUnderTest {
    private let shelf = Shelf()

    var faults: (any BrokerFaults)? { nil }
    func makeNode() async throws -> any BackplaneDriver { ShelfDriver(shelf: self.shelf) }
    func remove() async {}
}

@Suite("The driver of the guide", .serialized)
struct ShelfDriverTests {
    @Test("it keeps the contract as far as it claims to", .timeLimit(.minutes(2)))
    func keepsTheContract() async {
        let results = await Report.run(ConformanceKit.cases(upTo: .b), on: ShelfUnderTest())
        #expect(results.allSatisfy { !$0.isFailed })
        #expect(results.filter(\.isPassed).count > 30)
    }
}
