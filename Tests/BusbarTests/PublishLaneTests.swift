import Busbar
import BusbarDriver
import NIOCore
import Testing

/// Drives a lane by hand; messages are named by their texts, publishes by their ids, which count from 1.
private struct Script {
    private(set) var lane: PublishLane
    private(set) var sent: [[String]] = []
    private(set) var records: [Record] = []
    private(set) var outcomes: [UInt64: String] = [:]
    /// The lane asks to be told when those that are about to publish have done so.
    private(set) var isGathering = false
    /// The rests that the lane has begun.
    private(set) var rests: [PublishLane.RestID] = []
    var now = Moment(nanoseconds: 0)

    init(_ change: (inout BusConfiguration) -> Void = { _ in }, largestRecordBytes: Int = 1 << 20, isLive: Bool = true)
    {
        var configuration = BusConfiguration()
        change(&configuration)
        let limits = PublishLane.Limits(configuration, largestRecordBytes: largestRecordBytes)
        self.lane = PublishLane(node: 1, incarnation: 1, limits: limits)
        if isLive { self.live() }
    }

    mutating func publish(_ texts: String...) {
        for text in texts {
            let message = Message(topic: Topic("t"), payload: ByteBuffer(string: text))
            let (id, offer) = self.lane.offer(message, now: self.now)
            switch offer {
            case .append(let record): self.note(record)
            case .wait: break
            case .gather: self.isGathering = true
            case .deliverLocally: self.outcomes[id] = "local"
            case .refuse(let error): self.outcomes[id] = error.code.name
            }
        }
    }

    mutating func live() { self.apply { $0.linkBecameLive(now: $1, effects: &$2) } }
    mutating func linkBroke() { self.apply { lane, _, effects in lane.linkBroke(effects: &effects) } }
    mutating func succeed(rest milliseconds: Int = 0) {
        self.apply { $0.appended(rest: .milliseconds(milliseconds), now: $1, effects: &$2) }
    }
    mutating func rested(_ rest: PublishLane.RestID) { self.apply { $0.rested(rest, now: $1, effects: &$2) } }
    mutating func gather() {
        self.isGathering = false
        self.apply { $0.gathered(now: $1, effects: &$2) }
    }
    mutating func close(_ deadline: Duration) { self.apply { $0.close(now: $1, deadline: deadline, effects: &$2) } }

    mutating func fail(
        _ code: DriverError.Code = .unreachable, _ recovery: DriverError.Recovery = .retry(after: .seconds(1))
    ) {
        let error = DriverError(code, during: "append", recovery: recovery, detail: "no")
        self.apply { $0.appendFailed(error, now: $1, effects: &$2) }
    }

    mutating func pass(seconds: Int) {
        self.now = self.now + .seconds(seconds)
        self.apply { $0.tick(now: $1, effects: &$2) }
    }

    mutating func cancel(_ id: UInt64) {
        if let error = self.lane.cancel(id) { self.outcomes[id] = error.code.name }
    }

    private mutating func apply(_ body: (inout PublishLane, Moment, inout [PublishLane.Effect]) -> Void) {
        var effects: [PublishLane.Effect] = []
        body(&self.lane, self.now, &effects)
        for effect in effects {
            switch effect {
            case .append(let record): self.note(record)
            case .rest(let rest): self.rests.append(rest)
            case .succeed(let id): self.outcomes[id] = "ok"
            case .fail(let id, let error): self.outcomes[id] = error.code.name
            case .deliverLocally(let id, _): self.outcomes[id] = "local"
            }
        }
    }

    private mutating func note(_ record: Record) {
        self.records.append(record)
        self.sent.append(((try? Pack.messages(in: record.bytes)) ?? []).map { String(buffer: $0.payload) })
    }
}

@Suite("Publish lane")
struct PublishLaneTests {
    @Test("an idle lane sends at once; what comes meanwhile shares the next record")
    func packs() {
        var script = Script()
        script.publish("1", "2", "3")
        #expect(script.sent == [["1"]])
        script.succeed()
        #expect(script.sent == [["1"], ["2", "3"]])
        script.succeed()
        #expect(script.outcomes == [1: "ok", 2: "ok", 3: "ok"])
        #expect(script.lane.isDrained)
    }

