import BusbarDriver
import BusbarRabbitMQ
import NIOCore
import Testing

@Suite("messages on their way to RabbitMQ")
struct PublishingTests {
    private let start = ContinuousClock.now

    private func offer(
        _ publishing: inout Publishing<String>, _ ticket: String, bytes: Int = 1, comesBack: Bool = true
    ) -> Bool {
        publishing.offer(
            .batch(recordCount: 1), of: StreamID(0), epoch: Epoch(1), body: ByteBuffer(repeating: 0, count: bytes),
            deadline: self.start + .seconds(5), comesBack: comesBack, ticket: ticket)
    }

    /// With so many messages sent.
    private func sent(_ tickets: String...) -> Publishing<String> {
        var publishing = Publishing<String>()
        for ticket in tickets { #expect(self.offer(&publishing, ticket)) }
        for _ in tickets { #expect(publishing.next() != nil) }
        return publishing
    }

    @Test("a batch is done when it has come back, and only then; a nack ends it")
    func batches() {
        var publishing = self.sent("a", "b", "c")
        #expect(publishing.confirmed(upTo: 2, multiple: true, isStored: true, at: self.start).isEmpty)
        #expect(publishing.cameBack(1)?.ticket == "a")
        #expect(publishing.cameBack(1) == nil)
        #expect(publishing.confirmed(upTo: 3, multiple: false, isStored: false, at: self.start).map(\.ticket) == ["c"])
        #expect(publishing.closed().map(\.ticket) == ["b"])
    }

    @Test("a proposal is done when it is confirmed")
    func proposals() {
        var publishing = Publishing<String>()
        let isTaken = publishing.offer(
            .proposal, of: StreamID(0), epoch: Epoch(1), body: ByteBuffer(), deadline: self.start + .seconds(5),
            ticket: "p")
        #expect(isTaken && publishing.next()?.kind == .proposal)
        #expect(publishing.confirmed(upTo: 1, multiple: false, isStored: true, at: self.start).map(\.ticket) == ["p"])
    }

    @Test("a confirmed batch that doesn't come back is looked for, at once where nobody follows its stream")
    func locating() {
        var publishing = self.sent("a")
        #expect(publishing.toLocate(at: self.start + .seconds(1)).isEmpty)
        _ = publishing.confirmed(upTo: 1, multiple: false, isStored: true, at: self.start)
        #expect(publishing.toLocate(at: self.start).isEmpty)
        #expect(publishing.wakeUp == self.start + .milliseconds(250))
        #expect(publishing.toLocate(at: self.start + .milliseconds(250)).map(\.ticket) == ["a"])
        var unheard = Publishing<String>()
        #expect(self.offer(&unheard, "b", comesBack: false) && unheard.next() != nil)
        _ = unheard.confirmed(upTo: 1, multiple: false, isStored: true, at: self.start)
        #expect(unheard.toLocate(at: self.start).map(\.ticket) == ["b"])
    }

    @Test("what is under way is bounded in bytes and count; one message is always taken, however large")
    func bounds() {
        var publishing = Publishing<String>(limitCount: 2, limitBytes: 10)
        #expect(self.offer(&publishing, "large", bytes: 100))
        #expect(!self.offer(&publishing, "more"))
        #expect(publishing.next() != nil && publishing.cameBack(1) != nil)
        #expect(self.offer(&publishing, "a", bytes: 5) && self.offer(&publishing, "b", bytes: 5))
        #expect(!self.offer(&publishing, "c", bytes: 1))
        #expect(publishing.recall().map(\.ticket) == ["a", "b"])
        #expect(self.offer(&publishing, "d", bytes: 10))
    }

    @Test("F-66 whatever waits ends at its deadline, and it is known whether the broker may have it")
    func deadlines() {
        var publishing = self.sent("sent")
        #expect(self.offer(&publishing, "waiting"))
        #expect(publishing.expired(at: self.start).messages.isEmpty)
        let (late, wereSent) = publishing.expired(at: self.start + .seconds(5))
        #expect(late.map(\.ticket) == ["sent", "waiting"] && wereSent)
        #expect(publishing.wakeUp == nil)
    }

    @Test("a new channel counts its confirmations from one")
    func channels() {
        var publishing = self.sent("a")
        #expect(publishing.closed().count == 1)
        publishing.channelOpened()
        #expect(self.offer(&publishing, "b") && publishing.next() != nil)
        #expect(publishing.confirmed(upTo: 1, multiple: false, isStored: false, at: self.start).map(\.ticket) == ["b"])
    }
}
