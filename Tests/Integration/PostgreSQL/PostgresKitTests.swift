import BrokerTestSupport
import BusbarConformance
import BusbarDriver
import BusbarPostgreSQL
import Foundation
import Synchronization
import Testing

/// A PostgreSQL of the kit's own, and apps in one schema of it.
final class PostgresUnderTest: DriverUnderTest {
    let name = "postgresql"
    /// Retention goes by bytes and age, not by count.
    let limitsRetention = false
    private let server: PostgresServer

    init() async throws {
        self.server = try await PostgresServer.started()
    }

    func makeApp(_ options: AppOptions) async throws -> any AppUnderTest {
        PostgresApp(server: self.server, name: "kit-\(UUID().uuidString)")
    }
}

struct PostgresApp: AppUnderTest {
    let server: PostgresServer
    let name: String

    var faults: (any BrokerFaults)? { PostgresFaults(server: self.server) }

    func makeNode() async throws -> any BackplaneDriver {
        PostgresDriver(try self.server.configuration(app: self.name))
    }

    func remove() async {
        _ = try? self.server.sql("SELECT busbar.drop_app('\(self.name)')")
    }
}

struct PostgresFaults: BrokerFaults {
    let server: PostgresServer

    var offered: Set<BrokerFault> { Set(BrokerFault.allCases) }

    private var kept: URL { self.server.directory.appending(path: "kept") }

    func inject(_ fault: BrokerFault) async throws {
        switch fault {
        case .pause: self.server.signalAll(SIGSTOP)
        case .resume: self.server.signalAll(SIGCONT)
        case .kill: self.server.crash()
        case .start: try await self.server.start()
        case .wipe: try self.server.sql("TRUNCATE busbar.heads, busbar.writers, busbar.log")
        case .save:
            self.server.shutDown()
            try Command.run("/bin/rm", ["-rf", self.kept.path()])
            try Command.run("/bin/cp", ["-a", self.server.data.path(), self.kept.path()], asPostgres: true)
            try await self.server.start()
        case .restoreOlder:
            self.server.crash()
            try Command.run("/bin/rm", ["-rf", self.server.data.path()])
            try Command.run("/bin/cp", ["-a", self.kept.path(), self.server.data.path()], asPostgres: true)
            try await self.server.start()
        case .cutLinks: try self.server.cutLinks()
        }
    }
}

@Suite("the kit on a real PostgreSQL", .enabled(if: PostgresTests.areWanted), .serialized, .timeLimit(.minutes(10)))
struct PostgresKitTests {
    @Test("every law of levels A and B holds")
    func certified() async throws {
        let results = await ConformanceRunner(try await PostgresUnderTest()).run(ConformanceKit.cases(upTo: .b))
        let printer = ConformancePrinter()
        for result in results {
            guard case .failed = result.outcome else { continue }
            Issue.record("\(printer.lines(for: result).joined(separator: "\n"))")
        }
        #expect(results.count > 30, "\(printer.summary(of: results))")
    }
}
