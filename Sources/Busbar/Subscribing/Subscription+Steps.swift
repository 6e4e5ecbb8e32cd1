import BusbarDriver
import Synchronization

extension Subscription {
    /// What a turn of the subscription came to.
    private enum Turn {
        case delivery(Delivery)
        /// Nothing to deliver yet, but something moved: look again.
        case again
        case readLog(index: Int, after: Offset)
        case wait
        case over
    }

    private enum Step {
        case lost
        case log
        case window(messages: [Message], end: Position, isLive: Bool)
    }

    /// Pause after a read of the log that failed.
    private static let readPause = Duration.milliseconds(200)

    func next() async throws(BusError) -> Delivery? {
        while !Task.isCancelled {
            switch self.turn() {
            case .delivery(let delivery): return delivery
            case .again: continue
            case .readLog(let index, let after):
                if let delivery = await self.readLog(index: index, after: after) { return delivery }
            case .wait: await self.subscriber.waitUntilFilled()
            case .over:
                guard self.subscriber.isDisconnected else { return nil }
                self.cancel()
                throw BusError(.subscriberTooSlow, "the queue was full; resume from the last cursor")
            }
        }
        return nil
    }

    /// Starts listening: from now, or from what a cursor said.
    func begin(_ topics: [Topic], from reading: CursorCodec.Reading?) async {
        for (index, topics) in self.byStream(topics) {
            self.state.withLock { $0.topics[index, default: []].formUnion(topics) }
            let stream = self.bus.streams[index]
            switch reading {
            case nil: stream.withCore { $0.add(self.subscriber, to: topics) }
            case .foreign: self.beginNow(index, topics, .foreignCursor, after: nil)
            case .otherStreamCount: self.beginNow(index, topics, .streamsChanged, after: nil)
            case .positions(let positions):
                if let position = positions.first(where: { $0.stream == stream.id }) {
                    await self.begin(index, topics, at: position)
                } else {
                    self.beginNow(index, topics, .notInCursor, after: nil)
                }
            }
        }
    }

    func byStream(_ topics: some Sequence<Topic>) -> [Int: Set<Topic>] {
        topics.reduce(into: [:]) { $0[$1.streamIndex(of: self.bus.streams.count), default: []].insert($1) }
    }

    private func begin(_ index: Int, _ topics: Set<Topic>, at position: Position) async {
        let stream = self.bus.streams[index]
        if stream.withCore({ $0.standing(of: position) }) == .otherEpoch {
            // Why: perhaps it is this node that has not noticed the new epoch yet. Delivering the rest of the former one to somebody
            // who has seen beyond it would repeat.
            await stream.check()
        }
        switch stream.withCore({ $0.standing(of: position) }) {
        case .otherEpoch: self.beginNow(index, topics, .newEpoch, after: position)
        case .inLog where !self.bus.driver.guarantees.replays:
            self.beginNow(index, topics, .noReplay, after: position)
        case .inWindow, .inLog: self.catchUp(index, topics, from: position)
        case .ahead:
            switch await self.bus.existence(of: position) {
            case .exists: break
            case .isNotThere, .unknown: return self.beginNow(index, topics, .futureCursor, after: position)
            case .otherEpoch:
                // Why: as above. The rest of the former epoch is not for somebody who has seen beyond it.
                await stream.check()
                return self.beginNow(index, topics, .newEpoch, after: position)
            }
            // Why: this node lags behind the one that made the cursor; what it delivers up to there was seen.
            let isStillAhead = stream.withCore { core in
                guard core.standing(of: position) == .ahead else { return false }
                core.add(self.subscriber, to: topics, from: position)
                self.subscriber.follow(ahead: position)
                return true
            }
            if !isStillAhead { self.catchUp(index, topics, from: position) }
        }
    }

    private func catchUp(_ index: Int, _ topics: Set<Topic>, from position: Position) {
        self.subscriber.follow(position)
        let catchUp = CatchUp(
            index: index, position: position, topics: topics, guarantees: self.bus.driver.guarantees
        )
        self.state.withLock { $0.catchingUp.append(catchUp) }
    }

    /// From now on, and the gap that says so.
    private func beginNow(_ index: Int, _ topics: Set<Topic>, _ reason: Gap.Reason, after: Position?) {
        self.bus.streams[index].withCore { $0.add(self.subscriber, to: topics, missing: reason, since: after) }
    }

