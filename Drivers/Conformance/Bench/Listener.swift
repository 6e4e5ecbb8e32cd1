import Busbar
import BusbarDriver
import NIOCore
import Synchronization

/// A subscription and what came of it. One task listens at a time.
final class Listener: Sendable {
    /// A message's text, or a gap in its place.
    enum Event: Hashable {
        case message(String)
        case gap(Gap)
    }

    struct State {
        fileprivate(set) var events: [Event] = []
        fileprivate(set) var lastText: String?
        fileprivate(set) var textCount = 0
        fileprivate(set) var gaps: [Gap] = []
        fileprivate(set) var cursor: Cursor
    }

    let subscription: Subscription
    private let bus: Bus
    private let bench: Bench
    private let state: Mutex<State>

    init(subscription: Subscription, bus: Bus, bench: Bench) {
        self.subscription = subscription
        self.bus = bus
        self.bench = bench
        self.state = Mutex(State(cursor: subscription.cursor))
    }

    var events: [Event] { self.state.withLock { $0.events } }
    var texts: [String] { self.events.compactMap { if case .message(let text) = $0 { text } else { nil } } }
    var gaps: [Gap] { self.state.withLock { $0.gaps } }
    var cursor: Cursor { self.state.withLock { $0.cursor } }

    /// Takes what comes until `isEnough`.
    func listen(for what: String, until isEnough: @Sendable (State) -> Bool) async throws {
        let iterator = self.subscription.makeAsyncIterator()
        while !self.state.withLock({ isEnough($0) }) {
            self.bench.doing("waiting for \(what)")
            guard let delivery = try await iterator.next() else {
                try Task.checkCancellation()
                throw LawBroken(seen: "the subscription ended while \(what) was to come")
            }
            let cursor = self.bus.cursor(at: delivery.frontier)
            self.state.withLock { state in
                for gap in delivery.gaps {
                    state.gaps.append(gap)
                    state.events.append(.gap(gap))
                }
                for message in delivery.messages {
                    let text = String(buffer: message.payload)
                    state.lastText = text
                    state.textCount += 1
                    state.events.append(.message(text))
                }
                state.cursor = cursor
            }
        }
    }

    /// Takes what comes until `text` has come; nothing may have been reported lost.
    @discardableResult
    func hear(upTo text: String) async throws -> [String] {
        try await self.listen(for: "\"\(text.prefix(40))\"") { $0.lastText == text || !$0.gaps.isEmpty }
        if let gap = self.gaps.first { throw LawBroken(seen: "in calm, a subscriber was told of a \(gap)") }
        return self.texts
    }
}
