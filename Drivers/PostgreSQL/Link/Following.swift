package import BusbarDriver

/// Turns bells into records: delivers at once what a bell brings and what continues the last delivery, and has the log read for
/// everything else. So what it delivers has no holes, as long as the log has none.
///
/// A value without I/O. It holds no records: what can't be delivered at once is in the log.
package struct Following {
    package enum Effect: Hashable {
        case deliver(StreamID, Epoch, [StoredRecord], SeenMark)
        case read(StreamID, after: Offset)
    }

    fileprivate struct State {
        var epoch: Epoch
        var delivered: Offset
        /// A page is under way, or the link isn't live yet.
        var isWaiting: Bool
        /// The furthest that was heard of meanwhile.
        var wanted: (epoch: Epoch, offset: Offset)?
    }

    private var states: [StreamID: State] = [:]

    package init() {}

    /// What a stream holds: taken after the subscription was confirmed. Bells are remembered from here on.
    package mutating func attached(_ stream: StreamID, _ extent: StreamExtent) {
        self.states[stream] = State(epoch: extent.epoch, delivered: extent.newest, isWaiting: true)
    }

    package mutating func wentLive() -> [Effect] {
        var effects: [Effect] = []
        for stream in self.states.keys.sorted() {
            self.update(stream) { state in
                state.isWaiting = false
                return state.wantsMore ? Self.readOn(stream, &state) : nil
            }.map { effects.append($0) }
        }
        return effects
    }

    package mutating func rang(_ bell: Doorbell) -> Effect? {
        self.update(bell.stream) { state in
            guard state.isBehind(bell.last.epoch, bell.last.offset) else { return nil }
            if state.isWaiting {
                state.wanted = (bell.last.epoch, bell.last.offset)
                return nil
            }
            state.enter(bell.last.epoch)
            let next = state.delivered.rawValue + 1
            guard let records = bell.records, bell.first.rawValue <= next else {
                return Self.readOn(bell.stream, &state)
            }
            state.delivered = bell.last.offset
            // Why: a page may have brought the first of them already.
            let fresh = Array(records.dropFirst(Int(clamping: next - bell.first.rawValue)))
            return .deliver(bell.stream, state.epoch, fresh, bell.last)
        }
    }

    /// What the store says of itself: a bell that was lost shows here.
    /// - Returns: an effect, or nil; and whether the stream has gone back to something older than what was delivered.
    package mutating func found(
        _ stream: StreamID, epoch: Epoch, newest: Offset
    ) -> (effect: Effect?, hasGoneBack: Bool) {
        var hasGoneBack = false
        let effect = self.update(stream) { state in
            hasGoneBack = epoch.rawValue < state.epoch.rawValue
            guard state.isBehind(epoch, newest) else { return nil }
            if state.isWaiting {
                state.wanted = (epoch, newest)
                return nil
            }
            state.enter(epoch)
            return newest == .beginning ? nil : Self.readOn(stream, &state)
        }
        return (effect, hasGoneBack)
    }

    package var streams: Set<StreamID> { Set(self.states.keys) }

    package mutating func pageArrived(_ stream: StreamID, _ read: LogPage, after: Offset) -> [Effect] {
        guard var state = self.states[stream] else { return [] }
        defer { self.states[stream] = state }
        state.isWaiting = false
        let page = read.page
        guard page.epoch == state.epoch else {
            let isNewer = page.epoch.rawValue > state.epoch.rawValue
            if isNewer { state.enter(page.epoch) }
            // Why not what the page holds: it begins after a place of another life.
            return isNewer && page.newest > .beginning ? [Self.readOn(stream, &state)] : []
        }
        guard let last = read.last else {
            // Whatever was to be read is no longer retained; the bus sees the jump.
            state.delivered = max(state.delivered, page.newest)
            return state.wantsMore ? [Self.readOn(stream, &state)] : []
        }
        state.delivered = last.offset
        var effects = [Effect.deliver(stream, page.epoch, page.records, last)]
        if state.wantsMore || page.newest > last.offset { effects.append(Self.readOn(stream, &state)) }
        return effects
    }

    private static func readOn(_ stream: StreamID, _ state: inout State) -> Effect {
        state.isWaiting = true
        state.wanted = nil
        return .read(stream, after: state.delivered)
    }

    private mutating func update(_ stream: StreamID, _ change: (inout State) -> Effect?) -> Effect? {
        guard var state = self.states[stream] else { return nil }
        defer { self.states[stream] = state }
        return change(&state)
    }
}

extension Following.State {
    fileprivate func isBehind(_ epoch: Epoch, _ offset: Offset) -> Bool {
        (self.epoch.rawValue, self.delivered) < (epoch.rawValue, offset)
    }

    fileprivate var wantsMore: Bool {
        self.wanted.map { self.isBehind($0.epoch, $0.offset) } ?? false
    }

    /// A new life begins with nothing delivered.
    fileprivate mutating func enter(_ epoch: Epoch) {
        guard epoch != self.epoch else { return }
        self.epoch = epoch
        self.delivered = .beginning
    }
}
