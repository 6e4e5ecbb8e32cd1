import Metrics
import NIOCore

/// A connection as the housekeeping of its event loop sees it.
protocol RosterMember: AnyObject {
    /// Its place in the roster; written by the roster only.
    var rosterIndex: Int { get set }
    /// Ends what has passed its deadline. Called about once per second.
    func ticked(now: NIODeadline)
    /// Ends the connection as soon as it has nothing under way.
    func wound()
    /// Ends the connection now.
    func abandoned()
}

/// All connections of one event loop, and the one timer that watches their deadlines. Confined to the loop.
///
/// Why: a timer per connection costs more memory than an idle connection may have altogether.
final class Roster {
    static let tick = TimeAmount.seconds(1)

    private var members: [any RosterMember] = []
    private var timer: RepeatedTask?
    private(set) var isWoundUp = false
    /// The `Date` field of answers, renewed each second.
    private(set) var dateText = ""
    private var outboundBytes = 0
    private let outboundCounter: Counter

    init(outboundCounter: Counter) {
        self.outboundCounter = outboundCounter
    }

    var count: Int { self.members.count }

    /// Adds to what is reported once per second.
    func count(outboundBytes: Int) {
        self.outboundBytes += outboundBytes
    }

    func start(on eventLoop: any EventLoop, secondsSince1970: @escaping @Sendable () -> Int) {
        self.dateText = HTTPDate.text(secondsSince1970: secondsSince1970())
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        self.timer = eventLoop.scheduleRepeatedTask(initialDelay: Self.tick, delay: Self.tick) { _ in
            bound.value.dateText = HTTPDate.text(secondsSince1970: secondsSince1970())
            bound.value.ticked(now: .now())
        }
    }

    func stop() {
        self.timer?.cancel()
        self.timer = nil
    }

    func add(_ member: any RosterMember) {
        member.rosterIndex = self.members.count
        self.members.append(member)
    }

    func remove(_ member: any RosterMember) {
        let index = member.rosterIndex
        guard index >= 0, index < self.members.count, self.members[index] === member else { return }
        self.members.swapAt(index, self.members.count - 1)
        self.members.removeLast()
        if index < self.members.count { self.members[index].rosterIndex = index }
        member.rosterIndex = -1
    }

    func windUp() {
        self.isWoundUp = true
        self.forEach { $0.wound() }
    }

    func abandonAll() {
        self.forEach { $0.abandoned() }
    }

    private func ticked(now: NIODeadline) {
        if self.outboundBytes > 0 {
            self.outboundCounter.increment(by: self.outboundBytes)
            self.outboundBytes = 0
        }
        self.forEach { $0.ticked(now: now) }
    }

    /// Why backwards: a member that leaves while it is visited is replaced by one that has been visited already.
    private func forEach(_ body: (any RosterMember) -> Void) {
        var index = self.members.count - 1
        while index >= 0 {
            if index < self.members.count { body(self.members[index]) }
            index -= 1
        }
    }
}
