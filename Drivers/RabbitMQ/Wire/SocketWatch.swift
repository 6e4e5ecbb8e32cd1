import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Ends what the library would wait for without end: room to write, when the broker stands still.
///
/// librabbitmq gives a write no deadline. The driver's thread says when it begins and ends a turn; somebody else looks at that from
/// time to time and shuts the sockets of a thread that doesn't come back. The write then fails, and the link is made anew.
final class SocketWatch: Sendable {
    private struct State {
        var limit: Duration
        var busySince: ContinuousClock.Instant?
        var sockets: [CInt] = []
        var isStuck = false
    }

    private let state: Mutex<State>

    /// - Parameter limit: the longest that a turn may take.
    init(limit: Duration) {
        self.state = Mutex(State(limit: limit))
    }

    /// A turn had to be ended by force, and isn't over yet.
    var isStuck: Bool { self.state.withLock(\.isStuck) }

    func add(_ socket: CInt) {
        self.state.withLock { state in
            state.sockets.append(socket)
            // Why: what came before, connecting, has deadlines of its own.
            if state.busySince != nil { state.busySince = .now }
        }
    }

    /// Before the socket is closed: its number may then belong to somebody else.
    func remove(_ socket: CInt) {
        self.state.withLock { state in state.sockets.removeAll { $0 == socket } }
    }

    func turnBegins() {
        self.state.withLock { $0.busySince = .now }
    }

    func turnEnds() {
        self.state.withLock { state in
            state.busySince = nil
            state.isStuck = false
        }
    }

    /// The driver is to end: from now on a turn may take this long only.
    func hurry(_ limit: Duration) {
        self.state.withLock { $0.limit = limit }
    }

    /// Looks after the thread until the task is cancelled.
    func patrol() async {
        while (try? await Task.sleep(for: .milliseconds(200))) != nil { self.look(at: .now) }
    }

    func look(at now: ContinuousClock.Instant) {
        self.state.withLock { state in
            guard let since = state.busySince, since + state.limit < now else { return }
            state.isStuck = true
            for socket in state.sockets { shutdown(socket, CInt(SHUT_RDWR)) }
        }
    }
}
