import BusbarDriver
import BusbarRedis
import NIOCore
import Testing

@Suite("Which node of a cluster a link turns to")
struct ClusterGuideTests {
    typealias HostPort = RedisConfiguration.HostPort

    private let home = HostPort(host: "a", port: 1)
    private let second = HostPort(host: "b", port: 2)
    private let third = HostPort(host: "c", port: 3)

    @Test("without a cluster it always says: where the configuration says")
    func alone() {
        var guide = ClusterGuide()
        for _ in 0..<3 {
            #expect(guide.next == nil)
            guide.attemptFailed()
        }
    }

    @Test("it begins with the node that holds the keys, then goes round the configured one and those it heard of")
    func round() {
        var guide = ClusterGuide()
        guide.heard(of: [self.home, self.second, self.third, self.second])
        guide.moved(to: self.home)
        var asked: [HostPort?] = []
        for _ in 0..<5 {
            asked.append(guide.next)
            guide.attemptFailed()
        }
        #expect(asked == [self.home, nil, self.second, self.third, self.home])
        guide.wentLive()
        #expect(guide.next == self.home)
        guide.attemptFailed()
        guide.moved(to: self.third)
        #expect(guide.next == self.third)
    }

    @Test("it remembers a bounded number of nodes, however many an answer names")
    func bounded() {
        var guide = ClusterGuide()
        guide.heard(of: (1...1_000).map { HostPort(host: "node", port: $0) })
        var asked = Set<HostPort?>()
        for _ in 0..<2_000 {
            asked.insert(guide.next)
            guide.attemptFailed()
        }
        #expect(asked.count == 65)
    }

    @Test(
        "MOVED names slot and node; without a host it is the one that was asked; anything else is no move",
        arguments: [
            ("MOVED 3999 127.0.0.1:6381", HostPort(host: "127.0.0.1", port: 6_381)),
            ("MOVED 3999 ::1:6381", HostPort(host: "::1", port: 6_381)),
            ("MOVED 3999 :6381", HostPort(host: "asked", port: 6_381)),
            ("MOVED 3999 127.0.0.1:0", nil), ("MOVED 3999 ?:6381", nil), ("MOVED 3999 127.0.0.1", nil), ("MOVED", nil),
            ("ERR MOVED 1 a:2", nil),
        ] as [(String, HostPort?)])
    func moved(text: String, node: HostPort?) {
        let error = RedisServerError(text)
        #expect(error.movedTo(asked: "asked") == node)
        if node != nil {
            #expect(error.meansOtherServer && error.driverError(during: "append").recovery == .retry(after: .zero))
        }
    }

    @Test("CLUSTER SLOTS names masters and replicas; nodes without a usable address are passed over")
    func slots() {
        func node(_ host: String?, _ port: Int64) -> RedisReply {
            .array([host.map { .bulk(ByteBuffer(string: $0)) } ?? .null, .integer(port), .status("id")])
        }
        let reply = RedisReply.array([
            .array([.integer(0), .integer(8_191), node("a", 1), node("b", 2)]),
            .array([.integer(8_192), .integer(16_383), node(nil, 3), node("?", 4), node("d", 70_000), .null]),
            .status("nonsense"),
        ])
        let asked = HostPort(host: "asked", port: 3)
        #expect(reply.clusterNodes(asked: "asked") == [self.home, self.second, asked])
        #expect(RedisReply.error(RedisServerError("ERR")).clusterNodes(asked: "asked").isEmpty)
    }
}
