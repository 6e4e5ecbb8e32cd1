import BusbarProtocol
package import NIOCore

/// The transport's handle on the connection whose receive channel it is. Confined to the transport's event loop.
package final class ClassicChannel {
    let number: ClassicLifecycle.Channel
    let opening: ClassicOpening
    let framing: ClassicFraming
    private(set) var outlet: (any Outlet)?
    /// Where the loop stood when the channel opened.
    var cursor = ""
    /// Whether a long poll has brought its one envelope.
    var isAnswered = false
    /// The connection, as long as this is its channel and it is on this loop.
    weak var session: ClassicSession?
    /// What arrived before the connection did.
    private var early: [ByteBuffer] = []
    private var closing: TransportClosing?

    init(number: ClassicLifecycle.Channel, opening: ClassicOpening, outlet: any Outlet, framing: ClassicFraming) {
        self.number = number
        self.opening = opening
        self.outlet = outlet
        self.framing = framing
    }

    /// Takes one whole text message of the client.
    package func received(_ text: ByteBuffer) {
        guard let session = self.session else {
            // Why: the connection is on its way from another loop; nothing more is read until it is here.
            if self.outlet != nil {
                if self.early.isEmpty { self.outlet?.pauseReading() }
                self.early.append(text.copied())
            }
            return
        }
        session.received(text, answer: .channel(self.number))
    }

    /// The transport has ended; nothing is written to the outlet any more. A channel that was replaced reports it too.
    package func transportClosed(_ closing: TransportClosing) {
        self.outlet = nil
        self.closing = closing
        if closing == .lost { self.session?.runtime.services.transportBroke() }
        self.session?.channelClosed(self)
        self.session = nil
        self.early = []
    }

    /// What was written has been taken: a client that was not read for want of reading itself is read again.
    package func drained() {
        self.session?.resumeIfPaused()
    }

    var isOpen: Bool { self.closing == nil }

    /// The connection is here: hands over what came before it.
    func attached(to session: ClassicSession) {
        self.session = session
        let early = self.early
        self.early = []
        for text in early { session.received(text, answer: .channel(self.number)) }
        if !early.isEmpty { session.resumeReading() }
    }

    /// Ends the transport; what it still has to say concerns nobody.
    func end(_ ending: OutletEnding) {
        self.outlet?.end(ending)
        self.outlet = nil
        self.early = []
    }
}
