import BusbarHub
import BusbarProtocol
import NIOCore

/// The body of an answer while a session writes it, and the session's way out. Confined to its event loop.
///
/// Sessions write whole chunks, so that a chunk that was made once is shared by all its recipients; peers of HTTP/1.0 get
/// what is in them, and the end of the connection as the end of the body.
final class ResponseStream {
    /// The connection that the answer belongs to.
    protocol Connection: AnyObject {
        func write(_ bytes: ByteBuffer)
        func flush()
        /// Exact while the kernel takes no more, else nil.
        var heldBytes: Int? { get }
        /// The body is over. `isWhole` says whether the peer can tell; then the connection may serve another request.
        func streamEnded(isWhole: Bool)
        func abandoned()
    }

    private let isChunked: Bool
    private let sendTimeout: TimeAmount
    private weak var connection: (any Connection)?
    private var session = TransportSession.refused
    private var progress = SendProgress()
    private var deadline = NIODeadline.distantFuture

    init(_ connection: any Connection, isChunked: Bool, sendTimeout: TimeAmount) {
        self.connection = connection
        self.isChunked = isChunked
        self.sendTimeout = sendTimeout
    }

    /// Begins the body, then has the session go on with it.
    func begin(_ acceptance: StreamAcceptance, on eventLoop: any EventLoop) {
        if acceptance.response.body.readableBytes > 0 { self.write(HTTPChunks.chunk(acceptance.response.body)) }
        let session = acceptance.attach(self, eventLoop)
        // Why: the session may have ended the body already, or found the connection broken.
        guard self.connection != nil else { return Self.report(.lost, to: session, on: eventLoop) }
        self.session = session
        if case .refused = session { return self.end(.failed) }
        self.flush()
    }

    /// The connection is gone, or its answer is over.
    func left(on eventLoop: any EventLoop) {
        self.connection = nil
        let session = self.session
        self.session = .refused
        Self.report(.lost, to: session, on: eventLoop)
    }

    /// Why not at once: the session may be in the middle of one of its own writes.
    private static func report(_ closing: TransportClosing, to session: TransportSession, on eventLoop: any EventLoop) {
        let bound = NIOLoopBound(session, eventLoop: eventLoop)
        eventLoop.execute { bound.value.transportClosed(closing) }
    }

    // MARK: A peer that does not read

    func writabilityChanged(_ isWritable: Bool, on eventLoop: any EventLoop) {
        self.deadline = isWritable ? .distantFuture : .now() + self.sendTimeout
        guard isWritable else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { bound.value.session.drained() }
    }

    func ticked(now: NIODeadline) {
        guard now >= self.deadline, let connection = self.connection else { return }
        if self.progress.hasAdvanced(queuedBytes: self.queuedBytes) {
            self.deadline = now + self.sendTimeout
        } else {
            connection.abandoned()
        }
    }
}

extension ResponseStream: Outlet {
    func write(_ frame: ByteBuffer) {
        guard let connection = self.connection else { return }
        let bytes = self.isChunked ? frame : HTTPChunks.content(of: frame)
        self.progress.wrote(bytes.readableBytes)
        connection.write(bytes)
    }

    func flush() {
        self.progress.flushed()
        self.connection?.flush()
    }

    var queuedBytes: Int { self.connection?.heldBytes ?? self.progress.unflushedBytes }

    /// Why nothing: calls come by requests of their own.
    func pauseReading() {}

    func resumeReading() {}

    func end(_ ending: OutletEnding) {
        guard let connection = self.connection else { return }
        switch ending {
        case .normal, .goingAway:
            if self.isChunked { self.write(HTTPChunks.end) }
            self.flush()
            connection.streamEnded(isWhole: self.isChunked)
        case .failed:
            // Why: whoever waits for the rest of a body that breaks off knows that something went wrong.
            self.flush()
            connection.streamEnded(isWhole: false)
        case .abandon:
            connection.abandoned()
        }
    }
}
