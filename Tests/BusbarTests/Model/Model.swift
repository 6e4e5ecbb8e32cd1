import Busbar
import BusbarDriver
import BusbarFaults
import NIOCore

/// A small farm in virtual time: a log with its faults, nodes made of the real machines, publishers, and subscribers that come,
/// go and resume elsewhere. Everything is decided by one generator, so a seed is a schedule.
struct Model {
    /// What happened, told line by line.
    final class Story {
        var lines: [String] = []
    }

    struct Stored {
        let id: Int
        let topic: Topic
        let place: Position
    }

    struct Node {
        var core: StreamCore
        var lane: PublishLane
        var isLive = true
        var incoming: [(Epoch, StoredRecord)] = []
        /// Hears everything that this node delivers; it has room for all of a schedule.
        let tap: Subscriber
        var append: Record?
        var isGathering = false
        /// The lane has given the broker a rest that isn't over yet.
        var rest: PublishLane.RestID?
        var reads: [StreamReceiver.ReadRequest] = []
        /// Publishes that wait, by the lane's ids.
        var waiting: [UInt64: Int] = [:]
    }

    /// Somebody who listens, wherever it is connected at present.
    struct Listener {
        let topics: Set<Topic>
        let start: Position
        var node: Int?
        var subscriber: Subscriber?
        var seen: [Int] = []
        var gaps: [Gap] = []
        var cursor: Position
        /// It read and read and never came to the present.
        var isStuck = false
    }

    static let stream = StreamID(0)
    static let topics = ["a", "b", "c"].map { Topic($0) }

    static var roomy: SubscriberLimits {
        var limits = SubscriberLimits()
        limits.queuedBytes = 1 << 30
        return limits
    }

    var random: SplitMix64
    var now = Moment(nanoseconds: 0)
    var epochs = [Epoch(1)]
    var log: [StoredRecord] = []
    var newest = Offset.beginning
    var history: [Stored] = []
    var nodes: [Node] = []
    var listeners: [Listener] = []
    var nextID = 1
    var accepted: Set<Int> = []
    var withdrawn: Set<Int> = []
    let retained: Int
    let refusesRepeats: Bool
    var lastKeys: [UInt64: UInt64] = [:]

    var guarantees: Guarantees {
        Guarantees(
            counting: .withoutHoles, durability: .process, largestRecordBytes: 4_096, replays: true,
            refusesRepeats: self.refusesRepeats, recognisesRewind: true
        )
    }

    let story: Story?

    init(seed: UInt64, story: Story? = nil) {
        self.story = story
        self.random = SplitMix64(seed: seed)
        self.retained = Int.random(in: 5...40, using: &self.random)
        self.refusesRepeats = Bool.random(using: &self.random)
        var configuration = BusConfiguration()
        configuration.packCount = Int.random(in: 1...4, using: &self.random)
        configuration.whileAway = Bool.random(using: &self.random) ? .fail : .buffer(bytes: 10_000, count: 8)
        configuration.publishBufferCount = 6
        for node in 1...UInt64.random(in: 1...3, using: &self.random) {
            let receiver = StreamReceiver(
                stream: Self.stream, counting: .withoutHoles,
                limits: StreamReceiver.Limits(
                    holdBytes: Int.random(in: 0...400, using: &self.random), holdTime: .seconds(5)
                )
            )
            let window = Window(limitBytes: 10_000, limitCount: Int.random(in: 0...12, using: &self.random))
            var core = StreamCore(receiver: receiver, window: window)
            let tap = Subscriber(limits: Self.roomy)
            core.addTap(tap)
            _ = core.linkBecameLive(self.extent, now: self.now)
            var lane = PublishLane(
                node: node, incarnation: 1, limits: PublishLane.Limits(configuration, largestRecordBytes: 4_096)
            )
            var effects: [PublishLane.Effect] = []
            lane.linkBecameLive(now: self.now, effects: &effects)
            self.nodes.append(Node(core: core, lane: lane, tap: tap))
        }
    }

    static func id(_ message: Message) -> Int { Int(String(buffer: message.payload)) ?? 0 }

    var epoch: Epoch { self.epochs[self.epochs.count - 1] }

    var extent: StreamExtent {
        StreamExtent(
            epoch: self.epoch, oldest: self.log.first?.offset ?? Offset(self.newest.rawValue + 1), newest: self.newest
        )
    }

    /// Runs a schedule, lets everything settle, and says what is wrong with the outcome; nil when nothing is.
    mutating func run(steps: Int) -> String? {
        for _ in 0..<steps { self.step(isCalm: false) }
        for node in self.nodes.indices where !self.nodes[node].isLive { self.restore(node) }
        for listener in self.listeners.indices where self.listeners[listener].node == nil { self.resume(listener) }
        for _ in 0..<100 { self.step(isCalm: true) }
        guard self.settle() else { return "the nodes never come to rest" }
        for listener in self.listeners.indices { self.take(listener, limitBytes: .max) }
        return self.verdict()
    }

    // Why: telling costs more than playing; a schedule that failed is played again to be told.
    func tell(_ line: @autoclosure () -> String) {
        self.story?.lines.append(line())
    }

    mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self.random) }
    mutating func chance(_ percent: Int) -> Bool { self.pick(100) < percent }

    mutating func step(isCalm: Bool) {
        let node = self.pick(self.nodes.count)
        switch self.pick(isCalm ? 70 : 100) {
        case 0..<15: self.answerAppend(node, isCalm: isCalm)
        case 15..<40: self.deliver(node, isCalm: isCalm)
        case 40..<50: self.answerRead(node, isCalm: isCalm)
        case 50..<60:
            if !self.listeners.isEmpty { self.take(self.pick(self.listeners.count), limitBytes: self.pick(400)) }
        case 60..<66: self.pass(milliseconds: isCalm ? 200 : 50 + self.pick(2_000))
        case 66..<70: self.check(node)
        case 70..<88: self.publish(node)
        case 88..<92: self.join(node)
        case 92..<94: if !self.listeners.isEmpty { self.leave(self.pick(self.listeners.count)) }
        case 94..<96: if !self.listeners.isEmpty { self.resume(self.pick(self.listeners.count)) }
        case 96..<99: if self.nodes[node].isLive { self.cut(node) } else { self.restore(node) }
        default: if self.chance(40) { self.newEpoch() }
        }
    }
}
