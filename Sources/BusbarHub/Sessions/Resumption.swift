import NIOCore

/// What stateful reconnect keeps of a connection: the outlet for messages that count, which outlives the links they go over.
///
/// Confined to the event loop of its session.
final class Resumption: Outlet {
    /// What the client has sent.
    var reception = Reception()
    private var sent: ResendBuffer
    private var link: (any Outlet)?

    init(over link: (any Outlet)?, limitBytes: Int) {
        self.sent = ResendBuffer(limitBytes: limitBytes)
        self.link = link
    }

    func write(_ frame: ByteBuffer) {
        if let frames = self.sent.offer(frame) { self.link?.write(frames) }
    }

    func flush() { self.link?.flush() }

    /// All that the client has not acknowledged.
    var queuedBytes: Int { self.sent.bytes }

    func pauseReading() { self.link?.pauseReading() }

    func resumeReading() { self.link?.resumeReading() }

    func end(_ ending: OutletEnding) { self.link?.end(ending) }

    /// False if the client acknowledges what it was never sent.
    func acknowledged(upTo number: UInt64) -> Bool {
        guard self.sent.acknowledge(upTo: number) else { return false }
        self.writeWaiting()
        return true
    }

    func linkBroke() {
        self.link = nil
        self.sent.linkBroke()
    }

    /// Writes `first`, made with the number of the message behind it, and then everything that is not acknowledged.
    func linkCameBack(_ link: any Outlet, _ first: (UInt64) -> ByteBuffer) {
        self.link = link
        self.reception.linkCameBack()
        self.sent.linkCameBack()
        link.write(first(self.sent.firstNumber))
        self.writeWaiting()
        link.flush()
    }

    private func writeWaiting() {
        guard let link = self.link else { return }
        var hasWritten = false
        while let frames = self.sent.next() {
            link.write(frames)
            hasWritten = true
        }
        if hasWritten { link.flush() }
    }
}
