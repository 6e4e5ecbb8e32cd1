/// What a driver promises. The bus relies on it and the conformance suite proves it, so promise no more than holds.
public struct Guarantees: Hashable, Sendable {
    /// How offsets count.
    public enum Counting: Hashable, Sendable {
        /// Each record's offset is its predecessor's plus one: a jump means a loss.
        case withoutHoles
        /// Offsets increase and may jump. The driver promises instead that nothing is skipped while a link is live, and that a
        /// link that became live again continues after the last offset it delivered.
        case withJumps
    }

    /// What survives the end of the broker's process.
    public enum Durability: Hashable, Sendable {
        /// Nothing: a restart begins a new epoch.
        case process
        /// What the broker's own persistence settings keep.
        case broker
    }

    public var counting: Counting
    public var durability: Durability
    /// The largest ``Record/bytes`` that ``BackplaneDriver/append(_:to:)`` takes, in bytes.
    public var largestRecordBytes: Int
    /// Whether ``BackplaneDriver/read(_:after:limitBytes:)`` can return records from before the call: replay.
    public var replays: Bool
    /// Whether a repeated append of a record is stored once, and answered with the first receipt, by the store itself.
    public var refusesRepeats: Bool
    /// Whether a store that lost records it had acknowledged is recognised and comes back under a new epoch.
    public var recognisesRewind: Bool
    /// Whether ``BackplaneDriver/append(_:to:)`` neither suspends nor blocks, as a log in memory doesn't.
    ///
    /// The bus then appends within the publishing task instead of handing the record to a task of its own. That spares
    /// switches of task, but neither deadline nor cancellation reaches a publisher that is inside such a call. A driver
    /// that does I/O leaves this false.
    public var appendsAtOnce: Bool
    /// How far apart the offsets of records lie that were appended one after the other: 1, unless offsets are made up of
    /// several numbers. The bus uses it where it looks back over a number of records.
    public var offsetStride: UInt64

    public init(
        counting: Counting,
        durability: Durability,
        largestRecordBytes: Int,
        replays: Bool,
        refusesRepeats: Bool,
        recognisesRewind: Bool,
        appendsAtOnce: Bool = false,
        offsetStride: UInt64 = 1
    ) {
        self.counting = counting
        self.durability = durability
        self.largestRecordBytes = largestRecordBytes
        self.replays = replays
        self.refusesRepeats = refusesRepeats
        self.recognisesRewind = recognisesRewind
        self.appendsAtOnce = appendsAtOnce
        self.offsetStride = offsetStride
    }
}