    /// The heads of the streams that are live for this subscription.
    private func heads(_ state: borrowing State) -> [StreamHead] {
        if state.catchingUp.isEmpty { return self.bus.heads() }
        let busy = Set(state.catchingUp.map(\.index))
        return self.bus.heads().filter { !busy.contains(Int($0.position.stream.index)) }
    }

    package var frontier: Frontier {
        let heads = self.state.withLock { self.heads($0) }
        return self.subscriber.frontier(heads: heads)
    }

    private func turn() -> Turn {
        self.state.withLock { state in
            if state.isOver || self.subscriber.isOver { return .over }
            state.isCatchUpsTurn.toggle()
            if state.isCatchUpsTurn || state.catchingUp.isEmpty {
                let heads = self.heads(state)
                if let delivery = self.subscriber.take(limitBytes: self.deliveryBytes, heads: heads) {
                    return .delivery(delivery)
                }
            }
            guard !state.catchingUp.isEmpty else { return .wait }
            return self.catchUpTurn(&state)
        }
    }

    /// One step of the first stream that is catching up: from the window if it reaches back, else from the log.
    private func catchUpTurn(_ state: inout State) -> Turn {
        var catchUp = state.catchingUp.removeFirst()
        let (index, position) = (catchUp.index, catchUp.position)
        let step = self.bus.streams[index].withCore { self.step(of: catchUp, in: &$0) }
        switch step {
        case .lost:
            self.beginNow(index, Set(catchUp.topics), .newEpoch, after: position)
            return .again
        case .log:
            state.catchingUp.append(catchUp)
            return .readLog(index: index, after: catchUp.nextRead)
        case .window(let messages, let end, let isLive):
            self.subscriber.follow(end)
            catchUp.move(to: end)
            if !isLive { state.catchingUp.append(catchUp) }
            guard !messages.isEmpty else { return .again }
            return .delivery(Delivery(gaps: [], messages: messages, frontier: self.subscriber.standing))
        }
    }

    /// Under the stream's lock, so that nothing falls between the window's end and the first live message.
    private func step(of catchUp: CatchUp, in core: inout StreamCore) -> Step {
        switch core.standing(of: catchUp.position) {
        case .otherEpoch: return .lost
        case .inLog: return .log
        case .ahead:
            // Why: the log has brought it further than this node's delivery is. What comes up to there was seen.
            core.add(self.subscriber, to: catchUp.topics, from: catchUp.position)
            self.subscriber.follow(ahead: catchUp.position)
            return .window(messages: [], end: catchUp.position, isLive: true)
        case .inWindow:
            let page = core.windowPage(after: catchUp.position, limitBytes: self.deliveryBytes) { message, offset in
                catchUp.isWanted(message, at: offset)
            }
            let isLive = page.end == core.head?.position
            if isLive { core.add(self.subscriber, to: catchUp.topics, from: page.end) }
            return .window(messages: page.messages, end: page.end, isLive: isLive)
        }
    }

    private func readLog(index: Int, after: Offset) async -> Delivery? {
        do throws(DriverError) {
            let stream = self.bus.streams[index].id
            let page = try await self.bus.driver.read(
                stream, after: after,
                limitBytes: Swift.max(1, Swift.min(self.bus.configuration.pageBytes, self.deliveryBytes))
            )
            return self.logRead(page, index: index)
        } catch {
            // Why: cancellation is noticed by the caller's loop; the broker's return by the next attempt.
            try? await self.bus.time.clock.sleep(for: Self.readPause)
            return nil
        }
    }

    private func logRead(_ page: Page, index: Int) -> Delivery? {
        self.state.withLock { state in
            guard let place = state.catchingUp.firstIndex(where: { $0.index == index }) else { return nil }
            var catchUp = state.catchingUp[place]
            let filter = catchUp
            let recollection = self.bus.streams[index].withCore { $0.recollection }
            let step = catchUp.pageRead(page, recollection) { filter.isWanted($0, at: $1) }
            if step.isLost {
                state.catchingUp.remove(at: place)
                self.beginNow(index, Set(catchUp.topics), .newEpoch, after: catchUp.position)
                return nil
            }
            state.catchingUp[place] = catchUp
            self.subscriber.follow(catchUp.position)
            guard !step.gaps.isEmpty || !step.messages.isEmpty else { return nil }
            return Delivery(gaps: step.gaps, messages: step.messages, frontier: self.subscriber.standing)
        }
    }
}
