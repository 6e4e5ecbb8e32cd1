/// How a connection ended.
public struct Disconnection: Hashable, Sendable, CustomStringConvertible {
    /// Who or what ended it.
    public enum Reason: Hashable, Sendable {
        /// The client said goodbye, or closed its side in order.
        case stoppedByClient
        /// The transport broke, and the client was not back in time.
        case lost
        /// Nothing was heard from the client for too long.
        case timedOut
        /// The application called ``ConnectionContext/abort()``.
        case aborted
        /// The client read more slowly than it was sent to, and its outbound budget was used up.
        case tooSlow
        /// The client broke the protocol.
        case protocolViolated
        /// The hub refused the connection, by throwing from ``Hub/connected()`` or ``Hub/reconnected()``.
        case refused
        /// This node stops.
        case serverStopping
    }

    public let reason: Reason

    /// One line for a log, without payloads; nil when the reason says it all.
    public let detail: String?

    package init(_ reason: Reason, detail: String? = nil) {
        self.reason = reason
        self.detail = detail
    }

    /// Whether the client wanted it.
    public var isGraceful: Bool { self.reason == .stoppedByClient }

    public var description: String {
        guard let detail = self.detail else { return "\(self.reason)" }
        return "\(self.reason): \(detail)"
    }
}