    @Test("after a pack of several the next message waits for others that are about to come, and leaves with them")
    func gathers() {
        var script = Script()
        script.publish("1", "2", "3", "4", "5")
        for _ in 1...2 { script.succeed() }
        script.publish("6", "7", "8")
        #expect(script.isGathering && script.sent.count == 2)
        script.gather()
        #expect(script.sent == [["1"], ["2", "3", "4", "5"], ["6", "7", "8"]])
        script.publish("9")
        #expect(!script.isGathering)
        for _ in 1...2 { script.succeed() }
        #expect(script.sent.last == ["9"])
        // The last pack was of one: the next leaves at once.
        script.publish("10")
        #expect(script.sent.last == ["10"] && !script.isGathering)
    }

    @Test("what gathers is bounded, withdrawn, closed and sent by the clock like everything that waits")
    func gatheringIsWaiting() {
        var script = Script { $0.publishBufferCount = 5 }
        script.publish("1", "2", "3", "4", "5")
        for _ in 1...2 { script.succeed() }
        script.publish("a", "b", "c", "d", "e", "f")
        #expect(script.outcomes[11] == "bufferFull")
        script.cancel(6)
        #expect(script.outcomes[6] == "cancelled")
        script.pass(seconds: 0)
        #expect(script.sent.last == ["b", "c", "d", "e"])
        script.gather()
        script.succeed()
        script.publish("g")
        #expect(script.isGathering)
        script.close(.seconds(1))
        #expect(script.sent.last == ["g"])
        script.succeed()
        #expect(script.lane.isDrained && script.outcomes[12] == "ok")
    }

    @Test(
        "a broker that wants a rest has it after a pack of several: what comes meanwhile leaves together when it is over"
    )
    func rests() {
        var script = Script()
        script.publish("1", "2", "3", "4", "5")
        script.succeed(rest: 5)
        #expect(script.rests.isEmpty, "after a pack of one")
        script.publish("6")
        script.succeed(rest: 5)
        #expect(script.rests == [1] && script.sent.count == 2)
        script.publish("7")
        script.pass(seconds: 0)
        #expect(script.sent.count == 2 && !script.isGathering)
        script.rested(1)
        #expect(script.sent.last == ["6", "7"])
        script.succeed(rest: 5)
        #expect(script.rests == [1])
    }

    @Test(
        "a rest ends early when a whole pack waits, the link breaks or the lane closes; its own end is late then and means nothing"
    )
    func restsEndEarly() {
        var script = Script { $0.packCount = 4 }
        script.publish("1", "2", "3", "4", "5")
        script.succeed()
        script.succeed(rest: 5)
        script.publish("6", "7", "8")
        #expect(script.sent.count == 2 && !script.isGathering)
        script.publish("9", "10")
        #expect(script.isGathering)
        script.gather()
        #expect(script.sent.last == ["6", "7", "8", "9"])
        script.succeed(rest: 5)
        script.rested(1)
        #expect(script.rests == [1, 2] && script.sent.count == 3)
        script.linkBroke()
        script.live()
        #expect(script.sent.last == ["10"])
        script.succeed()
        script.publish("11", "12", "13", "14", "15")
        script.succeed()
        script.succeed(rest: 5)
        script.publish("16")
        script.close(.seconds(1))
        #expect(script.sent.last == ["16"])
        script.succeed()
        #expect(script.lane.isDrained && script.outcomes[16] == "ok")
    }

