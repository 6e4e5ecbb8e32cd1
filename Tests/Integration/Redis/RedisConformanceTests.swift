import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRedis
import Testing

@Suite("Redis under the conformance kit", .serialized, .enabled(if: RedisTests.areWanted))
struct RedisConformanceTests {
    @Test("level A, and level B on a Redis that persists what it acknowledged", .timeLimit(.minutes(10)))
    func persistent() async throws {
        try await ThrowawayBroker.run("redis") { broker in
            // Why eight seconds: the kit's nodes share two cores with all other tests.
            let url = try BackplaneURL("\(broker.url.text)?probeLimit=8000")
            let redis = try RegisteredDriver(
                at: url, among: DriverRegistry([.redis]), faults: broker.faults)
            #expect(await Certification.complaints(about: redis, running: ConformanceKit.cases(upTo: .b)).isEmpty)
        }
    }

    @Test("F-55 level B's restarts on a Redis that forgets everything", .timeLimit(.minutes(5)))
    func forgetful() async throws {
        try await ThrowawayBroker.run("redis", settings: ["REDIS_PERSISTENT": "0"]) { broker in
            let redis = try RegisteredDriver(
                at: broker.url, among: DriverRegistry([.redis]), faults: broker.faults, brokerPersists: false)
            let restarts = ConformanceKit.cases.filter {
                $0.name.hasPrefix("broker.") && !$0.name.hasPrefix("broker.refuses")
            }
            let complaints = await Certification.complaints(
                about: redis, running: restarts, expectingSkips: ["broker.kill-after-ack"])
            #expect(complaints.isEmpty)
        }
    }
}
