import BusbarDriver
import DequeModule
import Synchronization

/// Says to one inbox what happened, in order and one event at a time, whoever made it happen.
///
/// Put under the broker's lock, so that the order is the log's; speak outside of it. Whoever finds nobody speaking speaks for all.
final class Mouth: Sendable {
    fileprivate struct State {
        var events: Deque<DriverEvent> = []
        var isSpeaking = false
    }

    private let inbox: any Inbox
    private let state = Mutex(State())

    init(inbox: any Inbox) {
        self.inbox = inbox
    }

    func put(_ event: DriverEvent) {
        self.state.withLock { $0.events.append(event) }
    }

    func speak() {
        guard self.state.withLock({ $0.begin() }) else { return }
        while let event = self.state.withLock({ $0.next() }) {
            self.inbox.receive(event)
        }
    }
}

extension Mouth.State {
    fileprivate mutating func begin() -> Bool {
        guard !self.isSpeaking else { return false }
        self.isSpeaking = true
        return true
    }

    fileprivate mutating func next() -> DriverEvent? {
        guard let event = self.events.popFirst() else {
            self.isSpeaking = false
            return nil
        }
        return event
    }
}
