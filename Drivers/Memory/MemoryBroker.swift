public import BusbarDriver
import NIOCore
import Synchronization

/// What lies behind one or more memory drivers: the streams' logs, bounded in bytes and count.
public final class MemoryBroker: Sendable {
    /// How much each stream's log retains, and how it treats repeats.
    public struct Limits: Hashable, Sendable {
        /// Oldest records beyond either bound are dropped.
        public var retainedBytes = 64 << 20
        public var retainedCount = 100_000
        public var largestRecordBytes = 16 << 20
        /// Whether a repeated append is stored once. Off, the log is like that of a broker without such a feature.
        public var refusesRepeats = true
        /// How offsets count; with jumps, each is two more than its predecessor.
        public var counting = Guarantees.Counting.withoutHoles

        public init() {}

        var offsetStride: UInt64 {
            switch self.counting {
            case .withoutHoles: 1
            case .withJumps: 2
            }
        }
    }

    private struct State {
        var logs: [StreamID: MemoryLog] = [:]
        var members: [MemberID: Member] = [:]
        var nextMember: MemberID = 1
        var nextEpoch: UInt64
    }

    typealias MemberID = UInt64

    private struct Member {
        let streams: Set<StreamID>
        let inbox: SerialInbox
    }

    private let limits: Limits
    private let state: Mutex<State>

    public init(limits: Limits = Limits()) {
        self.limits = limits
        self.state = Mutex(State(nextEpoch: UInt64.random(in: 1...(UInt64.max / 2))))
    }

    var guarantees: Guarantees {
        Guarantees(
            counting: self.limits.counting, durability: .process, largestRecordBytes: self.limits.largestRecordBytes,
            replays: true, refusesRepeats: self.limits.refusesRepeats, recognisesRewind: true, appendsAtOnce: true,
            offsetStride: self.limits.offsetStride
        )
    }

    func join(following streams: [StreamID], inbox: any Inbox) -> MemberID {
        let inbox = SerialInbox(inbox)
        let id = self.state.withLock { state in
            let id = state.nextMember
            state.nextMember += 1
            let extents = streams.map { ($0, self.log($0, &state).extent) }
            inbox.put(.live(Dictionary(extents) { first, _ in first }))
            state.members[id] = Member(streams: Set(streams), inbox: inbox)
            return id
        }
        inbox.speak()
        return id
    }

    func leave(_ member: MemberID) {
        self.state.withLock { _ = $0.members.removeValue(forKey: member) }
    }

    func append(_ batch: Batch, to stream: StreamID) throws(DriverError) -> Receipt {
        if let record = batch.records.first(where: { $0.bytes.readableBytes > self.limits.largestRecordBytes }) {
            throw DriverError(
                .recordTooLarge, during: "append", recovery: .giveUp,
                detail: "\(record.bytes.readableBytes) bytes; the largest is \(self.limits.largestRecordBytes)"
            )
        }
        let (receipt, inboxes) = self.state.withLock { state in
            var log = self.takeLog(stream, &state)
            if let highWater = batch.highWater, log.isBehind(highWater) { log.begin(self.newEpoch(&state)) }
            let (receipt, stored) = log.append(batch, limits: self.limits)
            state.logs[stream] = log
            var inboxes: [SerialInbox] = []
            guard !stored.isEmpty else { return (receipt, inboxes) }
            for member in state.members.values where member.streams.contains(stream) {
                member.inbox.put(.records(stream: stream, epoch: log.epoch, stored))
                inboxes.append(member.inbox)
            }
            return (receipt, inboxes)
        }
        for inbox in inboxes { inbox.speak() }
        return receipt
    }

    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) -> Page {
        self.state.withLock { self.log(stream, &$0).page(after: offset, limitBytes: limitBytes) }
    }

    func extent(of stream: StreamID) -> StreamExtent {
        self.state.withLock { self.log(stream, &$0).extent }
    }

    private func newEpoch(_ state: inout State) -> Epoch {
        state.nextEpoch += 1
        return Epoch(state.nextEpoch)
    }

    private func log(_ stream: StreamID, _ state: inout State) -> MemoryLog {
        if let log = state.logs[stream] { return log }
        let log = MemoryLog(stream: stream, epoch: self.newEpoch(&state))
        state.logs[stream] = log
        return log
    }

    /// Moves the log out, so that changing it copies nothing; whoever takes it puts it back.
    private func takeLog(_ stream: StreamID, _ state: inout State) -> MemoryLog {
        state.logs.removeValue(forKey: stream) ?? MemoryLog(stream: stream, epoch: self.newEpoch(&state))
    }
}

/// What tests do to a broker; each is something that happens to real ones.
extension MemoryBroker {
    /// All records are gone, as after a restart without persistence: a new epoch.
    package func wipe(_ stream: StreamID) {
        self.state.withLock { state in
            var log = self.takeLog(stream, &state)
            log.wipe(newEpoch: self.newEpoch(&state))
            state.logs[stream] = log
        }
    }

    /// Records after `offset` are gone, as after a failover to a stale replica. Nobody is told, and the epoch stays.
    package func rewind(_ stream: StreamID, to offset: Offset) {
        self.state.withLock { state in
            var log = self.takeLog(stream, &state)
            log.rewind(to: offset)
            state.logs[stream] = log
        }
    }

    /// Drops single records out of the middle of the log.
    package func lose(_ stream: StreamID, _ offsets: Set<Offset>) {
        self.state.withLock { state in
            var log = self.takeLog(stream, &state)
            log.lose(offsets)
            state.logs[stream] = log
        }
    }

    /// Appends bytes as they are and tells everybody.
    package func inject(_ record: Record, to stream: StreamID) throws(DriverError) {
        _ = try self.append(Batch(records: [record], highWater: nil), to: stream)
    }
}
