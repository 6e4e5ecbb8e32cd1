import Busbar
import Logging
import Metrics
import NIOCore
import Synchronization

/// Signs of life, and what the others' come to.
extension NodeExchange {
    /// How often deadlines are looked at.
    private static let tickInterval = Duration.milliseconds(100)

    /// Shows signs of life, serves requests and answers them until cancelled. To be run once.
    func run(serving handler: @escaping Handler) async {
        self.handler.withLock { $0 = handler }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.runTicker() }
            group.addTask { await self.runSigns() }
            await self.runOutbox()
            group.cancelAll()
        }
        self.handler.withLock { $0 = nil }
        self.close()
    }

    /// Says hello as soon as the link is live, and returns when that lies in the log, ten seconds later at the latest.
    ///
    /// Why: a node is asked for a connection that it has only by those that know it.
    func introduce() async {
        self.change { state, after in
            let now = self.now
            guard !state.membership.isIntroduced else { return }
            state.membership.linkIsLive(now: now)
            self.apply(state.membership.tick(now: now, jitter: .random(in: 0...1)), &state, &after)
        }
        _ = await self.introduction.wait(until: self.now + .seconds(10)) {
            self.state.withLock { $0.membership.isIntroduced }
        }
    }

    /// Tells the others that this node ends; nothing is served from here on.
    func leave() {
        self.change { state, after in
            for case .send(let sign) in state.membership.leave() {
                _ = state.outbox.send(NodeRecord.sign(sign).encoded(), to: HubTopics.nodes)
                after.hasMail = true
            }
        }
    }

    /// Whether something waits to be sent.
    var hasMail: Bool { self.state.withLock { !$0.outbox.isEmpty || $0.isSending } }

    private func close() {
        self.introduction.close()
        self.change { state, after in
            self.apply(state.requests.close(), &state, &after)
        }
    }

    private func runTicker() async {
        while !Task.isCancelled {
            self.change { state, after in
                let now = self.now
                self.apply(state.membership.tick(now: now, jitter: .random(in: 0...1)), &state, &after)
                self.apply(state.requests.expire(now: now), &state, &after)
            }
            self.introduction.tick(now: self.now)
            do { try await self.bus.time.clock.sleep(for: Self.tickInterval) } catch { return }
        }
    }

    private func runSigns() async {
        while let sign = await self.signs.next() {
            let succeeded = await self.send(sign)
            self.change { state, _ in
                let now = self.now
                state.membership.signSent(sign, succeeded: succeeded, now: now, jitter: .random(in: 0...1))
            }
        }
    }

    private func send(_ sign: NodeSign) async -> Bool {
        // Why not while the link is away: a sign that only this node hears would make the others seem silent.
        guard self.bus.isLive(for: HubTopics.nodes) else { return false }
        do throws(BusError) {
            try await self.bus.publishUnthrottled(NodeRecord.sign(sign).encoded(), to: HubTopics.nodes)
            return true
        } catch {
            return false
        }
    }

    private func runOutbox() async {
        while await self.mail.next() != nil {
            let records = self.state.withLock { state in
                state.isSending = true
                return state.outbox.take(from: state.membership.own.id)
            }
            for record in records { await self.send(record.bytes, to: record.topic) }
            self.state.withLock { $0.isSending = false }
        }
    }

    /// Sends until it succeeds, is refused for good, or the task is cancelled.
    private func send(_ record: ByteBuffer, to topic: Topic) async {
        while !Task.isCancelled {
            do throws(BusError) {
                return try await self.bus.publishUnthrottled(record, to: topic)
            } catch {
                guard error.isWorthRetrying || error.code == .outcomeUnknown else {
                    return self.logger.debug("an answer to a node is lost", metadata: ["error": "\(error)"])
                }
            }
            do { try await self.bus.time.clock.sleep(for: Self.tickInterval) } catch { return }
        }
    }

    func report(_ notice: Membership.Effect) {
        switch notice {
        case .joined(let member):
            self.logger.info("a node has joined", metadata: ["node": "\(member.name)", "id": "\(member.id)"])
        case .departed(let member, let why):
            let level: Logger.Level = why == .silent ? .warning : .info
            self.logger.log(
                level: level, "a node is gone",
                metadata: ["node": "\(member.name)", "id": "\(member.id)", "why": "\(why.rawValue)"])
            self.metrics.departed(why)
        case .unsettled:
            self.logger.warning("this node has slept, and others may have given it up")
        case .settled:
            self.logger.info("all nodes are known", metadata: ["nodes": "\(self.members.count)"])
        case .send: return
        }
        self.metrics.alive.record(self.members.count)
    }
}
