package import BusbarDriver

/// Finds out under which epoch a stream's log lives, and begins one where there is none, so that nodes that do this at the same
/// time all come to the same epoch.
///
/// Everybody proposes an epoch by a message in the queue; the broker puts one of them first, and that one counts, for everybody.
/// Before a node publishes for an epoch it binds the queue for it *and looks again*: if the queue was made anew in between, the
/// binding belongs to the wrong log and is taken back.
///
/// A value without I/O: the shell performs an effect and reports how it went.
package struct EpochClaim: Hashable {
    package enum Effect: Hashable {
        /// Look at both ends of the queue, then report ``surveyed(_:draw:)``.
        case survey
        /// Bind the queue for an epoch, propose it by a message, and go on when the broker has both.
        case propose(Epoch)
        case bind(Epoch)
        case unbind(Epoch)
        /// The log is known, and bound for its epoch.
        case settled(StreamExtent)
        case fail(DriverError)
    }

    private static let patience = 8

    private var bound: Epoch?
    private var surveys = 0

    package init() {}

    /// - Parameter draw: a random number, the epoch that is proposed if there is none.
    package mutating func surveyed(_ survey: LogSurvey, draw: UInt64) -> [Effect] {
        self.surveys += 1
        guard self.surveys <= Self.patience else { return [.fail(Self.unsettled)] }
        switch survey {
        case .torn, .lookFurtherBack:
            return [.survey]
        case .untouched:
            // Why anew each time: a proposal that has vanished vanished with its log.
            let epoch = Epoch(max(1, draw))
            defer { self.bound = epoch }
            return self.release() + [.propose(epoch), .survey]
        case .extent(let extent):
            if self.bound == extent.epoch { return [.settled(extent)] }
            defer { self.bound = extent.epoch }
            return self.release() + [.bind(extent.epoch), .survey]
        }
    }

    private func release() -> [Effect] {
        self.bound.map { [.unbind($0)] } ?? []
    }

    private static let unsettled = DriverError(
        .unreachable, during: "run", recovery: .retry(after: .milliseconds(100)),
        detail: "the queue is being deleted and made anew again and again, or holds messages that aren't Busbar's")
}
