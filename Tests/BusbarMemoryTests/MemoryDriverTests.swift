import BusbarDriver
import BusbarMemory
import NIOCore
import Synchronization
import Testing

@Suite("The memory driver")
struct MemoryDriverTests {
    private let stream = StreamID(0)

    private func record(_ sequence: UInt64, bytes: Int = 10, node: UInt64 = 1) -> Record {
        Record(
            key: RecordKey(node: node, incarnation: 1, sequence: sequence),
            bytes: ByteBuffer(repeating: UInt8(truncatingIfNeeded: sequence), count: bytes)
        )
    }

    private func append(
        _ driver: MemoryDriver,
        _ records: [Record],
        highWater: Position? = nil
    ) async throws -> Position {
        try await driver.append(Batch(records: records, highWater: highWater), to: self.stream).last
    }

    @Test("an empty log has nothing retained and nothing newest")
    func emptyLog() async throws {
        let extent = try await MemoryDriver().extent(of: self.stream)
        #expect(extent.oldest == Offset(1))
        #expect(extent.newest == .beginning)
    }

    @Test("offsets count from 1 without holes, and a page returns what lies after a place")
    func countsAndReads() async throws {
        let driver = MemoryDriver()
        for sequence in 1...5 { _ = try await self.append(driver, [self.record(UInt64(sequence))]) }
        let page = try await driver.read(self.stream, after: Offset(2), limitBytes: 1_000)
        #expect(page.records.map(\.offset.rawValue) == [3, 4, 5])
        #expect(page.oldest == Offset(1))
        #expect(page.newest == Offset(5))
    }

    @Test("a page holds at most the bytes asked for, but one record at least", arguments: [0, 10, 25, 1_000])
    func pagesAreBounded(limitBytes: Int) async throws {
        let driver = MemoryDriver()
        for sequence in 1...5 { _ = try await self.append(driver, [self.record(UInt64(sequence))]) }
        let page = try await driver.read(self.stream, after: .beginning, limitBytes: limitBytes)
        #expect(page.records.count == min(5, max(1, limitBytes / 10)))
    }

    @Test("a repeated append is stored once and answered with the first place")
    func refusesRepeats() async throws {
        let driver = MemoryDriver()
        let first = try await self.append(driver, [self.record(1)])
        let again = try await self.append(driver, [self.record(1)])
        #expect(first == again)
        #expect(try await driver.extent(of: self.stream).newest == Offset(1))
    }

    @Test("retention drops the oldest records and says so")
    func retention() async throws {
        var limits = MemoryBroker.Limits()
        limits.retainedCount = 3
        let driver = MemoryDriver(broker: MemoryBroker(limits: limits))
        for sequence in 1...10 { _ = try await self.append(driver, [self.record(UInt64(sequence))]) }
        let page = try await driver.read(self.stream, after: .beginning, limitBytes: 1_000)
        #expect(page.records.map(\.offset.rawValue) == [8, 9, 10])
        #expect(page.oldest == Offset(8))
    }

    @Test("a record beyond the largest size is refused and nothing of its batch is stored")
    func largestRecord() async throws {
        var limits = MemoryBroker.Limits()
        limits.largestRecordBytes = 100
        let driver = MemoryDriver(broker: MemoryBroker(limits: limits))
        let error = await #expect(throws: DriverError.self) {
            _ = try await self.append(driver, [self.record(1), self.record(2, bytes: 101)])
        }
        #expect(error?.code == .recordTooLarge)
        #expect(try await driver.extent(of: self.stream).newest == .beginning)
    }

    @Test("a writer that has seen more than the log holds makes it begin a new epoch")
    func fencesRewind() async throws {
        let broker = MemoryBroker()
        let driver = MemoryDriver(broker: broker)
        var last = try await self.append(driver, [self.record(1)])
        for sequence in 2...5 { last = try await self.append(driver, [self.record(UInt64(sequence))]) }
        broker.rewind(self.stream, to: Offset(2))
        #expect(try await driver.extent(of: self.stream).epoch == last.epoch)
        let after = try await self.append(driver, [self.record(6)], highWater: last)
        #expect(after.epoch != last.epoch)
        #expect(after.offset == Offset(3))
    }

    @Test("all members hear all records in the order of the log, whoever appends", .timeLimit(.minutes(1)))
    func deliversInOrder() async throws {
        let broker = MemoryBroker()
        let inboxes = [RecordingInbox(), RecordingInbox()]
        await withThrowingTaskGroup(of: Void.self) { group in
            for inbox in inboxes {
                group.addTask {
                    try await MemoryDriver(broker: broker).run(following: [StreamID(0)], delivering: inbox)
                }
            }
            for inbox in inboxes { await inbox.waitUntilLive() }
            await withDiscardingTaskGroup { writers in
                for node in 1...4 {
                    writers.addTask {
                        let driver = MemoryDriver(broker: broker)
                        for sequence in 1...200 {
                            let record = self.record(UInt64(sequence), node: UInt64(node))
                            _ = try? await driver.append(Batch(records: [record], highWater: nil), to: StreamID(0))
                        }
                    }
                }
            }
            group.cancelAll()
            while (try? await group.next()) != nil {}
        }
        for inbox in inboxes { #expect(inbox.offsets == Array(1...800)) }
    }

    @Test(
        "what comes while a node is busy waits in the log, and then it is handed whole pages", .timeLimit(.minutes(1)))
    func pagesForBusyNodes() async throws {
        let broker = MemoryBroker()
        let inbox = RecordingInbox()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await MemoryDriver(broker: broker).run(following: [StreamID(0)], delivering: inbox)
            }
            await inbox.waitUntilLive()
            inbox.onFirstRecord {
                for sequence in 2...9 {
                    try? broker.inject(self.record(UInt64(sequence), bytes: 300 << 10), to: StreamID(0))
                }
            }
            try broker.inject(self.record(1), to: StreamID(0))
            group.cancelAll()
            while (try? await group.next()) != nil {}
        }
        #expect(inbox.offsets == Array(1...9))
        #expect(inbox.pageSizes == [1, 3, 3, 2])
    }
}

private final class RecordingInbox: Inbox {
    private struct State {
        var offsets: [UInt64] = []
        var pageSizes: [Int] = []
        var reaction: (@Sendable () -> Void)?
        var isLive = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var offsets: [UInt64] { self.state.withLock { $0.offsets } }

    var pageSizes: [Int] { self.state.withLock { $0.pageSizes } }

    func onFirstRecord(_ reaction: @escaping @Sendable () -> Void) {
        self.state.withLock { $0.reaction = reaction }
    }

    func receive(_ event: DriverEvent) {
        var reaction: (@Sendable () -> Void)?
        let waiter = self.state.withLock { state -> CheckedContinuation<Void, Never>? in
            switch event {
            case .live:
                state.isLive = true
                return state.waiter.take()
            case .records(_, _, let records):
                state.offsets.append(contentsOf: records.map(\.offset.rawValue))
                state.pageSizes.append(records.count)
                reaction = state.reaction.take()
                return nil
            case .interrupted: return nil
            }
        }
        waiter?.resume()
        reaction?()
    }

    func waitUntilLive() async {
        await withCheckedContinuation { continuation in
            let isLive = self.state.withLock { state in
                if !state.isLive { state.waiter = continuation }
                return state.isLive
            }
            if isLive { continuation.resume() }
        }
    }
}
