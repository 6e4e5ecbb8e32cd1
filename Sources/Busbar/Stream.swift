package import BusbarDriver
import Synchronization

/// One stream of a bus: a publish lane and a receiving core, each under its own lock, and the two tasks that talk to the driver.
///
/// Nothing is called out under a lock. The lock order is stream, then subscriber.
package final class Stream: Sendable {
    private typealias Outcome = Result<Void, BusError>

    private struct Lane {
        var machine: PublishLane
        var effects: [PublishLane.Effect] = []
        var slots: [PublishLane.PublishID: Slot] = [:]
        /// The publish that appends within its own task, and its outcome once that is decided, perhaps by somebody else: the
        /// bus may be closed meanwhile. At most one, since one append is under way at a time.
        var here: (id: PublishLane.PublishID, outcome: Outcome?)?
        var published: UInt64 = 0
        var failed: UInt64 = 0
    }

    /// Where the outcome of a publish that waits is put.
    private enum Slot {
        case expected
        case awaited(CheckedContinuation<Outcome, Never>)
        case decided(Outcome)
    }

    /// What is to be done once the lane's lock is released.
    private struct Work {
        var append: Record?
        var rest: PublishLane.RestID?
        var resumptions: [(CheckedContinuation<Outcome, Never>, Outcome)] = []
        var local: [Message] = []
        /// The outcome of the publish that appended within its own task.
        var own: Outcome?
    }

    package let id: StreamID
    private let driver: any BackplaneDriver
    /// The driver once more, if it can append without a task.
    private let direct: (any DirectDriver)?
    private let appendsAtOnce: Bool
    private let time: BusTime
    private let checkInterval: Duration
    private let lane: Mutex<Lane>
    private let core: Mutex<StreamCore>
    /// For the task that appends; at most one of each kind.
    private let outbox = Mailbox<Chore>()
    private let errands = Mailbox<Errand>()
    private let rests = Mailbox<Rest>()
    private let health = Mutex(StreamHealth())
    package let firstLink = WaitList()

    private enum Chore {
        case append(Record)
        /// Let those publish that are about to, then send what has gathered.
        case gather
    }

    private struct Rest {
        let id: PublishLane.RestID
        let end: Moment
    }

    private enum Errand {
        case read(StreamReceiver.ReadRequest)
        case check
    }

    package init(
        id: StreamID, driver: any BackplaneDriver, configuration: BusConfiguration, node: UInt64, incarnation: UInt64,
        time: BusTime
    ) {
        self.id = id
        self.driver = driver
        self.direct = driver as? any DirectDriver
        self.appendsAtOnce = driver.guarantees.appendsAtOnce
        self.time = time
        self.checkInterval = configuration.checkInterval
        let limits = PublishLane.Limits(
            configuration, largestRecordBytes: driver.guarantees.largestRecordBytes,
            gathers: !self.appendsAtOnce)
        self.lane = Mutex(Lane(machine: PublishLane(node: node, incarnation: incarnation, limits: limits)))
        let receiver = StreamReceiver(
            stream: id, counting: driver.guarantees.counting,
            limits: StreamReceiver.Limits(holdBytes: configuration.holdBytes, holdTime: configuration.holdTime)
        )
        let window = Window(limitBytes: configuration.windowBytes, limitCount: configuration.windowCount)
        self.core = Mutex(StreamCore(receiver: receiver, window: window))
    }

    package var healthNow: StreamHealth { self.health.withLock { $0 } }
    package var head: StreamHead? { self.core.withLock { $0.head } }
    /// Publishes that wait to be sent.
    package var waitingCount: Int { self.lane.withLock { $0.machine.waitingCount } }
    package var isDrained: Bool { self.lane.withLock { $0.machine.isDrained } }

    package var counts: StreamCounts {
        var counts = StreamCounts()
        self.lane.withLock { lane in
            counts.published = lane.published
            counts.failed = lane.failed
            counts.waitingBytes = lane.machine.waitingBytes
        }
        self.core.withLock { core in
            counts.received = core.counts
            counts.windowBytes = core.window.bytes
            counts.heldBytes = core.receiver.heldBytes
            counts.topics = core.index.topicCount
            counts.followers = core.index.followerCount
        }
        return counts
    }

    /// Runs `body` under the receiving lock and wakes whom its outcome names afterwards.
    package func withCore<R>(_ body: (inout StreamCore) -> R) -> R {
        self.core.withLock { body(&$0) }
    }

    private func receive(_ body: (inout StreamCore) -> StreamCore.Outcome) {
        self.perform(self.core.withLock { body(&$0) })
    }

    private func perform(_ outcome: StreamCore.Outcome) {
        for subscriber in outcome.wakes { subscriber.wake() }
        if let request = outcome.read, !self.errands.put(.read(request)) {
            // Why: the driver has let several reads hang. Count this one as failed; the receiver asks again in time.
            let now = self.time.now()
            self.core.withLock { $0.readFailed(request, now: now) }
        }
        if outcome.wantsCheck { self.errands.put(.check) }
    }
}

