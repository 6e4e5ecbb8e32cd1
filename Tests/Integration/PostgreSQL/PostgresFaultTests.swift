import BrokerTestSupport
import BusbarDriver
import BusbarPostgreSQL
import Foundation
import NIOCore
import Testing

@Suite("faults of a real PostgreSQL", .enabled(if: PostgresTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct PostgresFaultTests {
    @Test("a server that is absent at start is reported, and used as soon as it is there")
    func absentAtStart() async throws {
        let server = try PostgresServer()
        try await withNode(try server.configuration(), untilLive: false) { driver, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.interruptions[0].code == .unreachable && log.liveExtents.isEmpty)
            var writer = Writer()
            let error = await #expect(throws: DriverError.self) {
                _ = try await driver.append(writer.batch("x"), to: stream)
            }
            #expect(error?.code == .unreachable && error?.recovery != .giveUp)
            try await server.start()
            try await inbox.wait { !$0.liveExtents.isEmpty }
        }
    }

    @Test(
        "F-55 a crash of the database begins a new epoch when tables are unlogged and keeps all when they are logged",
        arguments: [false, true])
    func crash(isLogged: Bool) async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration(query: "&logged=\(isLogged)")) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            // Why: what the link has not brought before it breaks is the bus's to read.
            try await inbox.wait { $0.records.count == 1 }
            server.crash()
            try await inbox.wait { !$0.interruptions.isEmpty }
            try await server.start()
            let log = try await inbox.wait { $0.liveExtents.count >= 2 }
            let extent = try #require(log.liveExtents.last?[stream])
            #expect((extent.epoch == before.epoch) == isLogged)
            #expect(extent.epoch.rawValue >= before.epoch.rawValue)
            #expect(extent.newest == (isLogged ? before.offset : .beginning))
            _ = try await driver.append(writer.batch("b"), to: stream)
            #expect(try await inbox.wait { $0.records.count == 2 }.texts == ["a", "b"])
        }
    }

    @Test("a shutdown as it should be keeps the epoch, also of unlogged tables")
    func shutDown() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            server.shutDown()
            try await inbox.wait { !$0.interruptions.isEmpty }
            try await server.start()
            let log = try await inbox.wait { $0.liveExtents.count >= 2 }
            let extent = try #require(log.liveExtents[1][stream])
            #expect(extent == StreamExtent(epoch: before.epoch, oldest: Offset(1), newest: Offset(1)))
        }
    }

    @Test("F-55 an emptied log continues under a later epoch, whoever touches it first")
    func wiped() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let wipe = "TRUNCATE busbar.heads, busbar.writers, busbar.log"
            let before = try await driver.append(writer.batch("a"), to: stream).last
            try server.sql(wipe)
            let extent = try await driver.extent(of: stream)
            #expect(extent.epoch.rawValue > before.epoch.rawValue && extent.newest == .beginning)
            try server.sql(wipe)
            let page = try await driver.read(stream, after: .beginning, limitBytes: 100)
            #expect(page.records.isEmpty && page.epoch.rawValue > extent.epoch.rawValue)
            try server.sql(wipe)
            let after = try await driver.append(writer.batch("b"), to: stream).last
            #expect(after.epoch.rawValue > page.epoch.rawValue && after.offset == Offset(1))
            #expect(try await inbox.wait { $0.records.count == 2 }.texts == ["a", "b"])
        }
    }

    @Test("of several hosts one that takes connections and says nothing is passed by")
    func silentHost() async throws {
        let server = try await PostgresServer.started()
        let (silent, port) = try FreePort.bind()
        defer { close(silent) }
        try #require(listen(silent, 5) == 0)
        var configuration = try server.configuration()
        configuration.server = Secret("postgres://postgres@127.0.0.1:\(port),127.0.0.1:\(server.port)/postgres")
        configuration.requestLimit = .seconds(1)
        try await withNode(configuration, untilLive: false) { _, inbox in
            _ = try await inbox.wait { !$0.liveExtents.isEmpty }
        }
    }

    @Test("a schema that is dropped under a running node is created again")
    func dropped() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            try server.sql("SET client_min_messages = error; DROP SCHEMA busbar CASCADE")
            try await inbox.wait { $0.liveExtents.count >= 2 }
            var writer = Writer()
            _ = try await driver.append(writer.batch("a"), to: stream)
            try await inbox.wait { !$0.records.isEmpty }
        }
    }

    @Test("a store older than what the writer has seen begins a new epoch before it accepts anything")
    func highWater() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, _ in
            var writer = Writer()
            let last = try await driver.append(writer.batch("a"), to: stream).last
            let ahead = Position(stream: stream, epoch: last.epoch, offset: Offset(9))
            let fenced = try await driver.append(writer.batch("b", after: ahead), to: stream).last
            #expect(fenced.epoch.rawValue > last.epoch.rawValue && fenced.offset == Offset(1))
            let behind = try await driver.append(writer.batch("c", after: last), to: stream).last
            #expect(behind.epoch == fenced.epoch && behind.offset == Offset(2))
        }
    }

    @Test("F-57 a log that lost its end and grew another one is recognised by the record at the place last seen")
    func regrown() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let last = try await driver.append(writer.batch("a", "b"), to: stream).last
            try await inbox.wait { $0.records.count == 2 }
            try server.sql("UPDATE busbar.log SET node = 1 WHERE place = 2")
            let extent = try await driver.extent(of: stream)
            #expect(extent.epoch.rawValue > last.epoch.rawValue)
        }
    }

    @Test("a counter row that somebody locks for ten seconds costs typed errors and no link; reading goes on meanwhile")
    func lockedCounter() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("a"), to: stream)
            let holder = Task.detached {
                try server.sql("BEGIN; SELECT 1 FROM busbar.heads FOR UPDATE; SELECT pg_sleep(10); COMMIT")
            }
            while try server.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(10)%' AND wait_event = 'PgSleep'")
                != "1"
            {}
            let batch = writer.batch("b")
            var refusals: [DriverError.Code] = []
            while true {
                do {
                    #expect(try await driver.append(batch, to: stream).last.offset == Offset(2))
                    break
                } catch let error as DriverError {
                    refusals.append(error.code)
                    #expect(try await driver.read(stream, after: .beginning, limitBytes: 100).newest == Offset(1))
                }
            }
            #expect(!refusals.isEmpty && Set(refusals) == [.overloaded])
            _ = try await holder.value
            let log = try await inbox.wait { $0.records.count == 2 }
            #expect(log.texts == ["a", "b"] && log.interruptions.isEmpty)
        }
    }

    @Test("a role that has used up its connections is reported as that, and let in later")
    func connectionLimit() async throws {
        let server = try await PostgresServer.started()
        try server.sql("CREATE ROLE node LOGIN CONNECTION LIMIT 1; GRANT CREATE ON DATABASE postgres TO node")
        try await withNode(try server.configuration(user: "node"), untilLive: false) { _, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.interruptions[0].code == .overloaded, "\(log.interruptions[0])")
            try server.sql("ALTER ROLE node CONNECTION LIMIT 5")
            try await inbox.wait { !$0.liveExtents.isEmpty }
        }
    }

    @Test("F-56 a listening connection that stands still is replaced, and what it missed is in the log")
    func pausedListener() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            let listener = try #require(
                pid_t(
                    // Why not its own: this very query has those words in it.
                    try server.sql(
                        """
                        SELECT pid FROM pg_stat_activity
                        WHERE (query LIKE '%places%' OR query LIKE '%attach%') AND pid <> pg_backend_pid() LIMIT 1
                        """)
                ))
            try #require(kill(listener, SIGSTOP) == 0)
            defer { kill(listener, SIGCONT) }
            var writer = Writer()
            _ = try await driver.append(writer.batch("missed"), to: stream)
            let log = try await inbox.wait { $0.liveExtents.count >= 2 }
            let extent = try #require(log.liveExtents[1][stream])
            #expect(extent.newest == Offset(1))
            _ = try await driver.append(writer.batch("heard"), to: stream)
            #expect(try await inbox.wait { $0.texts.contains("heard") }.interruptions.isEmpty == false)
        }
    }

    @Test(
        "F-66 a full disk refuses writes with a typed error, keeps the link, and heals by itself",
        .enabled(if: SmallDisk.isPossible, "mounting a small file system needs the rights of root"))
    func fullDisk() async throws {
        let server = try PostgresServer()
        let disk = try SmallDisk(in: server.directory, megabytes: 8)
        defer { disk.remove() }
        try await server.start()
        try server.sql("CREATE TABLESPACE small LOCATION '\(disk.directory.path())'")
        try server.sql("ALTER ROLE postgres SET default_tablespace = 'small'")
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("first"), to: stream)
            var accepted = 1
            var error: DriverError?
            var batch = writer.batch("")
            while error == nil {
                batch = writer.batch([ByteBuffer(repeating: 7, count: 500_000)])
                do {
                    _ = try await driver.append(batch, to: stream)
                    accepted += 1
                } catch let refusal as DriverError { error = refusal }
            }
            #expect(error?.code == .overloaded && error?.recovery != .giveUp, "\(String(describing: error))")
            #expect(try await driver.extent(of: stream).newest == Offset(UInt64(accepted)))
            try disk.grow(toMegabytes: 64)
            #expect(try await driver.append(batch, to: stream).last.offset == Offset(UInt64(accepted) + 1))
            let log = try await inbox.wait { $0.records.count == accepted + 1 }
            #expect(log.interruptions.isEmpty)
        }
    }

    @Test("prepared statements that somebody between has lost cost a repetition, and are not relied on again")
    func lostNames() async throws {
        let server = try await PostgresServer.started()
        let pooler = try TransactionPooler(server: server.port, isSecret: true)
        defer { pooler.end() }
        var configuration = try server.configuration()
        configuration.listenerServer = configuration.server
        configuration.server = Secret("postgres://postgres@127.0.0.1:\(pooler.port)/postgres")
        try await withNode(configuration) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("0"), to: stream)
            // With a second client the first one gets its sessions in turn.
            try await withNode(configuration) { _, _ in
                var refusals: [DriverError] = []
                for text in 1...6 {
                    let batch = writer.batch("\(text)")
                    while true {
                        do throws(DriverError) {
                            _ = try await driver.append(batch, to: stream)
                            break
                        } catch { refusals.append(error) }
                    }
                }
                #expect(refusals.map(\.code) == [.overloaded] && refusals[0].recovery == .retry(after: .zero))
            }
            let log = try await inbox.wait { $0.records.count == 7 }
            #expect(log.texts == (0...6).map(String.init) && log.interruptions.isEmpty)
        }
    }

    @Test("a transaction pooler is recognised and named; with a direct way to listen, everything works through it")
    func pooler() async throws {
        let server = try await PostgresServer.started()
        let pooler = try TransactionPooler(server: server.port)
        defer { pooler.end() }
        var configuration = try server.configuration()
        let direct = configuration.server
        configuration.server = Secret("postgres://postgres@127.0.0.1:\(pooler.port)/postgres")
        try await withNode(configuration, untilLive: false) { _, inbox in
            // Why not the first: on a busy machine a test of the link may have run out of time before.
            let log = try await inbox.wait { $0.interruptions.contains { $0.detail.contains("pooler") } }
            #expect(log.interruptions.last?.detail.contains("?listener=") == true)
        }
        configuration.listenerServer = direct
        try await withNode(configuration) { driver, inbox in
            var writer = Writer()
            for text in ["a", "b", "c"] { _ = try await driver.append(writer.batch(text), to: stream) }
            #expect(try await inbox.wait { $0.records.count == 3 }.texts == ["a", "b", "c"])
        }
    }
}

/// A file system of a few megabytes, to be filled.
struct SmallDisk {
    let directory: URL

    static var isPossible: Bool {
        guard geteuid() == 0, let probe = try? SmallDisk(in: URL.temporaryDirectory, megabytes: 1) else { return false }
        probe.remove()
        try? FileManager.default.removeItem(at: probe.directory)
        return true
    }

    init(in parent: URL, megabytes: Int) throws {
        self.directory = parent.appending(path: "small-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        let options = "size=\(megabytes)m,uid=postgres,mode=0700"
        try Command.run("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", self.directory.path()])
    }

    func grow(toMegabytes megabytes: Int) throws {
        try Command.run("/bin/mount", ["-o", "remount,size=\(megabytes)m", self.directory.path()])
    }

    func remove() {
        // Lazily: the server may still have files open there.
        _ = try? Command.run("/bin/umount", ["-l", self.directory.path()])
    }
}
