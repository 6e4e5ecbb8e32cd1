import Busbar
import Testing

@Suite("Which nodes are alive")
struct MembershipTests {
    private let own = NodeID(process: 1)
    private let other = NodeID(process: 2)

    private func sign(_ node: NodeID, _ kind: NodeSign.Kind = .heartbeat) -> NodeSign {
        NodeSign(node: node, kind: kind, name: "node \(node.process)")
    }

    private func member(_ node: NodeID) -> Membership.Member {
        Membership.Member(id: node, name: "node \(node.process)")
    }

    private func moment(_ seconds: Double) -> Moment { Moment(nanoseconds: Int64(seconds * 1e9)) }

    /// A node whose first signs have come back, at second 1.
    private func settled(_ settings: Membership.Settings = .init()) -> Membership {
        var membership = Membership(id: self.own, name: "node 1", settings: settings)
        for (second, kind) in [(0.0, NodeSign.Kind.hello), (1.0, .heartbeat)] {
            _ = membership.tick(now: self.moment(second), jitter: 0)
            membership.signSent(self.sign(self.own, kind), succeeded: true, now: self.moment(second), jitter: 0.5)
            _ = membership.heard(self.sign(self.own, kind), now: self.moment(second), jitter: 0)
        }
        return membership
    }

    private func heard(_ membership: inout Membership, _ sign: NodeSign, at second: Double = 1) -> [Membership.Effect] {
        membership.heard(sign, now: self.moment(second), jitter: 0)
    }

    @Test("a node says hello first, then shows itself once per interval, give or take a tenth")
    func heartbeats() {
        var membership = Membership(id: self.own, name: "node 1")
        #expect(membership.tick(now: self.moment(0), jitter: 0) == [.send(self.sign(self.own, .hello))])
        #expect(membership.tick(now: self.moment(0.5), jitter: 0) == [], "one at a time")
        membership.signSent(self.sign(self.own, .hello), succeeded: true, now: self.moment(0.5), jitter: 0)
        #expect(membership.tick(now: self.moment(1.39), jitter: 0) == [])
        #expect(membership.tick(now: self.moment(1.4), jitter: 0) == [.send(self.sign(self.own))])
        membership.signSent(self.sign(self.own), succeeded: true, now: self.moment(1.4), jitter: 1)
        #expect(membership.tick(now: self.moment(2.49), jitter: 0) == [])
        #expect(membership.tick(now: self.moment(2.5), jitter: 0) == [.send(self.sign(self.own))])
    }

    @Test("a hello that could not be sent is tried again soon")
    func helloFails() {
        var membership = Membership(id: self.own, name: "node 1")
        _ = membership.tick(now: self.moment(0), jitter: 0)
        membership.signSent(self.sign(self.own, .hello), succeeded: false, now: self.moment(0), jitter: 0)
        #expect(membership.tick(now: self.moment(0.25), jitter: 0) == [.send(self.sign(self.own, .hello))])
    }

    @Test("a hello that could not be sent goes as soon as the link is live; a node is introduced when it has come back")
    func introduction() {
        var membership = Membership(id: self.own, name: "node 1")
        _ = membership.tick(now: self.moment(0), jitter: 0)
        membership.signSent(self.sign(self.own, .hello), succeeded: false, now: self.moment(0), jitter: 0)
        membership.linkIsLive(now: self.moment(0.01))
        #expect(membership.tick(now: self.moment(0.01), jitter: 0) == [.send(self.sign(self.own, .hello))])
        membership.signSent(self.sign(self.own, .hello), succeeded: true, now: self.moment(0.02), jitter: 0)
        #expect(!membership.isIntroduced)
        _ = self.heard(&membership, self.sign(self.other, .hello))
        #expect(!membership.isIntroduced)
        _ = self.heard(&membership, self.sign(self.own, .hello))
        #expect(membership.isIntroduced && !membership.isSettled)
    }

