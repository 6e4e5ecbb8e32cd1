import BrokerTestSupport
import BusbarRedis
import Foundation
import Testing

/// What can happen to a Redis while two nodes talk through it.
enum Fault: CaseIterable, CustomTestStringConvertible {
    case nothing, killedTenTimes, scriptsForgotten, stopped, crashedWithData, crashedWithoutData, restoredOlder, flushed

    /// Whether something may be gone for good; it must then be reported.
    var mayLose: Bool {
        switch self {
        case .nothing, .killedTenTimes, .scriptsForgotten, .stopped, .crashedWithData: false
        case .crashedWithoutData, .restoredOlder, .flushed: true
        }
    }

    var testDescription: String {
        switch self {
        case .nothing: "nothing happens"
        case .killedTenTimes: "connections are killed ten times"
        case .scriptsForgotten: "scripts are forgotten"
        case .stopped: "Redis stands still"
        case .crashedWithData: "Redis crashes and comes back with its data"
        case .crashedWithoutData: "Redis crashes and comes back empty"
        case .restoredOlder: "Redis crashes and comes back with an older state"
        case .flushed: "everything is deleted"
        }
    }
}

@Suite(
    "the ledger of two buses on a real Redis", .enabled(if: RedisTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct RedisLedgerTests {
    @Test(
        "F-53 F-54 F-55 F-57 published = delivered + reported, nothing twice, nothing swapped, nodes agree",
        arguments: Fault.allCases
    )
    func ledger(fault: Fault) async throws {
        let persistence = fault == .crashedWithData ? RedisServer.Persistence.appendOnly : .none
        let server = try await RedisServer.started("--appendfsync", "always", persistence: persistence)
        let problems = try await keepLedger(mayLose: fault.mayLose) {
            RedisDriver(try server.configuration())
        } strike: { witness in
            try await fault.strike(server, witness: witness)
        }
        #expect(problems.isEmpty)
    }
}

extension Fault {
    func strike(_ server: RedisServer, witness: NodeLedger) async throws {
        switch self {
        case .nothing:
            break
        case .killedTenTimes:
            for round in 0..<10 {
                try server.command(
                    "CLIENT", "KILL", "TYPE", round.isMultiple(of: 2) ? "pubsub" : "normal", "SKIPME", "yes")
                try await witness.waitForMore(20)
            }
        case .scriptsForgotten:
            for _ in 0..<5 {
                try server.command("SCRIPT", "FLUSH")
                try await witness.waitForMore(50)
            }
        case .stopped:
            server.signal(SIGSTOP)
            // Why a real wait: the silence itself is the fault, and it has to outlast the probe's limits.
            try await Task.sleep(for: .seconds(2))
            server.signal(SIGCONT)
        case .crashedWithData:
            server.crash()
            try await server.start(["--appendfsync", "always"], persistence: .appendOnly)
        case .crashedWithoutData:
            server.crash()
            try await server.start()
        case .restoredOlder:
            try server.command("SAVE")
            let dump = server.directory.appending(path: "dump.rdb")
            let older = server.directory.appending(path: "older.rdb")
            try FileManager.default.copyItem(at: dump, to: older)
            try await witness.waitForMore(100)
            server.crash()
            try FileManager.default.removeItem(at: dump)
            try FileManager.default.copyItem(at: older, to: dump)
            try await server.start()
        case .flushed:
            try server.command("FLUSHALL")
        }
    }
}
