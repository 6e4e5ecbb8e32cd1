/// What to do with a publish while the broker is away.
public enum OfflinePolicy: Hashable, Sendable {
    /// Keep it, bounded, and send it when the broker is back; beyond the bound fail at once.
    case buffer(bytes: Int, count: Int)
    /// Fail at once.
    case fail
    /// Deliver it to the subscribers of this node only. Other nodes never get it, and no cursor covers it.
    case deliverLocally
}

/// How a bus behaves. Every value has a working default.
public struct BusConfiguration: Sendable {
    /// Namespace on the broker; it also guards cursors. 1 to 64 characters of `a–z A–Z 0–9 - _ .`.
    public var app = "busbar"
    /// How many streams the app's topics are spread over, 1 to 256. All nodes must agree. One means a total order over all topics.
    public var streams = 1

    /// Newest messages of each stream kept in memory, in bytes and count.
    public var windowBytes = 8 << 20
    public var windowCount = 16_384

    /// Messages of one stream that wait while an append is under way, in bytes and count.
    public var publishBufferBytes = 8 << 20
    public var publishBufferCount = 65_536
    /// How long a publish may take, waiting included.
    public var publishDeadline = Duration.seconds(10)
    /// Publishing before the broker was reached for the first time.
    public var whileStarting = OfflinePolicy.buffer(bytes: 8 << 20, count: 65_536)
    /// Publishing after the link to the broker broke.
    public var whileAway = OfflinePolicy.buffer(bytes: 8 << 20, count: 65_536)
    /// Largest pack of messages that share one record, in bytes and count.
    public var packBytes = 64 << 10
    public var packCount = 256
    /// How long a publish waits for a subscriber of this node that is behind before it fails.
    public var slowDownLimit = Duration.seconds(2)

    /// Records held while an earlier one is missing: bytes, and how long before the loss is reported. It is reported later while the log
    /// has not failed three times to say what is missing, at the latest after four times as long.
    public var holdBytes = 4 << 20
    public var holdTime = Duration.seconds(5)
    /// How much of the log one read asks for.
    public var pageBytes = 256 << 10
    /// How often each stream's position is compared with the store's.
    public var checkInterval = Duration.seconds(5)

    /// The farm's secret. Without one, cursors and tokens are good on this process only.
    public var farmKey: FarmKey?

    public init() {}

    /// Throws ``BusError/Code/invalidConfiguration`` naming the first value that is out of range.
    public func validate() throws(BusError) {
        let characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
        guard (1...64).contains(self.app.count), self.app.allSatisfy({ characters.contains($0) }) else {
            throw Self.invalid("app", "\"\(self.app.prefix(80))\"", "1 to 64 characters of a-z A-Z 0-9 - _ .")
        }
        try Self.check("streams", self.streams, in: 1...256)
        try Self.check("windowBytes", self.windowBytes, in: 0...(1 << 40))
        try Self.check("windowCount", self.windowCount, in: 0...(1 << 30))
        try Self.check("publishBufferBytes", self.publishBufferBytes, in: 1...(1 << 40))
        try Self.check("publishBufferCount", self.publishBufferCount, in: 1...(1 << 30))
        try Self.check("packBytes", self.packBytes, in: 256...(16 << 20))
        try Self.check("packCount", self.packCount, in: 1...65_535)
        try Self.check("holdBytes", self.holdBytes, in: 0...(1 << 40))
        try Self.check("pageBytes", self.pageBytes, in: 1_024...(64 << 20))
        try Self.check("publishDeadline", self.publishDeadline)
        try Self.check("slowDownLimit", self.slowDownLimit)
        try Self.check("holdTime", self.holdTime)
        try Self.check("checkInterval", self.checkInterval)
        for (name, policy) in [("whileStarting", self.whileStarting), ("whileAway", self.whileAway)] {
            guard case .buffer(let bytes, let count) = policy else { continue }
            try Self.check("\(name).bytes", bytes, in: 1...(1 << 40))
            try Self.check("\(name).count", count, in: 1...(1 << 30))
        }
    }

    private static func check(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws(BusError) {
        guard range.contains(value) else {
            throw Self.invalid(name, "\(value)", "\(range.lowerBound) to \(range.upperBound)")
        }
    }

    private static func check(_ name: String, _ value: Duration) throws(BusError) {
        guard value >= .milliseconds(1), value <= .seconds(86_400) else {
            throw Self.invalid(name, "\(value)", "1 ms to 1 day")
        }
    }

    private static func invalid(_ name: String, _ value: String, _ right: String) -> BusError {
        BusError(.invalidConfiguration, "\(name) is \(value); it must be \(right)")
    }
}
