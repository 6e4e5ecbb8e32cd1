import Busbar
import Logging
import Metrics
import NIOCore
import Synchronization

/// One event loop of the runtime, as other threads see it: a lane to put batches in.
final class LoopHandle: Sendable {
    let eventLoop: any EventLoop
    let session: NIOLoopBoundBox<SessionLoop>
    private let lane: Mutex<LaneQueue>

    /// Bytes that one turn of a loop works on at most, roughly.
    private static let turnBytes = 256 << 10

    init(eventLoop: any EventLoop, services: RuntimeServices, frontier: Frontier) {
        self.eventLoop = eventLoop
        self.session = .makeBoxSendingValue(
            SessionLoop(eventLoop: eventLoop, services: services, frontier: frontier), eventLoop: eventLoop)
        self.lane = Mutex(LaneQueue(limitBytes: services.configuration.laneLimitBytes))
    }

    var isFull: Bool { self.lane.withLock { $0.isFull } }

    func offer(_ batch: LaneBatch, pump: TapPump) {
        switch self.lane.withLock({ $0.offer(batch) }) {
        case .queued: break
        case .wakeLoop: self.eventLoop.execute { self.work(pump) }
        }
    }

    /// One turn: everything that waits, as one batch; then another turn, so that the loop's other work gets its share.
    private func work(_ pump: TapPump) {
        let (batch, wasFull) = self.lane.withLock { lane in
            let wasFull = lane.isFull
            return (lane.take(limitBytes: Self.turnBytes), wasFull)
        }
        guard let batch else { return }
        self.session.value.process(batch)
        if wasFull { pump.wake() }
        self.eventLoop.execute { self.work(pump) }
    }
}

/// Moves what arrives from the bus to the lanes of the event loops. Decodes each record once, in whatever thread the
/// bus wakes it. While a lane is full nothing is taken, and the bus slows its publishers down.
final class TapPump: Sendable {
    private enum State { case idle, pumping, pumpingAgain }

    private let loops: [LoopHandle]
    private let services: RuntimeServices
    private let tap: Tap
    private let state = Mutex(State.idle)
    private let isRefreshDue = Atomic<Bool>(false)

    private static let takeBytes = 128 << 10

    init(tap: Tap, loops: [LoopHandle], services: RuntimeServices) {
        self.tap = tap
        self.loops = loops
        self.services = services
    }

    func stop() {
        self.tap.cancel()
    }

    /// Something waits in the tap, or a full lane has room again. Callable from any thread.
    func wake() {
        let isOurs = self.state.withLock { state in
            switch state {
            case .idle:
                state = .pumping
                return true
            case .pumping, .pumpingAgain:
                state = .pumpingAgain
                return false
            }
        }
        guard isOurs else { return }
        repeat {
            self.pump()
        } while self.state.withLock { state in
            switch state {
            case .idle, .pumping:
                state = .idle
                return false
            case .pumpingAgain:
                state = .pumping
                return true
            }
        }
    }

    /// Tells the loops the place where the tap stands, in turn with everything that is taken from it.
    func refresh() {
        self.isRefreshDue.store(true, ordering: .releasing)
        self.wake()
    }

    private func pump() {
        while !self.loops.contains(where: \.isFull), let delivery = self.tap.take(limitBytes: Self.takeBytes) {
            let batch = self.decode(delivery)
            for loop in self.loops { loop.offer(batch, pump: self) }
        }
        guard self.isRefreshDue.exchange(false, ordering: .acquiring) else { return }
        let place = LaneBatch(records: [], frontier: self.tap.frontier, bytes: 0)
        for loop in self.loops { loop.offer(place, pump: self) }
    }

    private func decode(_ delivery: Delivery) -> LaneBatch {
        if !delivery.gaps.isEmpty {
            self.services.metrics.gaps.increment(by: delivery.gaps.count)
            self.services.logger.warning(
                "hub messages may be missing", metadata: ["gaps": "\(delivery.gaps.prefix(4))"])
        }
        var batch = LaneBatch(records: [], frontier: delivery.frontier, bytes: 256)
        batch.records.reserveCapacity(delivery.messages.count)
        for message in delivery.messages where message.topic.name.hasPrefix(HubTopics.prefix) {
            if NodeRecord.isOne(message.payload) {
                self.receiveNodeRecord(message)
                continue
            }
            do {
                let record = try HubRecord(decoding: message.payload)
                switch record {
                case .message: break
                case .groupCommand(let change, let requester):
                    self.services.nodes.passageBegan(requester, of: change.connectionID, loops: self.loops.count)
                case .invocation(let invocation, let requester):
                    self.services.nodes.passageBegan(
                        requester, of: invocation.connectionID, loops: self.loops.count)
                }
                batch.records.append(LaneRecord(topic: message.topic, content: record))
                batch.bytes += message.cost
            } catch {
                self.skip("\(error)")
            }
        }
        return batch
    }

    private func receiveNodeRecord(_ message: Message) {
        let isForOther =
            message.topic.name.hasPrefix(HubTopics.nodePrefix) && message.topic != self.services.nodes.topic
        if isForOther { return }
        guard let record = NodeRecord(decoding: message.payload) else {
            return self.skip("it is no record that nodes of this release write to each other")
        }
        self.services.nodes.receive(record)
    }

    private func skip(_ why: String) {
        self.services.metrics.poison.increment()
        self.services.logger.error("a hub record can't be read and is skipped", metadata: ["error": "\(why)"])
    }
}

/// Passes the tap's calls on to the pump, which can't be made before the tap.
final class TapWakeUp: Sendable {
    private let pump = Mutex<TapPump?>(nil)

    func call() {
        self.pump.withLock { $0 }?.wake()
    }

    func attach(_ pump: TapPump) {
        self.pump.withLock { $0 = pump }
        pump.wake()
    }
}
