import Metrics
import NIOCore
import NIOPosix
import Synchronization

/// The roster of each event loop.
final class Rosters: Sendable {
    private let boxes: [ObjectIdentifier: NIOLoopBoundBox<Roster>]

    init(_ eventLoops: MultiThreadedEventLoopGroup, counter: Counter) {
        var boxes: [ObjectIdentifier: NIOLoopBoundBox<Roster>] = [:]
        for eventLoop in eventLoops.makeIterator() {
            boxes[ObjectIdentifier(eventLoop)] = .makeBoxSendingValue(
                Roster(outboundCounter: counter), eventLoop: eventLoop)
        }
        self.boxes = boxes
    }

    /// The roster of the event loop that calls this.
    func roster(of eventLoop: any EventLoop) -> Roster {
        guard let box = self.boxes[ObjectIdentifier(eventLoop)] else {
            // Why a trap: the server binds its channels to its own group, and no peer can choose another.
            preconditionFailure("the channel's event loop is not of the server's group")
        }
        return box.value
    }

    func start(clock: WallClock) {
        self.forEach { $0.start(on: $1, secondsSince1970: clock.seconds) }
    }

    func windUp() {
        self.forEach { roster, _ in roster.windUp() }
    }

    func abandonAll() {
        self.forEach { roster, _ in roster.abandonAll() }
    }

    func stop() {
        self.forEach { roster, _ in roster.stop() }
    }

    func count() async -> Int {
        let count = Mutex(0)
        for box in self.boxes.values {
            try? await box.eventLoop.submit {
                count.withLock { $0 += box.value.count }
            }.get()
        }
        return count.withLock { $0 }
    }

    private func forEach(_ body: @escaping @Sendable (Roster, any EventLoop) -> Void) {
        for box in self.boxes.values {
            box.eventLoop.execute { body(box.value, box.eventLoop) }
        }
    }
}
