import BrokerTestSupport
import BusbarDriver
import BusbarRedis
import NIOCore
import Testing

@Suite("the log on a real Redis", .enabled(if: RedisTests.areWanted), .timeLimit(.minutes(1)))
struct RedisLogTests {
    @Test("what one driver appends is delivered by both, in order, with the offsets of the receipts, and can be read")
    func twoDrivers() async throws {
        let server = try await RedisServer.started()
        let configuration = try server.configuration()
        try await withNode(configuration) { first, firstInbox in
            try await withNode(configuration) { second, secondInbox in
                var (left, right) = (Writer(), Writer())
                let one = try await first.append(left.batch("a"), to: stream)
                let two = try await second.append(right.batch("b", "c"), to: stream)
                #expect(one.last.offset == Offset(1))
                #expect(two.last == Position(stream: stream, epoch: one.last.epoch, offset: Offset(3)))
                for inbox in [firstInbox, secondInbox] {
                    let log = try await inbox.wait { $0.records.count >= 3 }
                    #expect(log.texts == ["a", "b", "c"])
                    #expect(log.records.map(\.record.offset.rawValue) == [1, 2, 3])
                    #expect(Set(log.records.map(\.epoch)) == [one.last.epoch])
                }
                let page = try await second.read(stream, after: Offset(1), limitBytes: 1_000)
                #expect(page.records.map { String(buffer: $0.bytes) } == ["b", "c"])
                #expect(page.oldest == Offset(1) && page.newest == Offset(3) && page.epoch == one.last.epoch)
                let extent = try await first.extent(of: stream)
                #expect(extent == StreamExtent(epoch: one.last.epoch, oldest: Offset(1), newest: Offset(3)))
            }
        }
    }