// MARK: - Publishing

extension Stream {
    // Why so few locals: what they take is part of every publish that waits, and a task has it from `malloc`.
    package func publish(_ message: Message) async throws(BusError) {
        if self.appendsAtOnce { return try await self.publishHere(message) }
        if let id = try self.begin(message) { try await self.outcome(of: id).get() }
    }

    /// As ``publish(_:)``, for a driver that appends at once.
    @inline(never)
    private func publishHere(_ message: Message) async throws(BusError) {
        let (id, offer) = self.offer(message)
        if case .append(let record) = offer {
            if let outcome = await self.appendHere(record) { return try outcome.get() }
            try await self.outcome(of: id).get()
        } else if let id = try self.take(offer, of: id, message) {
            try await self.outcome(of: id).get()
        }
    }

    /// Has a message on its way, if that needs no waiting.
    /// - Returns: the publish whose outcome is still to come; nil when it is over.
    @inline(never)
    private func begin(_ message: Message) throws(BusError) -> PublishLane.PublishID? {
        let (id, offer) = self.offer(message)
        return try self.take(offer, of: id, message)
    }

    private func offer(_ message: Message) -> (PublishLane.PublishID, PublishLane.Offer) {
        let now = self.time.now()
        return self.lane.withLock { lane in
            let (id, offer) = lane.machine.offer(message, now: now)
            switch offer {
            case .wait, .gather: lane.slots[id] = .expected
            case .append where self.appendsAtOnce: lane.here = (id, nil)
            case .append: lane.slots[id] = .expected
            case .deliverLocally: break
            case .refuse: lane.failed += 1
            }
            return (id, offer)
        }
    }

    /// Does what the lane said to a publish.
    /// - Returns: the publish whose outcome is still to come; nil when it is over.
    private func take(
        _ offer: PublishLane.Offer, of id: PublishLane.PublishID, _ message: Message
    ) throws(BusError) -> PublishLane.PublishID? {
        switch offer {
        case .refuse(let error): throw error
        case .deliverLocally:
            self.receive { $0.deliverLocally(message) }
            return nil
        case .wait: return id
        case .gather:
            self.outbox.put(.gather)
            return id
        case .append(let record):
            self.start(record)
            return id
        }
    }

    /// Appends within the publishing task, and what has gathered meanwhile too, a few times; then the lane's task takes over.
    /// - Returns: the outcome of the publish that came with `record`; nil when it is not decided yet and has a slot now.
    private func appendHere(_ record: Record) async -> Outcome? {
        var work = await self.append(record, isFirstHere: true)
        let outcome = work.own
        self.finish(work)
        var turns = 1
        while let record = work.append {
            guard turns < 16 else {
                self.outbox.put(.append(record))
                break
            }
            turns += 1
            work = await self.append(record)
            self.finish(work)
        }
        return outcome
    }

    /// Has a record appended: by the driver at once if it can, else by the lane's task.
    private func start(_ record: Record) {
        guard let direct = self.direct else {
            self.outbox.put(.append(record))
            return
        }
        direct.append(self.batch(of: record), to: self.id) { result in
            // Why: a driver that answers twice must not decide on the next record.
            guard self.lane.withLock({ $0.machine.isUnderWay(record.key) }) else { return }
            let work = self.concluded(result)
            self.finish(work)
            guard let next = work.append else { return }
            // Why not directly after a failure: who refuses at once would be called from within its own call, again and again.
            if case .success = result { self.start(next) } else { self.outbox.put(.append(next)) }
        }
    }

