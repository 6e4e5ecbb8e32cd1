/// What makes one broker look like a set of streams: the one protocol a driver author implements.
///
/// A driver knows streams and bytes. Topics, order across reconnects, repeats, gaps, packing, buffering while the broker is away,
/// windows, cursors and metrics belong to the bus and are not a driver's business. All members may be called at any time and
/// concurrently; the bus itself has at most one append per stream under way.
public protocol BackplaneDriver: Sendable {
    /// What this driver promises; constant.
    var guarantees: Guarantees { get }

    /// Connects and delivers what arrives on `streams` to `inbox` until the task is cancelled.
    ///
    /// Connecting, authenticating, backing off and reconnecting happen in here, without end: a broker that is away is reported
    /// through ``Inbox/receive(_:)`` and not by returning. Called once per driver.
    ///
    /// After ``DriverEvent/live(_:)`` every record appended to `streams` by anyone is delivered, the node's own included, each
    /// stream's in offset order, by one call at a time and once; after a reconnect delivery may begin earlier and repeat some.
    /// - Throws: only an error whose recovery is ``DriverError/Recovery/giveUp``, such as wrong credentials.
    func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError)

    /// Appends a batch, whole or not at all, and returns once the broker has accepted it.
    ///
    /// No record is delivered to any node before ``read(_:after:limitBytes:)`` could return it.
    ///
    /// Bound it in time: nothing else of the stream is appended before it returns, even when everybody who waited for
    /// it has given up. It must end soon after its task is cancelled.
    /// - Throws: ``DriverError``; its recovery says whether the same batch may be tried again.
    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt

    /// Reads the records after `offset`, at most `limitBytes` of them but at least one if there is any.
    ///
    /// The page says which epoch it was read from and what is retained, so the caller sees truncation and new epochs.
    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page

    /// Reports the epoch and the oldest and newest offset of a stream, asked from the store itself and not from memory.
    func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent
}

/// What a driver has to say while it runs.
public enum DriverEvent: Hashable, Sendable {
    /// The link delivers from now on. Sent after each (re)connect, with what each followed stream held at that moment.
    case live([StreamID: StreamExtent])
    /// Records as they arrive, in offset order. A jump in offsets is the bus's to judge.
    case records(stream: StreamID, epoch: Epoch, [StoredRecord])
    /// The link is gone; the driver is trying to get it back.
    case interrupted(DriverError)
}

/// Where a driver puts what arrives.
public protocol Inbox: Sendable {
    /// Takes an event. Returns at once and never blocks: what it stores is bounded.
    ///
    /// Calls that concern one stream must not overlap.
    func receive(_ event: DriverEvent)
}
