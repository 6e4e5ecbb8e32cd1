import Busbar
import NIOCore

/// What the fan-out of one event loop knows of a connection. Confined to its loop.
final class Recipient {
    let id: String
    var format: WireFormat
    /// Where messages go; nil while the connection has no channel.
    var outlet: (any Outlet)?
    /// Whether messages concern it at present.
    var isListening = true
    /// Whether its session takes what a batch brings, instead of having shared bytes written.
    var takesBundles = false
    /// What the current batch has in store for it.
    var trail = RunTrails.start
    /// Whether the end of the current batch has to look at it.
    var isTouched = false
    /// The batch whose cursor the client was sent last. Only classic clients are sent any.
    var toldBatch: UInt64 = 0
    var groupCount = 0
    /// Its place in the tables of the loop; nil while it isn't registered.
    var slot: AudienceTable.Slot?
    /// Who decides what happens to it.
    private(set) weak var owner: (any RecipientOwner)?

    init(id: String, format: WireFormat, outlet: (any Outlet)?, owner: any RecipientOwner) {
        self.id = id
        self.format = format
        self.outlet = outlet
        self.owner = owner
    }
}

/// A session, as the fan-out of its event loop sees it.
protocol RecipientOwner: AnyObject {
    /// The connection reads more slowly than it is sent to.
    func fellBehind()

    /// The one envelope that its long poll waited for has been written.
    func pollAnswered()

    /// The client is about to be called, if it can answer: then the answer goes to whoever asked.
    func expectResult(of invocation: ClientInvocation, for key: RequestKey) -> PassageVerdict

    /// Membership in a group has changed.
    func groupChanged(_ change: GroupChange)

    /// Takes what a batch brings: elements of an envelope, each one or more messages separated by commas; and the
    /// cursor after the batch. There may be no elements.
    func takeBundle(_ elements: [ByteBuffer], cursor: String)
}