    private func batch(of record: Record) -> Batch {
        Batch(records: [record], highWater: self.core.withLock { $0.receiver.highWater })
    }

    /// Appends one record and tells the lane. `isFirstHere`: it is that of the publish which appends within its own task.
    private func append(_ record: Record, isFirstHere: Bool = false) async -> Work {
        let batch = self.batch(of: record)
        do throws(DriverError) {
            return self.concluded(.success(try await self.driver.append(batch, to: self.id)), isFirstHere: isFirstHere)
        } catch {
            return self.concluded(.failure(error), isFirstHere: isFirstHere)
        }
    }

    /// Tells the lane what became of the record under way.
    private func concluded(_ result: Result<Receipt, DriverError>, isFirstHere: Bool = false) -> Work {
        var failure: DriverError?
        var rest = Duration.zero
        switch result {
        // Why also for a driver that delivers within the call: another thread may be the one that is delivering.
        case .success(let receipt):
            rest = receipt.rest
            self.core.withLock { $0.recordWasStored(receipt.last) }
        case .failure(let error):
            failure = error
            self.health.withLock { $0.lastFailure = error }
        }
        let now = self.time.now()
        let work = self.lane.withLock { lane in
            if let failure {
                lane.machine.appendFailed(failure, now: now, effects: &lane.effects)
            } else {
                lane.machine.appended(rest: rest, now: now, effects: &lane.effects)
            }
            var work = self.work(&lane)
            // Why now: once this lock is released the next publish may append within its own task.
            if isFirstHere, let here = lane.here.take() {
                work.own = here.outcome
                if here.outcome == nil { lane.slots[here.id] = .expected }
            }
            return work
        }
        if let id = work.rest, !self.rests.put(Rest(id: id, end: self.time.clock.now() + rest)) {
            // Why: rests that were cut short are still being slept through. This one is as good as over.
            self.onLane { $0.rested(id, now: now, effects: &$1) }
        }
        return work
    }

    /// Sorts the lane's effects; called under its lock.
    private func work(_ lane: inout Lane) -> Work {
        var work = Work()
        for effect in lane.effects {
            switch effect {
            case .append(let record): work.append = record
            case .rest(let id): work.rest = id
            case .succeed(let id): self.decide(id, .success(()), &lane, &work)
            case .fail(let id, let error): self.decide(id, .failure(error), &lane, &work)
            case .deliverLocally(let id, let message):
                work.local.append(message)
                self.decide(id, .success(()), &lane, &work)
            }
        }
        lane.effects.removeAll(keepingCapacity: true)
        return work
    }

    private func decide(_ id: PublishLane.PublishID, _ outcome: Outcome, _ lane: inout Lane, _ work: inout Work) {
        if case .success = outcome { lane.published += 1 } else { lane.failed += 1 }
        if lane.here?.id == id {
            lane.here?.outcome = outcome
            return
        }
        switch lane.slots[id] {
        case .awaited(let continuation):
            lane.slots.removeValue(forKey: id)
            work.resumptions.append((continuation, outcome))
        case .expected: lane.slots[id] = .decided(outcome)
        case .decided, nil: break
        }
    }

    /// Everything of `work` but the append.
    private func finish(_ work: Work) {
        for message in work.local { self.receive { $0.deliverLocally(message) } }
        for (continuation, outcome) in work.resumptions { continuation.resume(returning: outcome) }
    }

    private func onLane(_ body: (inout PublishLane, inout [PublishLane.Effect]) -> Void) {
        let work = self.lane.withLock { lane in
            body(&lane.machine, &lane.effects)
            return self.work(&lane)
        }
        self.finish(work)
        if let record = work.append { self.outbox.put(.append(record)) }
    }

    private func outcome(of id: PublishLane.PublishID) async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decided: Outcome? = self.lane.withLock { lane in
                    if case .decided(let outcome) = lane.slots[id] {
                        lane.slots.removeValue(forKey: id)
                        return outcome
                    }
                    lane.slots[id] = .awaited(continuation)
                    return nil
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            let work = self.lane.withLock { lane in
                var work = Work()
                if let error = lane.machine.cancel(id) { self.decide(id, .failure(error), &lane, &work) }
                return work
            }
            self.finish(work)
        }
    }

    package func closeLane(deadline: Duration) {
        let now = self.time.now()
        self.onLane { $0.close(now: now, deadline: deadline, effects: &$1) }
    }
}

