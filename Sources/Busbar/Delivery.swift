public import BusbarDriver
public import NIOCore

/// What was published, as every subscriber of its topic gets it. The payload's bytes are shared among them.
public struct Message: Hashable, Sendable {
    public let topic: Topic
    public let payload: ByteBuffer

    package init(topic: Topic, payload: ByteBuffer) {
        self.topic = topic
        self.payload = payload
    }

    /// What one such message is charged in a queue or window, in bytes: its own and the bookkeeping's.
    package var cost: Int { self.topic.name.utf8.count + self.payload.readableBytes + 64 }
}

/// A report that messages of one stream may be missing: whoever needs them must fetch its state anew.
public struct Gap: Hashable, Sendable, CustomStringConvertible {
    /// Why messages may be missing. Open: more reasons may come.
    public struct Reason: Hashable, Sendable, CustomStringConvertible {
        public let name: String

        package init(_ name: String) {
            self.name = name
        }

        /// The log no longer retains them.
        public static let truncated = Self("truncated")
        /// The log should hold them, and doesn't.
        public static let missing = Self("missing")
        /// The log could not be read in time.
        public static let unreadable = Self("unreadable")
        /// The stream's log began a new life: wiped, restored or recreated.
        public static let newEpoch = Self("newEpoch")
        /// The log went back to an earlier state without saying so.
        public static let rewound = Self("rewound")
        /// A record whose bytes this node can't interpret.
        public static let poison = Self("poison")
        /// The subscriber's queue was full and gave up its oldest messages.
        public static let slowSubscriber = Self("slowSubscriber")
        /// The cursor is not one of this farm's: another app, another key, damaged or invented.
        public static let foreignCursor = Self("foreignCursor")
        /// The cursor was made when the app had another number of streams.
        public static let streamsChanged = Self("streamsChanged")
        /// The cursor says nothing about this stream.
        public static let notInCursor = Self("notInCursor")
        /// The cursor stands behind the newest record of its epoch.
        public static let futureCursor = Self("futureCursor")
        /// The driver keeps no log to resume from.
        public static let noReplay = Self("noReplay")

        public var description: String { self.name }
    }

    public let stream: StreamID
    public let reason: Reason
    /// Everything up to here was delivered before this notice; nil when that is unknown.
    public let after: Position?
    /// Delivery goes on after this place.
    public let upTo: Position

    package init(stream: StreamID, reason: Reason, after: Position?, upTo: Position) {
        self.stream = stream
        self.reason = reason
        self.after = after
        self.upTo = upTo
    }

    public var description: String {
        "gap (\(self.reason)) after \(self.after.map { "\($0)" } ?? "an unknown place") up to \(self.upTo)"
    }
}

/// What a subscriber has seen: one position per stream it depends on, in the order of the streams.
public struct Frontier: Hashable, Sendable {
    package let positions: [Position]

    package init(positions: [Position]) {
        self.positions = positions
    }

    package func position(in stream: StreamID) -> Position? {
        self.positions.first { $0.stream == stream }
    }
}

extension Frontier {
    /// Whether this is at `place` or behind it, stream by stream. A stream that has begun another epoch has left every
    /// place of the old one behind.
    package func reaches(_ place: Frontier) -> Bool {
        place.positions.allSatisfy { wanted in
            guard let have = self.position(in: wanted.stream) else { return false }
            return have.epoch != wanted.epoch || have.offset >= wanted.offset
        }
    }
}

/// What one step of a subscription brings: first the gaps, then the messages, then the place that stands after them.
public struct Delivery: Sendable {
    public let gaps: [Gap]
    public let messages: [Message]
    /// Resuming here brings exactly what came later.
    public let frontier: Frontier

    package init(gaps: [Gap], messages: [Message], frontier: Frontier) {
        self.gaps = gaps
        self.messages = messages
        self.frontier = frontier
    }
}
