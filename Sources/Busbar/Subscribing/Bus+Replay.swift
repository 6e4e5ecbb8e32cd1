import BusbarDriver

extension Bus {
    /// Everything published to topics that `isWanted` accepts, after `cursor` up to and including `frontier`.
    ///
    /// Takes about `limitBytes` of messages at most, but at least one if there is any. The delivery's frontier says where it
    /// stopped: equal to `frontier` when that is all, before it when the limit ended it (go on from there), behind it when the
    /// cursor has seen more than this node has delivered. What can't be replayed is a gap. A gap stands before the messages
    /// even when some of them came before it.
    /// - Throws: ``BusError/Code/brokerAway`` when the log must be read and can't be.
    package func replay(
        from cursor: Cursor, upTo frontier: Frontier, limitBytes: Int, isWanted: @Sendable (Message) -> Bool
    ) async throws(BusError) -> Delivery {
        var gaps: [Gap] = []
        var messages: [Message] = []
        var ends: [Position] = []
        var budget = limitBytes
        for end in frontier.positions {
            let start: Position
            switch self.start(self.read(cursor), in: end.stream) {
            case .success(let position): start = position
            case .failure(let reason):
                gaps.append(Gap(stream: end.stream, reason: reason.reason, after: nil, upTo: end))
                ends.append(end)
                continue
            }
            var replay = StreamReplay(bus: self, start: start, end: end, limitBytes: budget)
            try await replay.run(isWanted: isWanted)
            budget = max(0, budget - replay.bytes)
            gaps.append(contentsOf: replay.gaps)
            messages.append(contentsOf: replay.messages)
            ends.append(replay.position)
        }
        return Delivery(gaps: gaps, messages: messages, frontier: Frontier(positions: ends))
    }

    private struct Unusable: Error {
        let reason: Gap.Reason
    }

    private func start(_ reading: CursorCodec.Reading, in stream: StreamID) -> Result<Position, Unusable> {
        switch reading {
        case .foreign: return .failure(Unusable(reason: .foreignCursor))
        case .otherStreamCount: return .failure(Unusable(reason: .streamsChanged))
        case .positions(let positions):
            guard let position = positions.first(where: { $0.stream == stream }) else {
                return .failure(Unusable(reason: .notInCursor))
            }
            return .success(position)
        }
    }
}

/// One stream's part of a replay.
private struct StreamReplay {
    let bus: Bus
    let end: Position
    let limitBytes: Int
    var position: Position
    var gaps: [Gap] = []
    var messages: [Message] = []
    var bytes = 0
    private var catchUp: CatchUp

    init(bus: Bus, start: Position, end: Position, limitBytes: Int) {
        self.bus = bus
        self.end = end
        self.limitBytes = limitBytes
        self.position = start
        self.catchUp = CatchUp(
            index: Int(end.stream.index), position: start, topics: [], guarantees: bus.driver.guarantees
        )
    }

    mutating func run(isWanted: @Sendable (Message) -> Bool) async throws(BusError) {
        guard self.position.epoch == self.end.epoch else { return self.giveUp(.newEpoch) }
        while self.position.offset < self.end.offset, self.messages.isEmpty || self.bytes < self.limitBytes {
            let stream = self.bus.streams[self.catchUp.index]
            switch stream.withCore({ $0.standing(of: self.position) }) {
            case .otherEpoch: return self.giveUp(.newEpoch)
            case .ahead: return self.giveUp(.futureCursor)
            case .inWindow:
                let page = stream.withCore {
                    $0.windowPage(
                        after: self.position, upTo: self.end.offset, limitBytes: self.limitBytes - self.bytes
                    ) { message, _ in isWanted(message) }
                }
                // Why: a gap may have restarted the window between the two looks; then nothing moved, and the log is asked.
                if page.end.offset > self.position.offset {
                    self.take(page.messages, upTo: page.end)
                } else {
                    try await self.readLog(isWanted: isWanted)
                }
            case .inLog:
                guard self.bus.driver.guarantees.replays else { return self.giveUp(.noReplay) }
                try await self.readLog(isWanted: isWanted)
            }
        }
        let isAhead = self.bus.streams[self.catchUp.index].withCore { $0.standing(of: self.position) } == .ahead
        if isAhead, await self.bus.existence(of: self.position) != .exists { self.giveUp(.futureCursor) }
    }

    private mutating func readLog(isWanted: @Sendable (Message) -> Bool) async throws(BusError) {
        let page: Page
        do throws(DriverError) {
            page = try await self.bus.driver.read(
                self.end.stream, after: self.catchUp.nextRead, limitBytes: self.bus.configuration.pageBytes
            )
        } catch {
            throw BusError(.brokerAway, "the log can't be read: \(error.detail)")
        }
        let last = self.end.offset
        let recollection = self.bus.streams[self.catchUp.index].withCore { $0.recollection }
        let step = self.catchUp.pageRead(page, recollection) { $1 <= last && isWanted($0) }
        guard !step.isLost else { return self.giveUp(.newEpoch) }
        self.gaps.append(contentsOf: step.gaps)
        let reached = self.catchUp.position
        self.take(step.messages, upTo: reached.offset > last ? self.end : reached)
    }

    private mutating func take(_ messages: [Message], upTo position: Position) {
        self.messages.append(contentsOf: messages)
        self.bytes += messages.reduce(0) { $0 + $1.cost }
        self.position = position
        if position.offset > self.catchUp.position.offset { self.catchUp.move(to: position) }
    }

    private mutating func giveUp(_ reason: Gap.Reason) {
        self.gaps.append(Gap(stream: self.end.stream, reason: reason, after: self.position, upTo: self.end))
        self.position = self.end
    }
}
