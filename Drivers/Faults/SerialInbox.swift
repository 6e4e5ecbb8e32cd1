import BusbarDriver
import NIOCore
import Synchronization

/// Hands events to an inbox in order and one at a time, whoever causes them: for drivers whose events come from several tasks.
///
/// Put under the lock that decides the order; speak outside of it. Whoever finds nobody speaking speaks for all.
final class SerialInbox: Sendable {
    private struct State {
        var events = CircularBuffer<DriverEvent>()
        var isSpeaking = false
    }

    private let inbox: any Inbox
    private let state = Mutex(State())

    init(_ inbox: any Inbox) {
        self.inbox = inbox
    }

    func put(_ event: DriverEvent) {
        self.state.withLock { $0.events.append(event) }
    }

    func speak() {
        let isFirst = self.state.withLock { state in
            defer { state.isSpeaking = true }
            return !state.isSpeaking
        }
        guard isFirst else { return }
        while let event = self.next() { self.inbox.receive(event) }
    }

    private func next() -> DriverEvent? {
        self.state.withLock { state in
            if let event = state.events.popFirst() { return event }
            state.isSpeaking = false
            return nil
        }
    }
}
