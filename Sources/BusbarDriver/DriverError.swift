/// What a driver reports instead of the errors of the library it stands on.
///
/// `detail` carries the library's or the broker's own text. It never carries payloads, passwords or whole URLs.
public struct DriverError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong. Open: a driver may add codes of its own.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let name: String

        public init(_ name: String) {
            self.name = name
        }

        /// The broker can't be reached, or the link broke. Whether a pending append was stored is unknown.
        public static let unreachable = Self("unreachable")
        /// The broker didn't answer in time. Whether a pending append was stored is unknown.
        public static let timedOut = Self("timedOut")
        /// The broker refused this very request and stored nothing of it; repeating it is pointless.
        public static let rejected = Self("rejected")
        /// A record is larger than ``Guarantees/largestRecordBytes``. Nothing was stored.
        public static let recordTooLarge = Self("recordTooLarge")
        /// The broker can't take more at present (memory, disk, read-only). Nothing was stored; try again later.
        public static let overloaded = Self("overloaded")
        /// Wrong credentials or missing rights.
        public static let unauthorized = Self("unauthorized")
        /// The driver was shut down.
        public static let closed = Self("closed")

        public var description: String { self.name }
    }

    /// What the bus should do next.
    public enum Recovery: Hashable, Sendable {
        /// The same request may succeed after this time; nothing or exactly this batch was stored.
        case retry(after: Duration)
        /// Repeating the request can't succeed.
        case giveUp
    }

    public let code: Code
    /// What was being done: "append", "read", "extent", "run".
    public let operation: StaticString
    public let recovery: Recovery
    public let detail: String

    public init(_ code: Code, during operation: StaticString, recovery: Recovery, detail: String) {
        self.code = code
        self.operation = operation
        self.recovery = recovery
        self.detail = detail
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.code == right.code && left.recovery == right.recovery && left.detail == right.detail
            && left.operation.description == right.operation.description
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(self.code)
        hasher.combine(self.recovery)
        hasher.combine(self.detail)
        hasher.combine(self.operation.description)
    }

    public var description: String { "\(self.operation): \(self.code): \(self.detail)" }
}
