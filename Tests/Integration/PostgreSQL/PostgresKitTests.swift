import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarPostgreSQL
import Testing

@Suite("PostgreSQL under the conformance kit", .serialized, .enabled(if: PostgresTests.areWanted))
struct PostgresKitTests {
    /// Retention goes by bytes and age, and not by a count that the kit could ask for.
    private static let skips: Set<String> = ["position.trimmed", "read.trimmed"]

    @Test("levels A and B, on unlogged tables and on logged ones", .timeLimit(.minutes(10)), arguments: [false, true])
    func certified(isLogged: Bool) async throws {
        try await ThrowawayBroker.run("postgres") { broker in
            // Why eight seconds: the kit's nodes share two cores with all other tests.
            let url = try BackplaneURL("\(broker.url.text)?logged=\(isLogged)&probeLimit=8000")
            let postgres = try RegisteredDriver(
                at: url, among: DriverRegistry([.postgreSQL]), faults: broker.faults, brokerPersists: isLogged)
            let complaints = await Certification.complaints(
                about: postgres, running: ConformanceKit.cases(upTo: .b),
                expectingSkips: Self.skips.union(isLogged ? [] : ["broker.kill-after-ack"]))
            #expect(complaints.isEmpty)
        }
    }
}