    @Test("a stream nobody wrote to has an epoch and nothing in it")
    func emptyStream() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration(), following: [stream, StreamID(7)]) { driver, inbox in
            let extents = try #require(inbox.log.liveExtents.first)
            #expect(extents.count == 2)
            for extent in extents.values { #expect(extent.oldest == Offset(1) && extent.newest == .beginning) }
            let page = try await driver.read(stream, after: .beginning, limitBytes: 1)
            #expect(page.records.isEmpty && page.epoch == extents[stream]?.epoch)
        }
    }

    @Test(
        "every byte value and every size up to the largest arrives intact; one byte more is refused before it is sent")
    func sizes() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let sizes = [1, 125, 126, 7_999, 8_000, 8_001, 65_535, 65_536, 1 << 20, RedisDriver.largestRecordBytes]
            let payloads = sizes.map { size in ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0) }) }
            for payload in payloads { _ = try await driver.append(writer.batch([payload]), to: stream) }
            let log = try await inbox.wait { $0.records.count >= sizes.count }
            #expect(log.records.map(\.record.bytes) == payloads)
            let tooLarge = writer.batch([ByteBuffer(repeating: 0, count: RedisDriver.largestRecordBytes + 1)])
            let error = await #expect(throws: DriverError.self) { _ = try await driver.append(tooLarge, to: stream) }
            #expect(error?.code == .recordTooLarge && error?.recovery == .giveUp)
            #expect(try await driver.extent(of: stream).newest == Offset(UInt64(sizes.count)))
        }
    }

    @Test("a repeated append is stored once and answered with the first receipt, the last one and older ones alike")
    func repeats() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var (writer, other) = (Writer(), Writer())
            let batches = [writer.batch("a", "b"), writer.batch("c"), writer.batch("d")]
            var receipts: [Receipt] = []
            for batch in batches {
                receipts.append(try await driver.append(batch, to: stream))
                _ = try await driver.append(other.batch("between"), to: stream)
            }
            for (batch, receipt) in zip(batches, receipts).reversed() {
                #expect(try await driver.append(batch, to: stream) == receipt)
            }
            #expect(try await driver.extent(of: stream).newest == Offset(7))
            let log = try await inbox.wait { $0.records.count >= 7 }
            #expect(log.texts == ["a", "b", "between", "c", "between", "d", "between"])
        }
    }

    @Test("P-18 pages hold at most the bytes asked for but at least one record, and continue after their last")
    func pages() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, _ in
            var writer = Writer()
            for index in 1...40 {
                _ = try await driver.append(writer.batch([ByteBuffer(repeating: UInt8(index), count: 100)]), to: stream)
            }
            var after = Offset.beginning
            var offsets: [UInt64] = []
            for limit in [1, 100, 199, 200, 1_000, 1 << 20] {
                let page = try await driver.read(stream, after: after, limitBytes: limit)
                let byteCount = page.records.reduce(0) { $0 + $1.bytes.readableBytes }
                #expect(byteCount <= max(limit, 100) && !page.records.isEmpty)
                offsets += page.records.map(\.offset.rawValue)
                after = page.records.last?.offset ?? after
            }
            #expect(offsets == Array(1...40))
            #expect(try await driver.read(stream, after: Offset(40), limitBytes: 100).records.isEmpty)
            #expect(try await driver.read(stream, after: Offset(99), limitBytes: 100).newest == Offset(40))
        }
    }

    @Test("F-63 a log is trimmed by count and by bytes, and says what it still holds")
    func retention() async throws {
        let server = try await RedisServer.started()
        var configuration = try server.configuration()
        configuration.retainedRecords = 200
        try await withNode(configuration) { driver, _ in
            var writer = Writer()
            for _ in 1...50 {
                _ = try await driver.append(writer.batch((1...20).map { ByteBuffer(string: "\($0)") }), to: stream)
            }
            let extent = try await driver.extent(of: stream)
            let held = extent.newest.rawValue - extent.oldest.rawValue + 1
            #expect(extent.newest == Offset(1_000) && (200...400).contains(held))
            let page = try await driver.read(stream, after: .beginning, limitBytes: 1 << 20)
            #expect(page.records.first?.offset == extent.oldest && page.oldest == extent.oldest)
        }
        configuration.app = "bytes"
        configuration.retainedRecords = 100_000
        configuration.retainedBytes = 1 << 16
        try await withNode(configuration) { driver, _ in
            var writer = Writer()
            for _ in 1...300 {
                _ = try await driver.append(writer.batch([ByteBuffer(repeating: 1, count: 1_000)]), to: stream)
            }
            let extent = try await driver.extent(of: stream)
            let heldBytes = (extent.newest.rawValue - extent.oldest.rawValue + 1) * 1_024
            #expect(extent.newest == Offset(300))
            #expect((UInt64(1 << 16) - 4_096...UInt64(1 << 16) * 17 / 16 + 2_048).contains(heldBytes))
        }
    }

    @Test("two nodes that create a stream at once agree on one epoch")
    func creationRace() async throws {
        let server = try await RedisServer.started()
        let configuration = try server.configuration()
        try await withNode(configuration) { first, _ in
            try await withNode(configuration) { second, _ in
                for index in 10..<40 {
                    var (left, right) = (Writer(), Writer())
                    let batches = (left.batch("l"), right.batch("r"))
                    async let one = first.append(batches.0, to: StreamID(UInt16(index)))
                    async let two = second.append(batches.1, to: StreamID(UInt16(index)))
                    let receipts = try await [one, two]
                    #expect(Set(receipts.map(\.last.epoch)).count == 1)
                    #expect(Set(receipts.map(\.last.offset.rawValue)) == [1, 2])
                }
            }
        }
    }

    @Test("apps, and databases, on one Redis never see each other")
    func isolation() async throws {
        let server = try await RedisServer.started()
        let inboxes = try await withNode(try server.configuration(app: "one")) { first, firstInbox in
            try await withNode(try server.configuration(app: "one", database: 3)) { second, secondInbox in
                try await withNode(try server.configuration(app: "onetwo")) { third, thirdInbox in
                    var writer = Writer()
                    for (driver, text) in [(first, "1"), (second, "2"), (third, "3")] {
                        _ = try await driver.append(writer.batch(text), to: stream)
                        _ = try await driver.append(writer.batch(text), to: stream)
                    }
                    for inbox in [firstInbox, secondInbox, thirdInbox] {
                        try await inbox.wait { $0.records.count >= 2 }
                    }
                    return [firstInbox, secondInbox, thirdInbox]
                }
            }
        }
        #expect(inboxes.map(\.log.texts) == [["1", "1"], ["2", "2"], ["3", "3"]])
    }

    @Test("a Unix socket serves as well as a port")
    func unixSocket() async throws {
        let server = try await RedisServer.started()
        let configuration = try RedisConfiguration(url: "redis+unix://\(server.socketPath)?app=socket")
        try await withNode(configuration) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("x"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["x"])
        }
    }
}
