/// What the bus reports. `detail` says what was wrong and what would be right; it never carries payloads or secrets.
public struct BusError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong. Open: more codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let name: String

        package init(_ name: String) {
            self.name = name
        }

        /// The broker is away and the offline policy is to fail. Nothing was stored; publish again later.
        public static let brokerAway = Self("brokerAway")
        /// The publish buffer is at its bound in bytes or count. Nothing was stored; publish again later.
        public static let bufferFull = Self("bufferFull")
        /// A subscriber of this node is behind and the wait for it has ended. Nothing was stored; publish again later.
        public static let slowedDown = Self("slowedDown")
        /// The deadline passed before the message was handed to the broker. Nothing was stored.
        public static let deadlinePassed = Self("deadlinePassed")
        /// The broker was given the message and has not said whether it stored it. Publishing again may repeat it.
        public static let outcomeUnknown = Self("outcomeUnknown")
        /// The broker refused this very message; publishing it again is pointless.
        public static let rejected = Self("rejected")
        /// Topic and payload together are larger than one record may be. Publish less at once.
        public static let messageTooLarge = Self("messageTooLarge")
        /// The topic's name is longer than ``Topic/largestNameBytes``.
        public static let topicTooLong = Self("topicTooLong")
        /// The calling task was cancelled before the message was handed to the broker. Nothing was stored.
        public static let cancelled = Self("cancelled")
        /// The bus is closed, and stays so.
        public static let closed = Self("closed")
        /// ``Bus/run()`` was called before. A bus runs once.
        public static let alreadyRun = Self("alreadyRun")
        /// The driver gave up: wrong credentials or missing rights.
        public static let driverFailed = Self("driverFailed")
        /// The subscriber's queue was full and its policy is to disconnect. Resume from its last cursor.
        public static let subscriberTooSlow = Self("subscriberTooSlow")
        /// A value of ``BusConfiguration`` is out of its range.
        public static let invalidConfiguration = Self("invalidConfiguration")

        public var description: String { self.name }
    }

    public let code: Code
    public let detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// Whether the same call may succeed later without repeating anything.
    public var isWorthRetrying: Bool {
        [.brokerAway, .bufferFull, .slowedDown, .deadlinePassed].contains(self.code)
    }

    public var description: String { "\(self.code): \(self.detail)" }
}
