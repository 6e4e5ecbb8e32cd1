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

    /// A node that follows: where it stands in each log. What it hasn't been handed yet waits there and nowhere else.
    private struct Member {
        let inbox: any Inbox
        var handed: [StreamID: Offset]
        /// Streams that may hold more than was handed, the one that comes next first.
        var awaited: [StreamID] = []
        var isSpokenTo = true

        mutating func expect(_ stream: StreamID) -> Bool {
            if !self.awaited.contains(stream) { self.awaited.append(stream) }
            defer { self.isSpokenTo = true }
            return !self.isSpokenTo
        }
    }

    /// The most bytes a node is handed at once, unless one record alone has more.
    private static let handedBytes = 1 << 20

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
        let (id, extents) = self.state.withLock { state in
            let id = state.nextMember
            state.nextMember += 1
            let extents = Dictionary(streams.map { ($0, self.log($0, &state).extent) }) { first, _ in first }
            state.members[id] = Member(inbox: inbox, handed: extents.mapValues(\.newest))
            return (id, extents)
        }
        inbox.receive(.live(extents))
        self.speak(to: id)
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
        let (receipt, members) = self.state.withLock { state in
            var log = self.takeLog(stream, &state)
            if let highWater = batch.highWater, log.isBehind(highWater) { log.begin(self.newEpoch(&state)) }
            let newest = log.extent.newest
            let receipt = log.append(batch, limits: self.limits)
            let isNew = log.extent.newest != newest
            state.logs[stream] = log
            return (receipt, isNew ? self.membersToSpeakTo(about: stream, &state) : [])
        }
        for member in members { self.speak(to: member) }
        return receipt
    }

    /// Those who follow a stream and are not being spoken to; from now on they are.
    private func membersToSpeakTo(about stream: StreamID, _ state: inout State) -> [MemberID] {
        var members: [MemberID] = []
        for id in state.members.keys where state.members[id]?.handed[stream] != nil {
            if state.members[id]?.expect(stream) == true { members.append(id) }
        }
        return members
    }

    /// Hands a member what its streams hold, until it has all. One task at a time does so, whoever appended.
    private func speak(to id: MemberID) {
        while let (inbox, event) = self.state.withLock({ self.nextEvent(for: id, &$0) }) { inbox.receive(event) }
    }

    private func nextEvent(for id: MemberID, _ state: inout State) -> (any Inbox, DriverEvent)? {
        while let stream = state.members[id]?.awaited.first, let handed = state.members[id]?.handed[stream] {
            let page = self.log(stream, &state).page(after: handed, limitBytes: Self.handedBytes)
            guard let last = page.records.last, let inbox = state.members[id]?.inbox else {
                state.members[id]?.awaited.removeFirst()
                continue
            }
            state.members[id]?.handed[stream] = last.offset
            // Why behind the others: a stream that never rests must not keep them waiting.
            state.members[id]?.awaited.removeFirst()
            if last.offset < page.newest { state.members[id]?.awaited.append(stream) }
            return (inbox, .records(stream: stream, epoch: page.epoch, page.records))
        }
        state.members[id]?.isSpokenTo = false
        return nil
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
            self.moveMembers(of: stream, backTo: .beginning, &state)
        }
    }

    /// Records after `offset` are gone, as after a failover to a stale replica. Nobody is told, and the epoch stays.
    package func rewind(_ stream: StreamID, to offset: Offset) {
        self.state.withLock { state in
            var log = self.takeLog(stream, &state)
            log.rewind(to: offset)
            state.logs[stream] = log
            self.moveMembers(of: stream, backTo: offset, &state)
        }
    }

    private func moveMembers(of stream: StreamID, backTo offset: Offset, _ state: inout State) {
        for (id, member) in state.members {
            guard let handed = member.handed[stream] else { continue }
            state.members[id]?.handed[stream] = min(handed, offset)
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
