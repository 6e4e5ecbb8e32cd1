import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRedis
import Testing

@Suite("a Redis in cluster mode", .enabled(if: RedisTests.areWanted), .timeLimit(.minutes(3)))
struct RedisClusterTests {
    @Test("keys of one stream share a slot, so that scripts work on a node that holds all slots: level A of the kit")
    func conformance() async throws {
        let server = try RedisServer(highestPort: 55_535)
        try await server.start(["--cluster-enabled", "yes"])
        #expect(try server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "OK")
        let deadline = ContinuousClock.now + .seconds(30)
        while try !server.command("CLUSTER", "INFO").contains("cluster_state:ok") {
            try #require(ContinuousClock.now < deadline)
        }
        let redis = try RegisteredDriver(at: BackplaneURL(server.url), among: DriverRegistry([.redis]))
        #expect(await Certification.complaints(about: redis, running: ConformanceKit.cases(upTo: .a)).isEmpty)
    }
}
