package import NIOCore
import Synchronization

/// The connections of this node whose clients may come back to them over a new transport channel.
final class CoreReturns: Sendable {
    private let places = Mutex<[String: CoreReturn]>([:])
    private let absent = Mutex(0)
    private let limit: Int

    /// - Parameter limit: how many of them may be without their client at a time.
    init(limit: Int) {
        self.limit = limit
    }

    /// A client went away. False if as many are away as may.
    func beginAbsence() -> Bool {
        self.absent.withLock { absent in
            guard absent < self.limit else { return false }
            absent += 1
            return true
        }
    }

    /// It is back, or not waited for any more.
    func endAbsence() { self.absent.withLock { $0 -= 1 } }

    func add(_ id: String, _ place: CoreReturn) { self.places.withLock { $0[id] = place } }

    func remove(_ id: String) { self.places.withLock { $0[id] = nil } }

    func place(of id: String, hub: String) -> CoreReturn? {
        self.places.withLock { $0[id] }.flatMap { $0.hub == hub ? $0 : nil }
    }
}

/// The way back to a connection, from any thread.
package struct CoreReturn: Sendable {
    let hub: String
    let door: NIOLoopBound<CoreSession.Door>
    let eventLoop: any EventLoop

    /// Puts a transport channel in the place of the one that the connection had. To be called on the channel's event loop.
    package func connect(_ outlet: any Outlet, on eventLoop: any EventLoop) -> ReturnedLink {
        let link = ReturnedLink(outlet: outlet, on: eventLoop, to: self)
        link.open()
        return link
    }
}

/// A transport channel over which a client has come back to its connection, which may live on another event loop.
///
/// The channel lives on its own loop and the session on its own, so whatever one of them has to say is carried over. The channel is
/// not read again before the session has taken what was read last; what goes the other way is bounded by what the client may leave
/// unacknowledged.
package final class ReturnedLink: Sendable {
    private let place: CoreReturn
    private let channel: Channel
    /// What the session sees of the channel. Confined to the session's loop.
    private let face: NIOLoopBoundBox<Face?>

    fileprivate init(outlet: any Outlet, on channelLoop: any EventLoop, to place: CoreReturn) {
        self.place = place
        self.channel = Channel(outlet: NIOLoopBound(outlet, eventLoop: channelLoop), eventLoop: channelLoop)
        self.face = .makeEmptyBox(eventLoop: place.eventLoop)
    }

    fileprivate func open() {
        self.place.eventLoop.execute {
            let face = Face(self.channel)
            self.face.value = face
            if self.place.door.value.session?.comeBack(over: face) != true { face.end(.normal) }
        }
    }

    package func received(_ bytes: ByteBuffer) {
        self.channel.outlet.value.pauseReading()
        self.withSession { session, face in
            var bytes = bytes
            session.received(&bytes)
            if !face.isPaused { face.resumeReading() }
        }
    }

    package func drained() {
        self.withSession { session, _ in session.drained() }
    }

    package func transportClosed(_ closing: TransportClosing) {
        self.withSession { session, _ in session.transportClosed(closing) }
    }

    /// Runs `body` on the session's loop if the session still speaks over this link.
    private func withSession(_ body: @escaping @Sendable (CoreSession, Face) -> Void) {
        self.place.eventLoop.execute {
            guard let session = self.place.door.value.session, let face = self.face.value, session.speaks(over: face)
            else { return }
            body(session, face)
        }
    }
}

extension ReturnedLink {
    fileprivate struct Channel: Sendable {
        let outlet: NIOLoopBound<any Outlet>
        let eventLoop: any EventLoop

        func perform(_ body: @escaping @Sendable (any Outlet) -> Void) {
            self.eventLoop.execute { body(self.outlet.value) }
        }
    }

    /// The channel as an outlet on the session's loop.
    fileprivate final class Face: Outlet {
        private let channel: Channel
        private var unflushed: [ByteBuffer] = []
        private(set) var isPaused = false

        init(_ channel: Channel) {
            self.channel = channel
        }

        func write(_ frame: ByteBuffer) { self.unflushed.append(frame) }

        func flush() {
            let frames = self.unflushed
            guard !frames.isEmpty else { return }
            self.unflushed = []
            self.channel.perform { channel in
                for frame in frames { channel.write(frame) }
                channel.flush()
            }
        }

        /// Nothing: what waits for the client is counted by what it has not acknowledged.
        var queuedBytes: Int { 0 }

        func pauseReading() { self.isPaused = true }

        func resumeReading() {
            self.isPaused = false
            self.channel.perform { $0.resumeReading() }
        }

        func end(_ ending: OutletEnding) {
            self.flush()
            self.channel.perform { $0.end(ending) }
        }
    }
}
