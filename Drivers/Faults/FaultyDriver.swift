public import BusbarDriver
import Synchronization

/// Wraps any driver and lets happen what happens to real ones: drop, repeat, reorder, delay, a new epoch, a rewind, a cut link,
/// appends that fail, hang or lose their reply. Scripted, or by chance from a seed; without either it changes nothing.
public final class FaultyDriver: BackplaneDriver {
    fileprivate struct State {
        var plan: FaultPlan
        var disguises: [StreamID: Disguise] = [:]
        var followed: [StreamID] = []
        var inbox: SerialInbox?
        var isCut = false
        /// Events that came while the link was being restored.
        var deferred: [DriverEvent]?
        var held: [DriverEvent] = []
        var swapped: [StreamID: DriverEvent] = [:]
        var nextMask: UInt64 = 1
    }

    private let inner: any BackplaneDriver
    private let state: Mutex<State>
    private let gate = Gate()

    public init(wrapping inner: any BackplaneDriver, mix: FaultMix = FaultMix(), seed: UInt64 = 1) {
        self.inner = inner
        self.state = Mutex(State(plan: FaultPlan(mix: mix, seed: seed)))
    }

    public var guarantees: Guarantees {
        var guarantees = self.inner.guarantees
        guarantees.appendsAtOnce = false
        return guarantees
    }

    public func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        self.state.withLock { state in
            state.followed = streams
            state.inbox = SerialInbox(inbox)
        }
        try await self.inner.run(following: streams, delivering: FaultyInbox(driver: self))
    }

    public func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        let fault = try self.state.withLock { state throws(DriverError) in
            if state.isCut { throw DriverError.injected(during: "append") }
            return state.plan.nextAppend()
        }
        switch fault {
        case .fail(let error): throw error
        case .hang: try await self.gate.wait(during: "append")
        case .pass, .loseReply: break
        }
        let receipt = try await self.inner.append(try await self.undisguised(batch, stream), to: stream)
        let isUnanswered = fault == .loseReply || self.state.withLock { $0.isCut }
        if isUnanswered { throw DriverError.injected(during: "append") }
        return Receipt(last: self.disguise(of: stream).shown(receipt.last), rest: receipt.rest)
    }

    public func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        try await self.meetReadFault(during: "read")
        let disguise = self.disguise(of: stream)
        var after = disguise.real(offset)
        while true {
            let page = try await self.inner.read(stream, after: after, limitBytes: limitBytes)
            let shown = disguise.shown(page)
            // Why: a page whose records are all hidden isn't the end of the log.
            guard shown.records.isEmpty, let last = page.records.last else { return shown }
            after = last.offset
        }
    }

    public func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        try await self.meetReadFault(during: "extent")
        return self.disguise(of: stream).shown(try await self.inner.extent(of: stream))
    }

    private func disguise(of stream: StreamID) -> Disguise {
        self.state.withLock { $0.disguises[stream] ?? Disguise() }
    }

    private func meetReadFault(during operation: StaticString) async throws(DriverError) {
        let fault = try self.state.withLock { state throws(DriverError) in
            if state.isCut { throw DriverError.injected(during: operation) }
            return state.plan.nextRead()
        }
        switch fault {
        case .pass: return
        case .fail(let error): throw error
        case .hang: try await self.gate.wait(during: operation)
        }
    }

    /// The batch as the wrapped driver must see it. A writer that has seen more than is shown makes the shown epoch change.
    private func undisguised(_ batch: Batch, _ stream: StreamID) async throws(DriverError) -> Batch {
        guard let highWater = batch.highWater, self.state.withLock({ $0.disguises[stream] != nil }) else {
            return batch
        }
        let extent = try await self.inner.extent(of: stream)
        return self.state.withLock { state in
            let disguise = state.disguises[stream] ?? Disguise()
            let shown = disguise.shown(extent)
            guard shown.epoch == highWater.epoch else { return Batch(records: batch.records, highWater: nil) }
            if shown.newest < highWater.offset {
                let mask = state.newMask()
                state.disguises[stream]?.changeEpoch(mask: mask)
                return Batch(records: batch.records, highWater: nil)
            }
            return Batch(records: batch.records, highWater: disguise.real(highWater))
        }
    }
}

// MARK: - What a test does

extension FaultyDriver {
    /// Faults of the next records to arrive, one each; after them the mix decides.
    public func script(deliveries: [DeliveryFault]) {
        self.state.withLock { $0.plan.deliveries.append(contentsOf: deliveries) }
    }