    @Test("a hello is answered within a quarter of the interval")
    func answering() {
        var membership = self.settled()
        #expect(
            membership.heard(self.sign(self.other, .hello), now: self.moment(1.1), jitter: 1) == [
                .joined(self.member(self.other))
            ])
        #expect(membership.tick(now: self.moment(1.34), jitter: 0) == [])
        #expect(membership.tick(now: self.moment(1.35), jitter: 0) == [.send(self.sign(self.own))])
        #expect(membership.members.map(\.id) == [self.own, self.other])
    }

    @Test("all nodes are known when a sign is back behind which all have answered the hello, not an answer of our own")
    func settling() {
        var membership = Membership(id: self.own, name: "node 1")
        func shows(_ kind: NodeSign.Kind, at second: Double, succeeds: Bool = true) {
            #expect(membership.tick(now: self.moment(second), jitter: 0) == [.send(self.sign(self.own, kind))])
            membership.signSent(self.sign(self.own, kind), succeeded: succeeds, now: self.moment(second), jitter: 0.5)
        }
        shows(.hello, at: 0)
        #expect(self.heard(&membership, self.sign(self.own, .hello), at: 0.01) == [])
        _ = self.heard(&membership, self.sign(self.other, .hello), at: 0.02)
        shows(.heartbeat, at: 0.02)
        #expect(self.heard(&membership, self.sign(self.own), at: 0.03) == [], "others may answer the hello until 0.26")
        shows(.heartbeat, at: 1.02, succeeds: false)
        shows(.heartbeat, at: 1.27)
        #expect(!membership.isSettled)
        #expect(self.heard(&membership, self.sign(self.own), at: 1.28) == [.settled])
        #expect(membership.isSettled)
    }

    @Test("all nodes are known only when the very sign has come back, however late")
    func settlingLate() {
        var membership = Membership(id: self.own, name: "node 1")
        for (second, kind) in [(0.0, NodeSign.Kind.hello), (1.0, .heartbeat), (2.0, .heartbeat)] {
            _ = membership.tick(now: self.moment(second), jitter: 0)
            membership.signSent(self.sign(self.own, kind), succeeded: true, now: self.moment(second), jitter: 0.5)
            if second == 1 { _ = self.heard(&membership, self.sign(self.own, .hello), at: 1.1) }
        }
        #expect(self.heard(&membership, self.sign(self.own), at: 2.1) == [], "sent before the hello was read")
        #expect(self.heard(&membership, self.sign(self.own), at: 2.2) == [.settled])
    }

    @Test("a node that is killed is given up after a few own heartbeats that came back without anything of it")
    func silence() {
        var membership = self.settled()
        _ = self.heard(&membership, self.sign(self.other))
        for _ in 1...4 { #expect(self.heard(&membership, self.sign(self.own)) == []) }
        #expect(self.heard(&membership, self.sign(self.other)) == [], "one sign is enough")
        for _ in 1...5 { #expect(self.heard(&membership, self.sign(self.own)) == []) }
        #expect(self.heard(&membership, self.sign(self.own)) == [.departed(self.member(self.other), .silent)])
        #expect(membership.members.map(\.id) == [self.own])
        #expect(membership.isDeparted(self.other.tag))
    }

    @Test("nobody is given up while no own heartbeat comes back: the broker is away, for however long")
    func outage() {
        var membership = self.settled()
        _ = self.heard(&membership, self.sign(self.other))
        for second in 2...600 { #expect(membership.tick(now: self.moment(Double(second)), jitter: 0).count <= 1) }
        #expect(self.heard(&membership, self.sign(self.own), at: 600) == [])
        #expect(membership.members.count == 2)
    }

    @Test("a farewell ends a life at once, and one of an earlier life ends nothing")
    func farewell() {
        var membership = self.settled()
        _ = self.heard(&membership, self.sign(self.other.next))
        #expect(self.heard(&membership, self.sign(self.other, .farewell)) == [])
        #expect(
            self.heard(&membership, self.sign(self.other.next, .farewell))
                == [.departed(self.member(self.other.next), .left)])
        #expect(self.heard(&membership, self.sign(self.other.next)) == [], "one that was on its way")
        #expect(membership.members.count == 1)
        #expect(membership.leave() == [.send(self.sign(self.own, .farewell))])
        #expect(membership.leave() == [] && !membership.takesRequests)
        #expect(membership.tick(now: self.moment(50), jitter: 0) == [], "nothing is sent after the own one")
    }

    @Test("F-58: a node that slept begins a new life and serves nothing that was asked of the old one")
    func pause() {
        var membership = self.settled()
        _ = self.heard(&membership, self.sign(self.other))
        _ = membership.tick(now: self.moment(2), jitter: 0)
        membership.signSent(self.sign(self.own), succeeded: true, now: self.moment(2), jitter: 0)
        let woken = membership.wake(now: self.moment(62))
        #expect(
            woken == [
                .unsettled, .departed(self.member(self.own), .restarted), .joined(self.member(self.own.next)),
            ])
        #expect(!membership.takesRequests && !membership.isSettled)
        #expect(self.heard(&membership, self.sign(self.own)) == [], "a sign of the old life in the backlog")
        #expect(!membership.takesRequests)
        #expect(membership.tick(now: self.moment(62), jitter: 0) == [.send(self.sign(self.own.next, .hello))])
        #expect(self.heard(&membership, self.sign(self.own.next, .hello), at: 62) == [])
        #expect(membership.takesRequests)
        membership.signSent(self.sign(self.own.next, .hello), succeeded: true, now: self.moment(62), jitter: 0.5)
        #expect(membership.tick(now: self.moment(63), jitter: 0) == [.send(self.sign(self.own.next))])
        #expect(self.heard(&membership, self.sign(self.own.next), at: 63) == [.settled])
        #expect(membership.members.map(\.id) == [self.own.next, self.other], "nobody was given up")
    }

    @Test("F-58: others take a node back that they had declared dead, and follow one into its new life")
    func takenBack() {
        var membership = self.settled()
        _ = self.heard(&membership, self.sign(self.other))
        for _ in 1...6 { _ = self.heard(&membership, self.sign(self.own)) }
        #expect(membership.members.count == 1)
        #expect(self.heard(&membership, self.sign(self.other.next, .hello)) == [.joined(self.member(self.other.next))])
        #expect(!membership.isDeparted(self.other.tag))
        let third = self.other.next.next
        #expect(
            self.heard(&membership, self.sign(third, .hello))
                == [.departed(self.member(self.other.next), .restarted), .joined(self.member(third))])
        #expect(self.heard(&membership, self.sign(self.other)) == [], "a late sign of an earlier life")
    }

    @Test("the tables are bounded, and many nodes together send no more than fifty signs per interval")
    func bounds() {
        var settings = Membership.Settings()
        settings.memberLimit = 201
        settings.departedLimit = 10
        var membership = self.settled(settings)
        for process in 2...1_000 as ClosedRange<UInt64> {
            _ = self.heard(&membership, self.sign(NodeID(process: process)))
        }
        #expect(membership.members.count == 201)
        _ = membership.tick(now: self.moment(2), jitter: 0)
        membership.signSent(self.sign(self.own), succeeded: true, now: self.moment(2), jitter: 0.5)
        #expect(membership.tick(now: self.moment(4.9), jitter: 0) == [])
        #expect(membership.tick(now: self.moment(6), jitter: 0) == [])
        #expect(membership.tick(now: self.moment(6.1), jitter: 0) == [.send(self.sign(self.own))])
        for process in 2...201 as ClosedRange<UInt64> {
            _ = self.heard(&membership, self.sign(NodeID(process: process), .farewell))
        }
        let remembered = (2...201 as ClosedRange<UInt64>).filter { membership.isDeparted(NodeID(process: $0).tag) }
        #expect(remembered.count == 10)
    }

    @Test("ids of connections say which node issued them; other texts say nothing")
    func tags() {
        #expect(NodeTag(connectionID: "0000002a-1111-4111-8111-111111111111")?.bits == 42)
        #expect(NodeTag(connectionID: "AAAAKgAAAAAAAAAAAAAAAA")?.bits == 42)
        for text in ["", "x", "zzzzzzzz-1111-4111-8111-111111111111", "!!!!!!!!!!!!!!!!!!!!!!"] {
            #expect(NodeTag(connectionID: text) == nil)
        }
        var membership = self.settled()
        let named = NodeID(process: 0xFFFF_FFFF_0000_002A)
        _ = self.heard(&membership, self.sign(named))
        #expect(membership.member(tagged: NodeTag(bits: 42)) == named)
        #expect(membership.member(tagged: NodeTag(bits: 1)) == self.own)
        #expect(membership.member(tagged: NodeTag(bits: 3)) == nil)
    }
}
