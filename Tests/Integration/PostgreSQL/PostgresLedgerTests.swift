import BrokerTestSupport
import BusbarPostgreSQL
import Foundation
import Testing

/// What can happen to a PostgreSQL while two nodes talk through it.
enum Fault: CaseIterable, CustomTestStringConvertible {
    case nothing, terminatedTenTimes, backendKilled, postmasterKilled, postmasterKilledLogged, stoodStill, restarted
    case counterLocked

    /// Whether something may be gone for good; it must then be reported.
    var mayLose: Bool {
        switch self {
        case .nothing, .terminatedTenTimes, .postmasterKilledLogged, .stoodStill, .restarted, .counterLocked: false
        case .backendKilled, .postmasterKilled: true
        }
    }

    var testDescription: String {
        switch self {
        case .nothing: "nothing happens"
        case .terminatedTenTimes: "connections are terminated ten times"
        case .backendKilled: "a backend is killed, and the server resets itself"
        case .postmasterKilled: "the postmaster is killed and started again"
        case .postmasterKilledLogged: "the same, with logged tables"
        case .stoodStill: "all of PostgreSQL stands still"
        case .restarted: "PostgreSQL is restarted"
        case .counterLocked: "somebody holds the counter row for ten seconds"
        }
    }
}

@Suite(
    "the ledger of two buses on a real PostgreSQL", .enabled(if: PostgresTests.areWanted), .serialized,
    .timeLimit(.minutes(2)))
struct PostgresLedgerTests {
    @Test(
        "F-53 F-54 F-55 F-56 published = delivered + reported, nothing twice, nothing swapped, nodes agree",
        arguments: Fault.allCases
    )
    func ledger(fault: Fault) async throws {
        let server = try await PostgresServer.started()
        let query = "&logged=\(fault == .postmasterKilledLogged)"
        let problems = try await keepLedger(mayLose: fault.mayLose) {
            PostgresDriver(try server.configuration(query: query))
        } strike: { witness in
            try await fault.strike(server, witness: witness)
        }
        #expect(problems.isEmpty)
    }
}

extension Fault {
    func strike(_ server: PostgresServer, witness: NodeLedger) async throws {
        switch self {
        case .nothing:
            break
        case .terminatedTenTimes:
            for _ in 0..<10 {
                try server.cutLinks()
                try await witness.waitForMore(20)
            }
        case .backendKilled:
            let victim = try server.sql(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'busbar%' LIMIT 1")
            if let process = pid_t(victim) { kill(process, SIGKILL) }
        case .postmasterKilled, .postmasterKilledLogged:
            server.crash()
            try await server.start()
        case .stoodStill:
            // Why a node of another app, with more patience: when that has lost its link, so have all.
            var configuration = try server.configuration(app: "witness")
            configuration.probeLimit = configuration.probeLimit * 1.5
            try await withNode(configuration) { _, inbox in
                let processes = server.processes
                for process in processes { kill(process, SIGSTOP) }
                defer { for process in processes { kill(process, SIGCONT) } }
                try await inbox.wait { !$0.interruptions.isEmpty }
            }
        case .restarted:
            server.shutDown()
            try await server.start()
        case .counterLocked:
            try server.sql("BEGIN; SELECT 1 FROM busbar.heads FOR UPDATE; SELECT pg_sleep(10); COMMIT")
        }
    }
}

extension PostgresServer {
    func cutLinks() throws {
        try self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'busbar%'")
    }
}