    /// Faults of the next appends.
    public func script(appends: [AppendFault]) {
        self.state.withLock { $0.plan.appends.append(contentsOf: appends) }
    }

    /// Faults of the next reads and extents.
    public func script(reads: [ReadFault]) {
        self.state.withLock { $0.plan.reads.append(contentsOf: reads) }
    }

    /// Ends all chance, so that a test can wait for everything to settle.
    public func calm() {
        self.state.withLock { $0.plan.mix = FaultMix() }
        self.release()
    }

    /// How many requests hang, and would be let go by ``release()``.
    public var hangingCount: Int { self.gate.count }

    /// Lets go what hangs or is held.
    public func release() {
        let inbox = self.state.withLock { state in
            for event in state.held { state.inbox?.put(event) }
            for event in state.swapped.values { state.inbox?.put(event) }
            state.held.removeAll()
            state.swapped.removeAll()
            return state.inbox
        }
        self.gate.open()
        inbox?.speak()
    }

    /// Breaks the link: nothing arrives, and every request fails, until ``restore()``.
    public func cut() {
        let inbox = self.state.withLock { state in
            state.isCut = true
            state.held.removeAll()
            state.swapped.removeAll()
            state.inbox?.put(.interrupted(.injected(during: "run")))
            return state.inbox
        }
        inbox?.speak()
    }

    /// Mends the link, as a driver does after a reconnect.
    public func restore() async throws(DriverError) {
        let streams = self.state.withLock { state in
            state.deferred = []
            return state.followed
        }
        var extents: [StreamID: StreamExtent] = [:]
        for stream in streams {
            extents[stream] = self.disguise(of: stream).shown(try await self.inner.extent(of: stream))
        }
        let inbox = self.state.withLock { state in
            state.isCut = false
            state.inbox?.put(.live(extents))
            for event in state.deferred ?? [] { state.inbox?.put(event) }
            state.deferred = nil
            return state.inbox
        }
        inbox?.speak()
    }

    /// The stream's log seems wiped: another epoch, and offsets count from the beginning. Nobody is told.
    public func beginEpoch(of stream: StreamID) async throws(DriverError) {
        let newest = try await self.inner.extent(of: stream).newest
        self.state.withLock { state in
            let mask = state.newMask()
            state.disguises[stream, default: Disguise()].beginEpoch(hidingUpTo: newest, mask: mask)
        }
    }

    /// The stream's log seems to have lost everything behind `offset`; the epoch stays. Nobody is told.
    public func rewind(_ stream: StreamID, to offset: Offset) async throws(DriverError) {
        let newest = try await self.inner.extent(of: stream).newest
        self.state.withLock { $0.disguises[stream, default: Disguise()].rewind(to: offset, newest: newest) }
    }
}

// MARK: - What the wrapped driver does

extension FaultyDriver {
    fileprivate func receive(_ event: DriverEvent) {
        let inbox = self.state.withLock { state in
            switch event {
            case .live(let extents):
                let disguises = state.disguises
                let shown = extents.map { ($0, (disguises[$0] ?? Disguise()).shown($1)) }
                state.pass(.live(Dictionary(shown) { first, _ in first }))
            case .interrupted: state.pass(event)
            case .records(let stream, let epoch, let records):
                for record in records { state.receive(record, stream, epoch) }
            }
            return state.inbox
        }
        inbox?.speak()
    }
}

extension FaultyDriver.State {
    fileprivate mutating func newMask() -> UInt64 {
        self.nextMask += 1
        return self.nextMask << 40
    }

    fileprivate mutating func pass(_ event: DriverEvent) {
        if self.deferred != nil {
            self.deferred?.append(event)
        } else if !self.isCut {
            self.inbox?.put(event)
        }
    }

    fileprivate mutating func receive(_ record: StoredRecord, _ stream: StreamID, _ epoch: Epoch) {
        let disguise = self.disguises[stream] ?? Disguise()
        guard let shown = disguise.shown(record) else { return }
        let event = DriverEvent.records(stream: stream, epoch: disguise.shown(epoch), [shown])
        let earlier = self.swapped.removeValue(forKey: stream)
        switch self.plan.nextDelivery() {
        case .pass: self.pass(event)
        case .drop: break
        case .duplicate:
            self.pass(event)
            self.pass(event)
        case .hold: self.held.append(event)
        case .swap: self.swapped[stream] = event
        }
        if let earlier { self.pass(earlier) }
    }
}

private struct FaultyInbox: Inbox {
    let driver: FaultyDriver

    func receive(_ event: DriverEvent) { self.driver.receive(event) }
}
