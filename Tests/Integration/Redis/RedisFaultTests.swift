import BrokerTestSupport
import BusbarDriver
import BusbarRedis
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite("faults of a real Redis", .enabled(if: RedisTests.areWanted), .timeLimit(.minutes(2)))
struct RedisFaultTests {
    @Test("a broker that is absent at start is reported, and used as soon as it is there")
    func absentAtStart() async throws {
        let server = try RedisServer()
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

    @Test("wrong credentials end the run with Redis's own words and without the password")
    func wrongPassword() async throws {
        let server = try await RedisServer.started("--requirepass", "right-secret")
        for password in ["wrong-secret", ""] {
            let configuration = try server.configuration(password: password)
            let error = await #expect(throws: DriverError.self) {
                try await RedisDriver(configuration).run(following: [stream], delivering: Recorder())
            }
            #expect(error?.code == .unauthorized && error?.recovery == .giveUp)
            #expect(error?.description.contains("secret") == false)
            #expect(error?.detail.hasPrefix(password.isEmpty ? "NOAUTH" : "WRONGPASS") == true)
        }
        try await withNode(try server.configuration(password: "right-secret")) { _, _ in }
    }

    @Test("an ACL user limited to the app's prefix is enough; one without rights is refused with the reason")
    func accessControl() async throws {
        let server = try await RedisServer.started()
        try server.command(
            "ACL", "SETUSER", "node", "on", ">pw", "~busbar:{test}:*", "&busbar:{test}:*", "+@all", "-@admin",
            "-@dangerous",
            "+info", "+script|load"
        )
        try await withNode(try server.configuration(password: "pw", user: "node")) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("x"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["x"])
        }
        let foreign = try server.configuration(app: "other", password: "pw", user: "node")
        let error = await #expect(throws: DriverError.self) {
            try await RedisDriver(foreign).run(following: [stream], delivering: Recorder())
        }
        #expect(error?.code == .unauthorized && error?.detail.contains("NOPERM") == true)
    }

    @Test("F-66 a full database refuses writes with a typed error, keeps delivering, and heals by itself")
    func outOfMemory() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let first = try await driver.append(writer.batch("a"), to: stream)
            try server.command("CONFIG", "SET", "maxmemory", "1")
            let batch = writer.batch("b")
            let error = await #expect(throws: DriverError.self) { _ = try await driver.append(batch, to: stream) }
            #expect(error?.code == .overloaded && error?.recovery != .giveUp)
            #expect(error?.detail.hasPrefix("OOM") == true)
            #expect(try await driver.extent(of: stream).newest == first.last.offset)
            try server.command("CONFIG", "SET", "maxmemory", "0")
            #expect(try await driver.append(batch, to: stream).last.offset == Offset(2))
            let log = try await inbox.wait { $0.records.count >= 2 }
            #expect(log.texts == ["a", "b"] && log.interruptions.isEmpty)
        }
    }

    @Test("F-66 a Redis that stopped taking writes since it can't save is overloaded, not wrong, and heals by itself")
    func misconfigured() async throws {
        let server = try await RedisServer.started()
        // What keeps it from saving: a directory in the place of the file.
        let obstacle = server.directory.appending(path: "dump.rdb")
        func save(untilStatus status: String) throws {
            try server.command("BGSAVE")
            let deadline = ContinuousClock.now + .seconds(30)
            while try !server.command("INFO", "persistence").contains("rdb_last_bgsave_status:\(status)") {
                guard ContinuousClock.now < deadline else { throw CancellationError() }
            }
        }
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("a"), to: stream)
            try FileManager.default.createDirectory(
                at: obstacle.appending(path: "in the way"), withIntermediateDirectories: true)
            try server.command("CONFIG", "SET", "save", "3600 1")
            try save(untilStatus: "err")
            let batch = writer.batch("b")
            let error = await #expect(throws: DriverError.self) { _ = try await driver.append(batch, to: stream) }
            #expect(error?.code == .overloaded && error?.recovery != .giveUp)
            #expect(error?.detail.hasPrefix("MISCONF") == true)
            #expect(try await driver.extent(of: stream).newest == Offset(1))
            try FileManager.default.removeItem(at: obstacle)
            try save(untilStatus: "ok")
            #expect(try await driver.append(batch, to: stream).last.offset == Offset(2))
            #expect(try await inbox.wait { $0.records.count >= 2 }.texts == ["a", "b"])
        }
    }

    @Test("F-55 an emptied database continues under a later epoch, whoever touches it first")
    func flushAll() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            try server.command("FLUSHALL")
            let extent = try await driver.extent(of: stream)
            #expect(extent.epoch.rawValue > before.epoch.rawValue && extent.newest == .beginning)
            try server.command("FLUSHALL")
            let page = try await driver.read(stream, after: .beginning, limitBytes: 100)
            #expect(page.records.isEmpty && page.epoch.rawValue > extent.epoch.rawValue)
            try server.command("FLUSHALL")
            let after = try await driver.append(writer.batch("b"), to: stream).last
            #expect(after.epoch.rawValue > page.epoch.rawValue && after.offset == Offset(1))
            #expect(try await inbox.wait { $0.records.count >= 2 }.texts == ["a", "b"])
        }
    }

    @Test("a store older than what the writer has seen begins a new epoch before it accepts anything")
    func highWater() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, _ in
            var writer = Writer()
            let last = try await driver.append(writer.batch("a"), to: stream).last
            let ahead = Position(stream: stream, epoch: last.epoch, offset: Offset(9))
            let fenced = try await driver.append(writer.batch("b", after: ahead), to: stream).last
            #expect(fenced.epoch.rawValue > last.epoch.rawValue && fenced.offset == Offset(1))
            let behind = try await driver.append(writer.batch("c", after: last), to: stream).last
            #expect(behind.epoch == fenced.epoch && behind.offset == Offset(2))
            let future = Position(stream: stream, epoch: Epoch(fenced.epoch.rawValue + 5), offset: Offset(1))
            let later = try await driver.append(writer.batch("d", after: future), to: stream).last
            #expect(later.epoch.rawValue > future.epoch.rawValue)
        }
    }

    @Test(
        "F-55 after a crash an append-only file brings the epoch back; without one the epoch is new",
        arguments: [true, false])
    func crash(keepsData: Bool) async throws {
        let persistence = keepsData ? RedisServer.Persistence.appendOnly : .none
        let server = try await RedisServer.started("--appendfsync", "always", persistence: persistence)
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            // Why: a receipt may come before the delivery, which a crash would take with it. The log is the bus's to read.
            try await inbox.wait { $0.records.count == 1 }
            server.crash()
            try await inbox.wait { !$0.interruptions.isEmpty }
            try await server.start(["--appendfsync", "always"], persistence: persistence)
            let lives = try await inbox.wait { $0.liveExtents.count >= 2 }.liveExtents
            let extent = try #require(lives.last?[stream])
            #expect((extent.epoch == before.epoch) == keepsData)
            #expect(extent.newest == (keepsData ? before.offset : .beginning))
            _ = try await driver.append(writer.batch("b"), to: stream)
            #expect(try await inbox.wait { $0.records.count >= 2 }.texts == ["a", "b"])
        }
    }

    @Test(
        "F-57 a store restored from an older state comes back under a new epoch, each time"
    )
    func olderDump() async throws {
        let server = try await RedisServer.started()
        let dump = server.directory.appending(path: "dump.rdb")
        let older = server.directory.appending(path: "older.rdb")
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a", "b", "c"), to: stream).last
            try server.command("SAVE")
            try FileManager.default.copyItem(at: dump, to: older)
            _ = try await driver.append(writer.batch("d", "e"), to: stream)
            try await inbox.wait { $0.records.count >= 5 }

            func restore() async throws {
                let lives = inbox.log.liveExtents.count
                server.crash()
                try? FileManager.default.removeItem(at: dump)
                try FileManager.default.copyItem(at: older, to: dump)
                try await server.start()
                try await inbox.wait { $0.liveExtents.count > lives }
            }
            try await restore()
            let rewound = try #require(inbox.log.liveExtents.last?[stream])
            #expect(rewound.epoch.rawValue > before.epoch.rawValue && rewound.newest == .beginning)

            // Again: by now the dump is one of an epoch that is over.
            _ = try await driver.append(writer.batch("f", "g", "h", "i", "j", "k"), to: stream)
            try await restore()
            #expect(try #require(inbox.log.liveExtents.last?[stream]).epoch.rawValue > rewound.epoch.rawValue)
        }
    }

    @Test("a log that lost its end and grew another one is recognised by the record at the place last seen")
    func regrownLog() async throws {
        let server = try await RedisServer.started()
        let dump = server.directory.appending(path: "dump.rdb")
        let older = server.directory.appending(path: "older.rdb")
        let configuration = try server.configuration()
        try await withNode(configuration) { _, inbox in
            var (writer, stranger) = (Writer(), Writer())
            let before = try await withNode(configuration) { driver, _ in
                _ = try await driver.append(writer.batch("a"), to: stream)
                try server.command("SAVE")
                try FileManager.default.copyItem(at: dump, to: older)
                return try await driver.append(writer.batch("b", "c"), to: stream).last
            }
            try await inbox.wait { $0.records.count >= 3 }
            server.signal(SIGSTOP)
            try await inbox.wait { !$0.interruptions.isEmpty }
            server.crash()
            try? FileManager.default.removeItem(at: dump)
            try FileManager.default.copyItem(at: older, to: dump)
            // The witness is kept out by a password until the stranger has written more than was lost.
            try await server.start(["--requirepass", "later"])
            let regrown = try await withNode(try server.configuration(password: "later")) { driver, _ in
                try await driver.append(stranger.batch("x", "y", "z"), to: stream).last
            }
            #expect(regrown.epoch == before.epoch && regrown.offset > before.offset)
            try server.command("-a", "later", "CONFIG", "SET", "requirepass", "")
            let lives = try await inbox.wait { $0.liveExtents.count >= 2 }.liveExtents
            let extent = try #require(lives.last?[stream])
            #expect(extent.epoch.rawValue > before.epoch.rawValue)
        }
    }

    @Test("F-56 a Redis that stops answering is noticed within the probe's limits, and taken back when it goes on")
    func stopped() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("a"), to: stream)
            try await inbox.wait { $0.records.count >= 1 }
            server.signal(SIGSTOP)
            let error = try #require(try await inbox.wait { !$0.interruptions.isEmpty }.interruptions.first)
            #expect(error.code == .timedOut)
            server.signal(SIGCONT)
            try await inbox.wait { $0.liveExtents.count >= 2 }
            _ = try await driver.append(writer.batch("b"), to: stream)
            #expect(try await inbox.wait { $0.records.count >= 2 }.texts == ["a", "b"])
        }
    }

    @Test("an append that Redis never answers fails in time, and its repetition is stored once")
    func ambiguousAppend() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let batch = writer.batch("once")
            server.signal(SIGSTOP)
            let error = await #expect(throws: DriverError.self) { _ = try await driver.append(batch, to: stream) }
            #expect(error?.recovery != .giveUp)
            server.signal(SIGCONT)
            try await inbox.wait { $0.liveExtents.count >= 2 }
            let receipt = try await driver.append(batch, to: stream)
            #expect(receipt.last.offset == Offset(1))
            #expect(try await driver.extent(of: stream).newest == Offset(1))
        }
    }

    @Test("F-57 a server that became a replica is left, and the driver is back when there is one that takes writes")
    func readOnly() async throws {
        let other = try await RedisServer.started()
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            try server.command("REPLICAOF", "127.0.0.1", "\(other.port)")
            let batch = writer.batch("b")
            let error = await #expect(throws: DriverError.self) { _ = try await driver.append(batch, to: stream) }
            #expect(error?.recovery != .giveUp)
            try await inbox.wait { log in log.interruptions.contains { $0.detail.contains("READONLY") } }
            try server.command("REPLICAOF", "NO", "ONE")
            try await inbox.wait { $0.liveExtents.count >= 2 }
            let after = try await driver.append(batch, to: stream).last
            #expect(after.epoch.rawValue >= before.epoch.rawValue)
        }
    }

    @Test("forgotten scripts are loaded again in the middle of traffic, and nothing is lost or swapped")
    func scriptFlush() async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            var writer = Writer()
            for index in 0..<300 {
                if index.isMultiple(of: 50) { try server.command("SCRIPT", "FLUSH") }
                _ = try await driver.append(writer.batch("\(index)"), to: stream)
            }
            let log = try await inbox.wait { $0.records.count >= 300 }
            #expect(log.texts == (0..<300).map(String.init) && log.interruptions.isEmpty)
        }
    }

    @Test(
        "a killed subscription is replaced, whichever of the two connections was hit", arguments: ["pubsub", "normal"])
    func clientKill(type: String) async throws {
        let server = try await RedisServer.started()
        try await withNode(try server.configuration()) { driver, inbox in
            for round in 1...10 {
                try server.command("CLIENT", "KILL", "TYPE", type, "SKIPME", "yes")
                try await inbox.wait { $0.liveExtents.count > round }
            }
            var writer = Writer()
            _ = try await driver.append(writer.batch("still here"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["still here"])
        }
    }

    @Test("F-59 a node cut off for its full output buffer comes back and finds in the log what it missed")
    func outputBuffer() async throws {
        let server = try await RedisServer.started("--client-output-buffer-limit", "pubsub 1mb 1mb 1")
        // A group of its own: the slow node's loop is blocked on purpose, which must not be the publisher's.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let slow = BlockingInbox()
        let slowDriver = RedisDriver(try server.configuration(), on: group)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await slowDriver.run(following: [stream], delivering: slow) }
            try await slow.recorder.wait { !$0.liveExtents.isEmpty }
            try await withNode(try server.configuration()) { driver, _ in
                var writer = Writer()
                slow.block()
                for _ in 0..<200 {
                    let payload = ByteBuffer(repeating: 7, count: 100_000)
                    _ = try await driver.append(writer.batch([payload]), to: stream)
                }
                slow.unblock()
                try await slow.recorder.wait { $0.liveExtents.count >= 2 }
                let extent = try #require(slow.recorder.log.liveExtents.last?[stream])
                #expect(extent.newest == Offset(200))
                let delivered = slow.recorder.log.records.count
                #expect(delivered < 200)
                let page = try await slowDriver.read(stream, after: Offset(UInt64(delivered)), limitBytes: 1)
                #expect(page.records.first?.offset == Offset(UInt64(delivered) + 1))
            }
            tasks.cancelAll()
            try await tasks.waitForAll()
        }
        try await group.shutdownGracefully()
    }

    @Test("Sentinels say where the primary is; one that is away costs no more than its share of the time")
    func sentinel() async throws {
        let server = try await RedisServer.started()
        let sentinel = try RedisServer()
        try await sentinel.startSentinel(watching: server, readyText: "+monitor")
        let nobody = try RedisServer()
        let hosts = "127.0.0.1:\(nobody.port),127.0.0.1:\(sentinel.port)"
        let configuration = try RedisConfiguration(url: "redis+sentinel://\(hosts)/main/2?app=test")
        try await withNode(configuration) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("x"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["x"])
        }
        let unknown = try RedisConfiguration(url: "redis+sentinel://\(hosts)/other?app=test")
        try await withNode(unknown, untilLive: false) { _, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.interruptions[0].detail.contains("\"other\""))
        }
    }

    @Test("F-57 after a failover the driver finds the new primary, with the epoch and the records that were replicated")
    func failover() async throws {
        // Why no delay: a primary waits five seconds for more replicas before it starts to send its data.
        let primary = try await RedisServer.started("--repl-diskless-sync-delay", "0")
        let replica = try await RedisServer.started("--replicaof", "127.0.0.1 \(primary.port)")
        let sentinel = try RedisServer()
        try await sentinel.startSentinel(watching: primary, readyText: "+slave")
        var configuration = try RedisConfiguration(url: "redis+sentinel://127.0.0.1:\(sentinel.port)/main?app=test")
        configuration.probeInterval = .milliseconds(100)
        configuration.backOffCeiling = .milliseconds(300)
        try await withNode(configuration) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            // Why the write: WAIT asks for what its own connection wrote, and that comes after the append.
            #expect(try primary.conversation("SET marker 1", "WAIT 1 20000") == "OK\n1")
            // Why again: until the Sentinel has heard from the replica it knows of nobody to promote.
            let deadline = ContinuousClock.now + .seconds(60)
            while try sentinel.command("SENTINEL", "FAILOVER", "main") != "OK" {
                try #require(ContinuousClock.now < deadline)
            }
            try await inbox.wait { $0.liveExtents.count >= 2 }
            let after = try await driver.append(writer.batch("b", after: before), to: stream).last
            #expect(after.epoch == before.epoch && after.offset == Offset(2))
            #expect(try await inbox.wait { $0.records.count >= 2 }.texts == ["a", "b"])
            #expect(try replica.command("ROLE").hasPrefix("master"))
        }
    }
}

/// Holds up whoever delivers to it while it is blocked, as a node without a free moment would.
private final class BlockingInbox: Inbox {
    let recorder = Recorder()
    private let gate = NSLock()

    func block() { self.gate.lock() }
    func unblock() { self.gate.unlock() }

    func receive(_ event: DriverEvent) {
        self.gate.withLock {}
        self.recorder.receive(event)
    }
}