    @Test(
        "a rest isn't waited out once all have come who came in one before; one of 32 is, to see whether there are more now"
    )
    func restsForCrowds() {
        var script = Script()
        script.publish("0", "1", "2", "3", "4")
        script.succeed()
        script.succeed(rest: 5)
        script.publish("a", "b", "c", "d")
        #expect(script.rests == [1] && !script.isGathering)
        script.rested(1)
        for rest in UInt64(2)...31 {
            script.succeed(rest: 5)
            #expect(script.rests.last == rest)
            script.publish("a", "b", "c")
            #expect(!script.isGathering)
            script.publish("d")
            #expect(script.isGathering)
            script.gather()
            #expect(script.sent.count == Int(rest) + 2 && script.sent.last == ["a", "b", "c", "d"])
        }
        script.succeed(rest: 5)
        script.publish("a", "b", "c", "d", "e", "f")
        #expect(script.rests.last == 32 && !script.isGathering)
        script.rested(32)
        script.publish("a", "b", "c", "d", "e", "f")
        // They have come before a rest could begin.
        script.succeed(rest: 5)
        #expect(script.rests.last == 32 && script.sent.last == ["a", "b", "c", "d", "e", "f"])
        script.publish("a", "b", "c", "d", "e", "f")
        // A longer rest than the one that says how many they are.
        script.succeed(rest: 6)
        #expect(script.rests.last == 34 && script.sent.count == 35)
    }

    @Test("packs are bounded in count and bytes")
    func packsAreBounded() {
        var script = Script { $0.packCount = 3 }
        script.publish("0", "1", "2", "3", "4", "5")
        for _ in 1...3 { script.succeed() }
        #expect(script.sent == [["0"], ["1", "2", "3"], ["4", "5"]])
        var narrow = Script { $0.packBytes = 256 }
        let large = String(repeating: "x", count: 150)
        narrow.publish("0", large, large)
        for _ in 1...3 { narrow.succeed() }
        #expect(narrow.sent.map(\.count) == [1, 1, 1])
    }

    @Test("O-27 before the first link messages wait as the policy says, and leave in order when it is live")
    func waitsForFirstLink() {
        var script = Script(isLive: false)
        script.publish("1", "2", "3")
        #expect(script.sent.isEmpty)
        script.live()
        script.succeed()
        #expect(script.sent.flatMap { $0 } == ["1", "2", "3"])
    }

    @Test("O-27 with the policy to wait at the start only, a later break of the link fails at once")
    func initialOnly() {
        var script = Script({ $0.whileAway = .fail }, isLive: false)
        script.publish("1")
        script.live()
        script.succeed()
        script.linkBroke()
        script.publish("2")
        #expect(script.outcomes == [1: "ok", 2: "brokerAway"])
    }

    @Test("O-27 with the policy to wait always, a later break of the link waits too")
    func always() {
        var script = Script()
        script.linkBroke()
        script.publish("1", "2")
        #expect(script.sent.isEmpty)
        script.live()
        script.succeed()
        #expect(script.sent == [["1", "2"]])
        #expect(script.outcomes == [1: "ok", 2: "ok"])
    }

    @Test("the policy to deliver locally does so, also with what waited when the link broke")
    func deliversLocally() {
        var script = Script { $0.whileAway = .deliverLocally }
        script.publish("1", "2")
        script.linkBroke()
        script.publish("3")
        #expect(script.outcomes == [2: "local", 3: "local"])
    }

    @Test("O-28 a full buffer refuses the next publish at once and leaves what waits alone")
    func full() {
        var script = Script({ $0.whileStarting = .buffer(bytes: 1 << 20, count: 2) }, isLive: false)
        script.publish("1", "2", "3")
        #expect(script.outcomes == [3: "bufferFull"])
        script.live()
        script.succeed()
        #expect(script.outcomes == [1: "ok", 2: "ok", 3: "bufferFull"])
    }

    @Test("O-28 the same for the bound in bytes")
    func fullBytes() {
        var script = Script({ $0.whileStarting = .buffer(bytes: 200, count: 100) }, isLive: false)
        script.publish("1", "2", String(repeating: "x", count: 100), "4")
        #expect(script.outcomes[3] == "bufferFull")
        #expect(script.lane.waitingBytes <= 200)
    }

    @Test("O-29 a publish the broker refuses fails alone; the next one is attempted")
    func independent() {
        var script = Script()
        script.publish("1")
        script.fail(.rejected, .giveUp)
        script.publish("2")
        script.succeed()
        #expect(script.outcomes == [1: "rejected", 2: "ok"])
    }

