public import NIOCore

/// Who wrote a record, and as which of its writes: equal for a repeated append of the same record, different for any other.
public struct RecordKey: Hashable, Sendable, CustomStringConvertible {
    /// Random identity of the writing node.
    public let node: UInt64
    /// Which life of that node: larger after each start.
    public let incarnation: UInt64
    /// Larger with each new record of the node on one stream, from 1. Numbers may be missing: that of a record which
    /// was rejected or given up is not used again. A repeated append keeps its number.
    public let sequence: UInt64

    public init(node: UInt64, incarnation: UInt64, sequence: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.sequence = sequence
    }

    public var description: String {
        "\(String(self.node, radix: 16)).\(String(self.incarnation, radix: 16)).\(self.sequence)"
    }
}

/// What a stream stores as one unit, under one offset: opaque bytes in which the bus has packed one or more messages.
public struct Record: Hashable, Sendable {
    /// Identity for drivers that can refuse a repeated append. It is also inside ``bytes``: a driver need not store it.
    public let key: RecordKey
    /// At most ``Guarantees/largestRecordBytes``; never empty. Any byte values.
    public let bytes: ByteBuffer

    public init(key: RecordKey, bytes: ByteBuffer) {
        self.key = key
        self.bytes = bytes
    }
}

/// A record as it lies in the log.
public struct StoredRecord: Hashable, Sendable {
    public let offset: Offset
    public let bytes: ByteBuffer

    public init(offset: Offset, bytes: ByteBuffer) {
        self.offset = offset
        self.bytes = bytes
    }
}

/// Records to be appended together, in order, to one stream. Never empty.
public struct Batch: Hashable, Sendable {
    public let records: [Record]
    /// The newest place of this stream that the writer has seen, or nil before it saw any.
    ///
    /// A store whose newest record is older than this has gone backwards (a failover to a stale replica, a restored backup): it
    /// must begin a new epoch before it accepts the batch. This is what fences reused offsets.
    public let highWater: Position?

    public init(records: [Record], highWater: Position?) {
        self.records = records
        self.highWater = highWater
    }
}

/// What a store says of a batch it has accepted.
public struct Receipt: Hashable, Sendable {
    /// Where the batch's last record lies. For a repeated batch: where it lay the first time.
    public let last: Position
    /// How long the broker had better be spared: a stream whose messages come in crowds gathers them for so long before it
    /// appends again, unless a full batch waits. Zero for a broker that has nothing else to do. Keep it to some milliseconds: a
    /// publish that waits it out still has its deadline. From zero to ``longestRest``; what lies beyond is taken as that.
    public let rest: Duration

    /// The longest rest that a broker is given.
    public static let longestRest = Duration.seconds(1)

    public init(last: Position, rest: Duration = .zero) {
        self.last = last
        self.rest = max(.zero, min(rest, Self.longestRest))
    }
}

/// A stretch of the log, oldest record first.
public struct Page: Hashable, Sendable {
    /// The life of the log that was read.
    public let epoch: Epoch
    /// Records after the place asked for, in offset order, at most as many bytes as asked for, but at least one if there is any.
    public let records: [StoredRecord]
    /// Offset of the oldest record that is still retained; the newest offset plus one when nothing is retained.
    ///
    /// Where offsets jump: the lowest offset of which nothing has been dropped. Else whoever stands exactly before the oldest
    /// record could not know that it misses nothing.
    public let oldest: Offset
    /// Offset of the newest record ever stored in this epoch; ``Offset/beginning`` in an epoch without any.
    public let newest: Offset

    public init(epoch: Epoch, records: [StoredRecord], oldest: Offset, newest: Offset) {
        self.epoch = epoch
        self.records = records
        self.oldest = oldest
        self.newest = newest
    }
}

/// What a store holds of a stream at one moment.
public struct StreamExtent: Hashable, Sendable {
    public let epoch: Epoch
    /// Offset of the oldest record that is still retained; the newest offset plus one when nothing is retained.
    ///
    /// Where offsets jump: the lowest offset of which nothing has been dropped. Else whoever stands exactly before the oldest
    /// record could not know that it misses nothing.
    public let oldest: Offset
    /// Offset of the newest record ever stored in this epoch; ``Offset/beginning`` in an epoch without any.
    public let newest: Offset

    public init(epoch: Epoch, oldest: Offset, newest: Offset) {
        self.epoch = epoch
        self.oldest = oldest
        self.newest = newest
    }
}