// MARK: - Receiving

extension Stream {
    package func linkBecameLive(_ extent: StreamExtent) {
        let now = self.time.now()
        self.receive { $0.linkBecameLive(extent, now: now) }
        self.health.withLock { $0.linkBecameLive(now: now) }
        self.firstLink.resumeAll()
        self.onLane { $0.linkBecameLive(now: now, effects: &$1) }
    }

    package func linkBroke(_ error: DriverError) {
        self.core.withLock { $0.linkBroke() }
        self.onLane { $0.linkBroke(effects: &$1) }
        // Why last: whoever sees it may rely on what is published from now on being treated as the policy says.
        self.health.withLock { $0.linkBroke(error) }
    }

    package func received(epoch: Epoch, _ records: [StoredRecord]) {
        let now = self.time.now()
        self.receive { $0.received(epoch: epoch, records, now: now) }
    }

    /// One turn of the bus's ticker.
    package func tick(now: Moment) {
        self.onLane { $0.tick(now: now, effects: &$1) }
        self.receive { $0.tick(now: now) }
        self.firstLink.tick(now: now)
        let isDue = self.health.withLock { $0.isCheckDue(now: now, interval: self.checkInterval) }
        if isDue { self.errands.put(.check) }
    }

    package func end() {
        self.closeLane(deadline: .zero)
        self.firstLink.close()
    }
}

// MARK: - Tasks

extension Stream {
    /// Appends what the lane hands out, one record at a time, until cancelled.
    package func runAppends() async {
        while let chore = await self.outbox.next() {
            switch chore {
            case .append(let record): await self.appendOn(record)
            case .gather:
                // Why: the pool runs its tasks in turn, so this one comes back behind those that are ready to publish.
                await Task.yield()
                let now = self.time.now()
                let work = self.lane.withLock { lane in
                    lane.machine.gathered(now: now, effects: &lane.effects)
                    return self.work(&lane)
                }
                self.finish(work)
                guard let record = work.append else { continue }
                if self.direct == nil { await self.appendOn(record) } else { self.start(record) }
            }
        }
    }

    /// Ends the rests that the broker asked for, one at a time, until cancelled.
    package func runRests() async {
        while let rest = await self.rests.next() {
            guard self.lane.withLock({ $0.machine.isResting(rest.id) }) else { continue }
            let left = Duration.nanoseconds(rest.end.nanoseconds - self.time.clock.now().nanoseconds)
            // Why no matter if it is cut short: then the task was cancelled, and this is the end of it.
            if left > .zero { try? await self.time.clock.sleep(for: left) }
            let now = self.time.now()
            let work = self.lane.withLock { lane in
                lane.machine.rested(rest.id, now: now, effects: &lane.effects)
                return self.work(&lane)
            }
            self.finish(work)
            if let record = work.append { self.start(record) }
        }
    }

    private func appendOn(_ record: Record) async {
        var next: Record? = record
        while let record = next {
            let work = await self.append(record)
            self.finish(work)
            next = work.append
        }
    }

    /// Reads and checks for the receiving side, one at a time, until cancelled.
    package func runErrands() async {
        while let errand = await self.errands.next() {
            switch errand {
            case .read(let request): await self.read(request)
            case .check: await self.check()
            }
        }
    }

    private func read(_ request: StreamReceiver.ReadRequest) async {
        do throws(DriverError) {
            let page = try await self.driver.read(
                self.id, after: request.after.offset, limitBytes: self.time.pageBytes
            )
            let now = self.time.now()
            self.receive { $0.pageRead(page, for: request, now: now) }
        } catch {
            let now = self.time.now()
            self.health.withLock { $0.lastFailure = error }
            self.core.withLock { $0.readFailed(request, now: now) }
        }
    }

    /// Compares this node's position with the store's.
    package func check() async {
        guard let askedAt = self.core.withLock({ $0.receiver.position }) else { return }
        do throws(DriverError) {
            let extent = try await self.driver.extent(of: self.id)
            let now = self.time.now()
            self.receive { $0.checked(extent, askedAt: askedAt, now: now) }
            self.health.withLock { $0.checkSucceeded() }
        } catch {
            self.health.withLock { $0.checkFailed(error) }
        }
    }
}
