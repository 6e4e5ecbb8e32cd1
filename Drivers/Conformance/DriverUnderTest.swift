public import BusbarDriver

/// What a driver author hands to the kit: a way to make apps on one broker.
public protocol DriverUnderTest: Sendable {
    /// How reports call it, such as `redis 7.0`.
    var name: String { get }
    /// Whether ``makeApp(_:)`` heeds ``AppOptions/retainedCount``. Cases about trimmed logs are skipped otherwise.
    var limitsRetention: Bool { get }
    /// Whether the broker is set up to keep, over a restart, all it has acknowledged. Cases about durability are
    /// skipped otherwise, and the others expect a loss to be reported. Default: true.
    var brokerPersists: Bool { get }

    /// A namespace on the broker that nobody has used before: its streams are empty and unknown.
    func makeApp(_ options: AppOptions) async throws -> any AppUnderTest
}

extension DriverUnderTest {
    public var brokerPersists: Bool { true }
}

/// What a case wants of the app it runs on.
public struct AppOptions: Hashable, Sendable {
    /// How many streams the case uses at most: those with the indices `0..<streams`.
    public var streams: Int
    /// How many records a stream's log retains, about: a broker that trims in blocks may keep some more. Nil is the
    /// default.
    public var retainedCount: Int?

    public init(streams: Int = 1, retainedCount: Int? = nil) {
        self.streams = streams
        self.retainedCount = retainedCount
    }
}

/// One app on the broker.
public protocol AppUnderTest: Sendable {
    /// What may be done to the broker beneath; nil when nothing may, which skips the cases that need it.
    var faults: (any BrokerFaults)? { get }

    /// A driver of one more node of this app, as another process would make it: it shares nothing with the nodes made
    /// before.
    func makeNode() async throws -> any BackplaneDriver

    /// The case is over: removes what the app left on the broker.
    func remove() async
}

/// What happens to brokers.
public enum BrokerFault: String, CaseIterable, Hashable, Sendable {
    /// The broker stops answering; its sockets stay open (SIGSTOP).
    case pause
    /// It goes on.
    case resume
    /// Its process ends without warning (SIGKILL).
    case kill
    /// It is started again, on what its persistence kept.
    case start
    /// All it stores is gone; it keeps running.
    case wipe
    /// Its state is kept for ``restoreOlder``.
    case save
    /// It comes back with the state it had at ``save``.
    case restoreOlder = "restore-older"
    /// All connections to it that there are at one moment are closed, and none that is made after; it keeps running
    /// (`CLIENT KILL`, backend termination).
    case cutLinks = "cut-links"
    /// It goes on, but takes no more work: memory or disk full, writes forbidden.
    case refuse
    /// It takes work again.
    case accept
}

/// Lets faults happen to the broker beneath an app.
public protocol BrokerFaults: Sendable {
    /// Faults that ``inject(_:)`` may know. Cases that need others aren't even begun.
    var offered: Set<BrokerFault> { get }

    /// Returns once the fault has happened; after ``BrokerFault/start`` or ``BrokerFault/resume``, once the broker
    /// accepts connections. Must work in a cancelled task too, as a case that ran out of time puts the broker back on
    /// its feet.
    /// - Throws: ``UnknownFault`` when it turns out that this one can't be done here: the case is skipped.
    func inject(_ fault: BrokerFault) async throws
}

/// A harness that was asked for a fault it doesn't know. Not a failure: the case is skipped and says so.
public struct UnknownFault: Error, Hashable, Sendable {
    public let fault: BrokerFault
    /// Why not, where there is something to say.
    public let detail: String

    public init(_ fault: BrokerFault, _ detail: String = "") {
        self.fault = fault
        self.detail = detail
    }
}