    @Test("O-29 of a refused pack only the guilty message fails")
    func guiltyAlone() {
        var script = Script()
        script.publish("0", "1", "bad", "3")
        script.succeed()
        script.fail(.rejected, .giveUp)
        script.succeed()
        script.fail(.rejected, .giveUp)
        script.publish("4")
        script.succeed()
        script.succeed()
        #expect(script.sent == [["0"], ["1", "bad", "3"], ["1"], ["bad"], ["3"], ["4"]])
        #expect(script.outcomes == [1: "ok", 2: "ok", 3: "rejected", 4: "ok", 5: "ok"])
        #expect(Set(script.records.map(\.key)).count == script.records.count)
    }

    @Test("a lost reply makes the very same record go out again")
    func sameRecord() {
        var script = Script()
        script.publish("1")
        script.fail()
        script.pass(seconds: 1)
        script.succeed()
        #expect(script.records.count == 2)
        #expect(script.records[0] == script.records[1])
        #expect(script.outcomes == [1: "ok"])
    }

    @Test("a refusal after a lost reply leaves open whether the message was stored, and is not split")
    func uncertainRefusal() {
        var script = Script()
        script.publish("0", "1", "2")
        script.succeed()
        script.fail(.timedOut)
        script.pass(seconds: 1)
        script.fail(.rejected, .giveUp)
        #expect(script.outcomes == [1: "ok", 2: "outcomeUnknown", 3: "outcomeUnknown"])
        #expect(script.lane.isDrained)
    }

    @Test("O-30 a lane whose broker failed goes on by itself, without anything received", arguments: [true, false])
    func resumes(byItself: Bool) {
        var script = Script()
        script.publish("1", "2")
        script.fail()
        if byItself { script.pass(seconds: 1) } else { script.live() }
        script.succeed()
        script.succeed()
        #expect(script.outcomes == [1: "ok", 2: "ok"])
    }

    @Test("O-31 a closed lane sends what waits, refuses what comes, and fails the rest at the deadline")
    func closes() {
        var script = Script { $0.packCount = 1 }
        script.publish("1", "2", "3")
        script.close(.seconds(3))
        script.publish("4")
        script.succeed()
        script.pass(seconds: 3)
        #expect(script.outcomes == [1: "ok", 2: "outcomeUnknown", 3: "closed", 4: "closed"])
    }

    @Test("O-32 when one of a series fails, order is kept and the rest drains")
    func serial() {
        var script = Script { $0.packCount = 1 }
        script.publish("1", "2", "3", "4")
        script.succeed()
        script.fail(.rejected, .giveUp)
        script.succeed()
        script.succeed()
        #expect(script.sent == [["1"], ["2"], ["3"], ["4"]])
        #expect(script.outcomes == [1: "ok", 2: "rejected", 3: "ok", 4: "ok"])
        #expect(script.lane.isDrained)
    }

    @Test("every publish has a deadline, waiting or under way")
    func deadlines() {
        var script = Script { $0.publishDeadline = .seconds(10) }
        script.publish("1", "2")
        script.pass(seconds: 9)
        #expect(script.outcomes.isEmpty)
        script.pass(seconds: 1)
        #expect(script.outcomes == [1: "outcomeUnknown", 2: "deadlinePassed"])
        script.publish("3")
        script.succeed()
        script.succeed()
        #expect(script.outcomes[3] == "ok")
    }

    @Test("a cancelled publish is withdrawn while it waits, and of unknown outcome once it left")
    func cancels() {
        var script = Script()
        script.publish("1", "2", "3")
        script.cancel(2)
        script.cancel(1)
        script.succeed()
        script.succeed()
        script.cancel(3)
        #expect(script.sent == [["1"], ["3"]])
        #expect(script.outcomes == [1: "outcomeUnknown", 2: "cancelled", 3: "ok"])
    }

    @Test("a message larger than a record may be is refused with the limit")
    func tooLarge() {
        var script = Script(largestRecordBytes: 300)
        script.publish(String(repeating: "x", count: 300), "2")
        script.succeed()
        #expect(script.outcomes == [1: "messageTooLarge", 2: "ok"])
    }
}
