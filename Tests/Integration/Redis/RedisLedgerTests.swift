import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRedis
import Testing

/// What can happen to a Redis that costs nothing, however much traffic there is. What brokers of every kind suffer is in
/// the conformance kit; here its ledger is kept while something happens that only Redis knows.
enum Disturbance: CaseIterable, CustomTestStringConvertible {
    case scriptsForgotten, subscribersKilled, requestersKilled, clientsPaused

    /// Commands for `redis-cli`, one a line.
    var commands: [String] {
        switch self {
        case .scriptsForgotten: ["SCRIPT FLUSH"]
        case .subscribersKilled: ["CLIENT KILL TYPE pubsub"]
        case .requestersKilled: ["CLIENT KILL TYPE normal SKIPME yes"]
        case .clientsPaused: ["CLIENT PAUSE 300 ALL"]
        }
    }

    var testDescription: String {
        switch self {
        case .scriptsForgotten: "scripts are forgotten"
        case .subscribersKilled: "connections that receive are killed"
        case .requestersKilled: "connections that ask are killed"
        case .clientsPaused: "all clients are kept waiting"
        }
    }
}

@Suite("the ledger on a real Redis", .enabled(if: RedisTests.areWanted), .serialized, .timeLimit(.minutes(3)))
struct RedisLedgerTests {
    @Test(
        "F-53 F-54 ten times in a row under load: published = delivered, nothing twice, swapped or reported lost",
        arguments: Disturbance.allCases
    )
    func ledger(disturbance: Disturbance) async throws {
        let server = try await RedisServer.started()
        let commands = disturbance.commands.map { "redis-cli -p \(server.port) \($0)" }.joined(separator: " && ")
        // The kit asks for its links to be cut, ten times; this is what happens instead. The # hides its word.
        let redis = try RegisteredDriver(
            at: BackplaneURL(server.url), among: DriverRegistry([.redis]), faults: FaultCommand("\(commands) #"))
        let law = try #require(ConformanceKit.case(named: "link.flap"))
        #expect(await Certification.complaints(about: redis, running: [law]).isEmpty)
    }
}
