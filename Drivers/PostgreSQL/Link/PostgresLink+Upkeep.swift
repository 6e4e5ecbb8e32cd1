import BusbarDriver
import NIOCore

/// What one node does for all of its app: retention, and moving messages out of the outbox. Which one is decided by a lease in the
/// database. Two that think it is their turn do no harm: the database lets only one of them move a message.
extension PostgresLink {
    struct Upkeep {
        var isKeeper = false
        var isAsking = false
        var nextKeepAt: Instant?
        var isMoving = false
        var nextMoveAt: Instant?

        func wakeUp(movesOutbox: Bool) -> Instant? {
            let keep = self.isAsking ? nil : self.nextKeepAt
            let move = movesOutbox && self.isKeeper && !self.isMoving ? self.nextMoveAt : nil
            return [keep, move].compactMap(\.self).min()
        }
    }

    /// A keeper that has been silent for so long is replaced.
    private static let lease = Duration.seconds(5)
    private static let keepInterval = Duration.seconds(1)
    /// What is taken out of the outbox at once, and the size of the records it is packed into.
    private static let outboxPageBytes = 1 << 20
    private static let outboxRecordBytes = 256 << 10

    func doUpkeep(at now: Instant) {
        if !self.attempt.upkeep.isAsking, self.attempt.upkeep.nextKeepAt ?? now <= now { self.keep(at: now) }
        guard let packer = self.packer, self.attempt.upkeep.isKeeper, !self.attempt.upkeep.isMoving,
            self.attempt.upkeep.nextMoveAt ?? now <= now
        else { return }
        self.moveOutbox(packer)
    }

    private func keep(at now: Instant) {
        self.attempt.upkeep.isAsking = true
        self.attempt.upkeep.nextKeepAt = now + Self.keepInterval
        let number = self.attempt.number
        let configuration = self.configuration
        self.call(during: "run") { calls, app in
            calls.keep(
                app: app, node: self.node, lease: Self.lease, retainedBytes: configuration.retainedBytes,
                retainedAge: configuration.retainedAge)
        } completion: { answer in
            guard number == self.attempt.number else { return }
            self.attempt.upkeep.isAsking = false
            // Why a failure is let pass: the next look is a second away, and what ends links has ended this one.
            let isKeeper = (try? answer.get().boolean(0, 0)) ?? false
            if isKeeper, !self.attempt.upkeep.isKeeper { self.attempt.upkeep.nextMoveAt = .now }
            self.attempt.upkeep.isKeeper = isKeeper
        }
    }

    // MARK: Outbox

    private func moveOutbox(_ packer: any OutboxPacker) {
        self.attempt.upkeep.isMoving = true
        let number = self.attempt.number
        self.call(during: "run") { calls, _ in
            calls.readOutbox(of: self.configuration.app, limitBytes: Self.outboxPageBytes)
        } completion: { answer in
            guard number == self.attempt.number else { return }
            switch answer {
            case .success(let rows): self.move(Self.entries(rows), packer)
            case .failure: self.moved(everything: false)
            }
        }
    }

    private func move(_ entries: [OutboxPlan.Entry], _ packer: any OutboxPacker) {
        let limit = min(Self.outboxRecordBytes, self.configuration.largestRecordBytes)
        let plan = OutboxPlan(entries, packer: packer, limitBytes: limit) { stream in
            self.outboxSequences[stream, default: 0] += 1
            return RecordKey(node: self.node, incarnation: 1, sequence: self.outboxSequences[stream, default: 0])
        }
        guard !plan.moves.isEmpty else { return self.moved(everything: false) }
        let number = self.attempt.number
        var (awaited, allMoved) = (plan.moves.count, true)
        for move in plan.moves {
            let seen = self.seen[move.stream]
            let highWater = seen.map { Position(stream: move.stream, epoch: $0.epoch, offset: $0.offset) }
            self.call(during: "run") { calls, app in
                calls.moveOutbox(
                    move.ids, as: Batch(records: move.records, highWater: highWater), to: move.stream, app: app)
            } completion: { answer in
                guard number == self.attempt.number else { return }
                // Why a failure is let pass: nothing of it was done, or all; the next look at the outbox tells which.
                switch answer {
                case .success(let rows): self.appended(to: move.stream, LogCalls.bell(rows))
                case .failure: allMoved = false
                }
                awaited -= 1
                if awaited == 0 { self.moved(everything: allMoved) }
            }
        }
    }

    /// - Parameter everything: something was moved and nothing failed, so there may be more at once.
    private func moved(everything: Bool) {
        self.attempt.upkeep.isMoving = false
        self.attempt.upkeep.nextMoveAt = everything ? .now : .now + self.configuration.outboxInterval
    }

    private static func entries(_ rows: Rows) -> [OutboxPlan.Entry] {
        (0..<rows.count).compactMap { row in
            guard let id = rows.integer(row, 0), let topic = rows.text(row, 1), let payload = rows.bytes(row, 2) else {
                return nil
            }
            return OutboxPlan.Entry(id: id, message: OutboxMessage(topic: topic, payload: payload))
        }
    }
}
