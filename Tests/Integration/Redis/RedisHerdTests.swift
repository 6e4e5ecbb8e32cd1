import Busbar
import BusbarDriver
import BusbarRedis
import Foundation
import Testing

@Suite("many nodes and many interests on one Redis", .enabled(if: RedisTests.areWanted), .timeLimit(.minutes(3)))
struct RedisHerdTests {
    @Test("F-64 200 nodes come back after a restart with a bounded number of commands each, at times of their own")
    func nodes() async throws {
        let server = try await RedisServer.started()
        let inboxes = (0..<200).map { _ in Recorder() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for inbox in inboxes {
                let driver = RedisDriver(try server.configuration())
                group.addTask { try await driver.run(following: [stream, StreamID(1)], delivering: inbox) }
            }
            for inbox in inboxes { try await inbox.wait { !$0.liveExtents.isEmpty } }
            server.crash()
            for inbox in inboxes { try await inbox.wait { !$0.interruptions.isEmpty } }
            try await server.start()
            for inbox in inboxes { try await inbox.wait { $0.liveExtents.count == 2 } }
            let calls = try Self.calls(of: server)
            // One SUBSCRIBE for all streams, a script for each, and what login and verification take.
            #expect(calls["subscribe"] == 200)
            #expect(calls["evalsha", default: 0] <= 200 * 2)
            let others = calls.filter {
                !["publish", "config|resetstat"].contains($0.key) && !Self.inner.contains($0.key)
            }
            #expect(others.values.reduce(0, +) <= 200 * 14, "\(others)")
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test("F-64 200 000 topics of a bus cost Redis one subscription per stream, before and after a restart")
    func topics() async throws {
        let server = try await RedisServer.started()
        try await withBuses(on: server, count: 1) { buses in
            let subscription = try await buses[0].subscribe(to: (0..<200_000).map { Topic("topic \($0)") })
            #expect(try Self.channels(of: server) == 2)
            server.crash()
            try await server.start()
            let deadline = ContinuousClock.now + .seconds(60)
            while buses[0].status.phase != .live || buses[0].status.detail != nil {
                try #require(ContinuousClock.now < deadline)
                await Task.yield()
            }
            #expect(try Self.channels(of: server) == 2)
            #expect(try Self.calls(of: server)["subscribe"] == 1)
            subscription.cancel()
        }
    }

    /// What the driver's scripts call in Redis, which costs no round trip.
    private static let inner: Set<String> = ["hmget", "hgetall", "hset", "del", "time", "xrange", "xrevrange", "xadd"]

    /// How often each command was called since the server started.
    private static func calls(of server: RedisServer) throws -> [String: Int] {
        let lines = try server.command("INFO", "commandstats").split(whereSeparator: \.isNewline)
        return Dictionary(
            lines.compactMap { line -> (String, Int)? in
                guard let colon = line.firstIndex(of: ":"), line.hasPrefix("cmdstat_") else { return nil }
                let count = line[colon...].dropFirst().prefix { $0 != "," }.split(separator: "=").last.flatMap {
                    Int($0)
                }
                return count.map { (line[..<colon].dropFirst("cmdstat_".count).lowercased(), $0) }
            }, uniquingKeysWith: +)
    }

    private static func channels(of server: RedisServer) throws -> Int {
        try server.command("PUBSUB", "CHANNELS").split(whereSeparator: \.isNewline).count
    }
}
