/// One ordered lane of an app's traffic. An app has a fixed number of streams, numbered from 0; every node agrees on it.
public struct StreamID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Number of the stream within its app, from 0.
    public let index: UInt16

    public init(_ index: UInt16) {
        self.index = index
    }

    public static func < (left: Self, right: Self) -> Bool { left.index < right.index }

    public var description: String { "stream \(self.index)" }
}

/// Identity of one life of a stream's log.
///
/// A log that was wiped, rewound, restored from an older state, recreated or resharded must come back under an epoch that was
/// never used before; a driver that can't recognise such an event must not claim ``Guarantees/recognisesRewind``.
public struct Epoch: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    public var description: String { String(self.rawValue, radix: 16) }
}

/// Place of a record in its stream: strictly increasing within an epoch. The first record of a log has offset 1 or more; 0 means
/// "before everything".
public struct Offset: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    /// The place before the first record.
    public static let beginning = Self(0)

    public init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var description: String { String(self.rawValue) }
}

/// A place in one life of one stream: everything up to and including `offset` has been seen.
public struct Position: Hashable, Sendable, CustomStringConvertible {
    public let stream: StreamID
    public let epoch: Epoch
    public let offset: Offset

    public init(stream: StreamID, epoch: Epoch, offset: Offset) {
        self.stream = stream
        self.epoch = epoch
        self.offset = offset
    }

    public var description: String { "\(self.stream) \(self.epoch)@\(self.offset)" }
}
