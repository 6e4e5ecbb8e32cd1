import BrokerTestSupport
import BusbarDriver
import BusbarPostgreSQL
import Foundation
import NIOCore
import Testing

@Suite("the log in a real PostgreSQL", .enabled(if: PostgresTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct PostgresLogTests {
    @Test("what one node appends every node hears, in order and without holes; identical payloads all arrive")
    func delivers() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { first, heardFirst in
            try await withNode(try server.configuration()) { second, heardSecond in
                var (one, two) = (Writer(), Writer())
                let receipt = try await first.append(one.batch("same", "same", "same"), to: stream)
                #expect(receipt.last.offset == Offset(3))
                #expect(
                    try await second.append(two.batch("same", after: receipt.last), to: stream).last.offset == Offset(4)
                )
                for heard in [heardFirst, heardSecond] {
                    let log = try await heard.wait { $0.records.count == 4 }
                    #expect(log.texts == ["same", "same", "same", "same"])
                    #expect(log.records.map(\.record.offset.rawValue) == [1, 2, 3, 4])
                    #expect(Set(log.records.map(\.epoch)) == [receipt.last.epoch])
                }
            }
        }
    }

    @Test("a receipt asks for rest while others are at work on the server, and for none before")
    func rests() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, _ in
            var writer = Writer()
            for _ in 0..<200 { #expect(try await driver.append(writer.batch("a"), to: stream).rest == .zero) }
            let workers = try (0..<4).map { _ in try server.sessionAtWork() }
            defer { for worker in workers { worker.terminate() } }
            while try await driver.append(writer.batch("b"), to: stream).rest == .zero {}
        }
    }

    @Test(
        "F-61 records around every limit arrive intact, whether they fit into a notification or not; one more byte is refused"
    )
    func sizes() async throws {
        let server = try await PostgresServer.started()
        let largest = 8 << 20
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let sizes = [1, 2, 3, 5_795, 5_796, 5_797, 5_800, 7_998, 7_999, 8_000, 8_001, 131_072, 1 << 20, largest, 1]
            var payloads: [ByteBuffer] = []
            for size in sizes {
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
                payloads.append(ByteBuffer(bytes: bytes))
                _ = try await driver.append(writer.batch([payloads[payloads.count - 1]]), to: stream)
            }
            let log = try await inbox.wait { $0.records.count == sizes.count }
            #expect(log.records.map(\.record.bytes) == payloads)
            let error = await #expect(throws: DriverError.self) {
                _ = try await driver.append(writer.batch([ByteBuffer(repeating: 1, count: largest + 1)]), to: stream)
            }
            #expect(error?.code == .recordTooLarge && error?.recovery == .giveUp)
            let several = (0..<40).map { ByteBuffer(repeating: UInt8($0), count: 200) }
            _ = try await driver.append(writer.batch(several), to: stream)
            let more = try await inbox.wait { $0.records.count == sizes.count + 40 }
            #expect(more.records.suffix(40).map(\.record.bytes) == several)
            #expect(more.interruptions.isEmpty)
        }
    }

    @Test(
        "P-23 a repeated batch is stored once and answered with its first place, also when a later one or part of it is stored"
    )
    func repeats() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let (first, second) = (writer.batch("a", "b"), writer.batch("c"))
            let places = [
                try await driver.append(first, to: stream), try await driver.append(second, to: stream),
                try await driver.append(second, to: stream), try await driver.append(first, to: stream),
                try await driver.append(
                    Batch(records: second.records + writer.batch("d").records, highWater: nil), to: stream),
            ].map(\.last.offset.rawValue)
            #expect(places == [2, 3, 3, 2, 4])
            #expect(try await inbox.wait { $0.records.count == 4 }.texts == ["a", "b", "c", "d"])
        }
    }

    @Test("while bells pause, what is appended waits for the next one, which tells of all of it at once")
    func sharesBells() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { first, heardFirst in
            try await withNode(try server.configuration()) { second, heardSecond in
                try server.pauseBells("1 hour")
                var (one, two) = (Writer(), Writer())
                var last = try await first.append(one.batch("a"), to: stream).last
                last = try await second.append(two.batch("b", "c", after: last), to: stream).last
                last = try await first.append(one.batch("d", after: last), to: stream).last
                #expect(try server.told() == "1 of 4")
                try server.pauseBells("0")
                last = try await second.append(two.batch("e", after: last), to: stream).last
                #expect(try server.told() == "5 of 5")
                // As if another append had come first while this one waited for the counter row.
                try server.sql("UPDATE busbar.heads SET rung_at = now() + interval '1 hour'")
                _ = try await first.append(one.batch("f", after: last), to: stream)
                #expect(try server.told() == "6 of 6")
                for heard in [heardFirst, heardSecond] {
                    let log = try await heard.wait { $0.records.count == 6 }
                    #expect(log.texts == ["a", "b", "c", "d", "e", "f"])
                    #expect(log.records.map(\.record.offset.rawValue) == [1, 2, 3, 4, 5, 6])
                }
            }
        }
    }

    @Test("a node rings for what it appended without a bell, also when the next append brings nothing new")
    func ringsLater() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            try server.pauseBells("1 second")
            var writer = Writer()
            _ = try await driver.append(writer.batch("a"), to: stream)
            _ = try await driver.append(writer.batch("b"), to: stream)
            while try server.told() != "2 of 2" {}
            try server.pauseBells("1 hour")
            let batch = writer.batch("c")
            #expect(try await driver.append(batch, to: stream).last.offset == Offset(3))
            #expect(try server.told() == "2 of 3")
            #expect(try await driver.append(batch, to: stream).last.offset == Offset(3))
            while try server.told() != "3 of 3" {}
            #expect(try await inbox.wait { $0.records.count == 3 }.texts == ["a", "b", "c"])
        }
    }

    @Test("a node that ends rings for what it appended without a bell")
    func ringsAtTheEnd() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, _ in
            try server.pauseBells("1 hour")
            var writer = Writer()
            _ = try await driver.append(writer.batch("a"), to: stream)
            _ = try await driver.append(writer.batch("b"), to: stream)
            #expect(try server.told() == "1 of 2")
            _ = try await driver.append(writer.batch([ByteBuffer(repeating: 1, count: 9_000)]), to: stream)
            #expect(try server.told() == "3 of 3")
            _ = try await driver.append(writer.batch("c"), to: stream)
            #expect(try server.told() == "3 of 4")
        }
        while try server.told() != "4 of 4" {}
    }

    @Test("a page holds at most what was asked for but one record at least, and says what the stream holds")
    func pages() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, _ in
            var writer = Writer()
            let batch = writer.batch([1, 100, 3, 4].map { ByteBuffer(repeating: 1, count: $0) })
            let last = try await driver.append(batch, to: stream).last
            func lengths(after: UInt64, _ limit: Int) async throws -> [Int] {
                let page = try await driver.read(stream, after: Offset(after), limitBytes: limit)
                #expect(page.epoch == last.epoch && page.oldest == Offset(1) && page.newest == Offset(4))
                return page.records.map(\.bytes.readableBytes)
            }
            #expect(try await lengths(after: 0, 1_000) == [1, 100, 3, 4])
            #expect(try await lengths(after: 1, 10) == [100])
            #expect(try await lengths(after: 2, 7) == [3, 4])
            #expect(try await lengths(after: 4, 7) == [])
            let unknown = try await driver.read(StreamID(7), after: .beginning, limitBytes: 10)
            #expect(unknown.records.isEmpty && unknown.newest == .beginning && unknown.oldest == Offset(1))
        }
    }

    @Test("nodes that start at once on an empty database agree on one schema, one app and one epoch")
    func startRace() async throws {
        let server = try await PostgresServer.started()
        let configuration = try server.configuration()
        let epochs = try await withThrowingTaskGroup(of: Epoch?.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    try await withNode(configuration) { _, inbox in inbox.log.liveExtents.first?[stream]?.epoch }
                }
            }
            return try await group.reduce(into: Set<Epoch?>()) { $0.insert($1) }
        }
        #expect(epochs.count == 1 && !epochs.contains(nil))
        #expect(try server.sql("SELECT count(*) FROM busbar.apps") == "1")
    }

    @Test("N-50 two apps, also two of one name in two schemas, never hear each other")
    func isolation() async throws {
        let server = try await PostgresServer.started()
        let others = [try server.configuration(app: "other"), try server.configuration(query: "&schema=Zwei%20%22x")]
        try await withNode(try server.configuration()) { driver, inbox in
            for other in others {
                try await withNode(other) { stranger, strange in
                    var writer = Writer()
                    _ = try await stranger.append(writer.batch("theirs"), to: stream)
                    #expect(try await strange.wait { !$0.records.isEmpty }.texts == ["theirs"])
                }
            }
            var writer = Writer()
            _ = try await driver.append(writer.batch("ours"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["ours"])
        }
    }

    @Test("F-63 retention moves on by bytes and truncates the oldest; a reader at the edge sees where the log begins")
    func retention() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration(query: "&retainedBytes=400000")) { driver, _ in
            var writer = Writer()
            var oldest = Offset(1)
            // As long as it takes: what is truncated is decided by the clock of whoever keeps the app.
            while oldest == Offset(1) {
                _ = try await driver.append(writer.batch([ByteBuffer(repeating: 1, count: 30_000)]), to: stream)
                oldest = try await driver.extent(of: stream).oldest
            }
            let extent = try await driver.extent(of: stream)
            #expect(extent.newest.rawValue - extent.oldest.rawValue >= 10)
            let page = try await driver.read(stream, after: .beginning, limitBytes: 100_000)
            #expect(page.records.first?.offset == page.oldest && page.oldest > Offset(1))
            #expect(try server.sql("SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'log_6'") == "0")
        }
    }

    @Test("F-63 retention moves on by age, also when nothing is appended any more")
    func age() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration(query: "&retainedAge=2")) { driver, _ in
            var writer = Writer()
            let last = try await driver.append(writer.batch("old"), to: stream).last
            var extent = try await driver.extent(of: stream)
            while extent.oldest == Offset(1) { extent = try await driver.extent(of: stream) }
            #expect(extent == StreamExtent(epoch: last.epoch, oldest: Offset(2), newest: Offset(1)))
            #expect(try await driver.append(writer.batch("new"), to: stream).last.offset == Offset(2))
        }
    }
}
