package import BusbarDriver

/// Whether messages get through.
public struct BusStatus: Hashable, Sendable {
    public enum Phase: Hashable, Sendable {
        /// Not run yet, or the broker was not reached so far.
        case starting
        case live
        /// The link to the broker is broken; the driver is trying to get it back.
        case away
        case closed
    }

    public let phase: Phase
    /// What went wrong last; nil when nothing has since the link was made.
    public let detail: String?
    /// The same in a word that may be shown to anybody: the driver's code, such as `unreachable`, without addresses.
    public let reason: String?

    /// Live on every stream, and the last position check was answered.
    public var isReady: Bool { self.phase == .live && self.detail == nil }

    package init(phase: Phase, detail: String?, reason: String? = nil) {
        self.phase = phase
        self.detail = detail
        self.reason = reason
    }
}

/// What one stream knows of its link.
package struct StreamHealth: Hashable, Sendable {
    package var phase = BusStatus.Phase.starting
    package var lastFailure: DriverError?
    private var nextCheck: Moment?

    package init() {}

    package mutating func linkBecameLive(now: Moment) {
        self.phase = .live
        self.lastFailure = nil
    }

    package mutating func linkBroke(_ error: DriverError) {
        if self.phase == .live { self.phase = .away }
        self.lastFailure = error
    }

    package mutating func checkSucceeded() {
        if self.phase == .live { self.lastFailure = nil }
    }

    package mutating func checkFailed(_ error: DriverError) {
        self.lastFailure = error
    }

    /// True once per interval while the link is live.
    package mutating func isCheckDue(now: Moment, interval: Duration) -> Bool {
        guard self.phase == .live else { return false }
        guard let next = self.nextCheck else {
            self.nextCheck = now + interval
            return false
        }
        guard next <= now else { return false }
        self.nextCheck = now + interval
        return true
    }
}

/// Totals and sizes of one stream.
package struct StreamCounts: Hashable, Sendable {
    package var published: UInt64 = 0
    package var failed: UInt64 = 0
    package var waitingBytes = 0
    package var received = StreamCore.Counts()
    package var windowBytes = 0
    package var heldBytes = 0
    package var topics = 0
    package var followers = 0

    package init() {}
}
