import Metrics
import Synchronization

/// What the bus counts. Updated by the ticker, so counting costs nothing on the paths of messages.
///
/// | name | kind | meaning |
/// |---|---|---|
/// | `busbar.published` | counter | messages the broker accepted from this node |
/// | `busbar.publish.failed` | counter | publishes that failed, for whatever reason |
/// | `busbar.publish.waiting.bytes` | gauge | messages waiting to be sent |
/// | `busbar.delivered` | counter | messages received, own ones included |
/// | `busbar.delivered.locally` | counter | messages delivered to this node only while the broker was away |
/// | `busbar.repeats` | counter | records dropped as repeats |
/// | `busbar.gaps` | counter | gaps reported |
/// | `busbar.repairs` | counter | reads of the log for what was missing |
/// | `busbar.poison` | counter | records that could not be interpreted |
/// | `busbar.window.bytes`, `busbar.hold.bytes` | gauge | memory of windows, and of records held behind a hole |
/// | `busbar.topics` | gauge | topics that subscriptions of this node listen to; hubs need none |
package final class BusMetrics: Sendable {
    private let published = Counter(label: "busbar.published")
    private let failed = Counter(label: "busbar.publish.failed")
    private let waitingBytes = Gauge(label: "busbar.publish.waiting.bytes")
    private let delivered = Counter(label: "busbar.delivered")
    private let local = Counter(label: "busbar.delivered.locally")
    private let repeats = Counter(label: "busbar.repeats")
    private let gaps = Counter(label: "busbar.gaps")
    private let repairs = Counter(label: "busbar.repairs")
    private let poison = Counter(label: "busbar.poison")
    private let windowBytes = Gauge(label: "busbar.window.bytes")
    private let holdBytes = Gauge(label: "busbar.hold.bytes")
    private let topics = Gauge(label: "busbar.topics")
    private let last = Mutex(StreamCounts())

    package init() {}

    package func update(_ streams: [StreamCounts]) {
        let now = streams.reduce(into: StreamCounts()) { $0.add($1) }
        let before = self.last.withLock { last in
            defer { last = now }
            return last
        }
        guard now != before else { return }
        self.published.increment(by: now.published &- before.published)
        self.failed.increment(by: now.failed &- before.failed)
        self.delivered.increment(by: now.received.delivered &- before.received.delivered)
        self.local.increment(by: now.received.local &- before.received.local)
        self.repeats.increment(by: now.received.repeats &- before.received.repeats)
        self.gaps.increment(by: now.received.gaps &- before.received.gaps)
        self.repairs.increment(by: now.received.repairs &- before.received.repairs)
        self.poison.increment(by: now.received.poison &- before.received.poison)
        self.waitingBytes.record(now.waitingBytes)
        self.windowBytes.record(now.windowBytes)
        self.holdBytes.record(now.heldBytes)
        self.topics.record(now.topics)
    }
}

extension StreamCounts {
    package mutating func add(_ other: Self) {
        self.published &+= other.published
        self.failed &+= other.failed
        self.waitingBytes += other.waitingBytes
        self.received.delivered &+= other.received.delivered
        self.received.local &+= other.received.local
        self.received.repeats &+= other.received.repeats
        self.received.gaps &+= other.received.gaps
        self.received.repairs &+= other.received.repairs
        self.received.poison &+= other.received.poison
        self.windowBytes += other.windowBytes
        self.heldBytes += other.heldBytes
        self.topics += other.topics
        self.followers += other.followers
    }
}
