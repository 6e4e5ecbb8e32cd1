import Busbar
import BusbarProtocol
import Logging
import Metrics
import NIOCore

/// What a classic client missed: replayed page by page while what is new is held back, so that nothing is out of order.
struct ClassicCatchUp {
    /// Where the client stands, after all pages that were sent.
    var cursor: Cursor
    /// The groups it was in there.
    var groups: Set<HubGroup>
    /// Whether this node is told of its groups by the replay.
    let learnsGroups: Bool
    /// Groups that have changed live since the connection came back; the replay says nothing newer about them.
    var liveChanges: Set<HubGroup> = []
    var phase = Phase.idle

    enum Phase {
        /// The next page waits for the client to read what it has been sent.
        case idle
        /// A page is being read. What arrives meanwhile is held, unless it is too much: then it is only counted, and
        /// read with a later page.
        case reading(upTo: Frontier, held: [ByteBuffer], heldBytes: Int)
    }
}

extension ClassicSession {
    func beginCatchUp() {
        guard let channel = self.channel else { return }
        // Why: most polls come back to where the last one ended, and nothing needs to be looked for.
        guard let text = channel.opening.cursor, text != self.loop.cursor else {
            return self.goLive()
        }
        self.catchUp = ClassicCatchUp(
            cursor: Cursor(text: text), groups: self.groupsAtCursor, learnsGroups: !self.state.knowsGroups)
        self.readPage()
    }

    /// The groups the client says it was in; while this node doesn't know its groups, those that it was let into again.
    private var groupsAtCursor: Set<HubGroup> {
        guard self.state.knowsGroups else { return self.state.groups }
        let token = self.runtime.services.groupsToken.open(self.channel?.opening.groupsToken, connectionID: self.id)
        let hubs = Set(self.state.hubs.map(\.name))
        return token.filter { hubs.contains($0.hub) }
    }

    /// From the next batch on the client hears what is published.
    private func goLive() {
        self.state.knowsGroups = true
        self.recipient?.isListening = true
        if self.state.isTokenDue { self.sendEnvelope(cursor: self.loop.cursor) }
    }

    func catchUpIfDrained() {
        guard let catchUp = self.catchUp, case .idle = catchUp.phase, let outlet = self.channel?.outlet else { return }
        if outlet.queuedBytes <= self.runtime.configuration.outboundLimitBytes / 2 { self.readPage() }
    }

    /// Asks the bus for the next page, up to where the loop is now, and holds what comes after that.
    private func readPage() {
        guard let catchUp = self.catchUp, let channel = self.channel?.number else { return }
        let upTo = self.loop.frontier
        self.catchUp?.phase = .reading(upTo: upTo, held: [], heldBytes: 0)
        self.recipient?.isListening = true
        self.recipient?.takesBundles = true
        let filter = ReplayFilterBox(
            ReplayFilter(
                connectionID: self.id, userID: self.state.context.userID, hubs: Set(self.state.listeningNames),
                before: catchUp.groups, now: self.state.groups))
        let bus = self.runtime.services.bus, route = self.route, cursor = catchUp.cursor
        // Why half: with what still waits for the client it must not look like a slow consumer.
        let configuration = self.runtime.configuration
        let limitBytes = min(configuration.replayLimitBytes, configuration.outboundLimitBytes / 2)
        let body: @Sendable () async -> Void = {
            do throws(BusError) {
                let page = try await bus.replay(from: cursor, upTo: upTo, limitBytes: limitBytes) { message in
                    filter.isWanted(message)
                }
                route.perform { $0.pageRead(page, channel: channel) }
            } catch {
                route.perform { $0.pageFailed(error, channel: channel) }
            }
        }
        self.runtime.services.mailbox.submit(Work(context: self.state.context, body: body))
    }

    private func pageFailed(_ error: BusError, channel: ClassicLifecycle.Channel) {
        guard self.channel?.number == channel, self.catchUp != nil else { return }
        self.runtime.services.logger.warning(
            "a client can't be sent what it missed yet", metadata: ["connection": "\(self.id)", "error": "\(error)"])
        self.endChannel(.normal)
    }

    private func pageRead(_ page: Delivery, channel: ClassicLifecycle.Channel) {
        guard self.channel?.number == channel, var catchUp = self.catchUp,
            case .reading(let upTo, let held, let heldBytes) = catchUp.phase
        else { return }
        self.report(page.gaps)
        let records = page.messages.compactMap { try? HubRecord(decoding: $0.payload) }
        let (messages, groups) = ReplayFilter.resolve(records, before: catchUp.groups, now: self.state.groups)
        if !messages.isEmpty { self.runtime.services.metrics.delivered.increment(by: messages.count) }
        let isNewHere = self.learn(groups, from: records, catchUp)
        if page.frontier == upTo && !isNewHere && self.hasRoom(forHeld: heldBytes) {
            self.catchUp = nil
            self.state.knowsGroups = true
            let elements = Self.elements(messages) + held
            if !elements.isEmpty || self.state.isTokenDue {
                self.sendEnvelope(elements, cursor: self.loop.cursor)
            } else {
                self.recipient?.takesBundles = self.takesBundles
            }
            return
        }
        // Why: what was held is read again with the next page, together with what belongs between.
        let cursor = self.runtime.services.bus.cursor(at: page.frontier)
        catchUp.cursor = cursor
        catchUp.groups = groups
        catchUp.phase = .idle
        self.catchUp = catchUp
        self.recipient?.isListening = false
        if !messages.isEmpty { self.sendEnvelope(Self.elements(messages), cursor: cursor.text) }
        if !messages.isEmpty || isNewHere || page.frontier == upTo { return self.catchUpIfDrained() }
        // Why not at once when there was nothing: the client has seen more than this node has yet.
        self.loop.whenReached(page.frontier, by: self.now + .seconds(1)) { [weak self] in self?.catchUpIfDrained() }
    }

    /// Takes over groups that the replay told of; true if the loop didn't know of one of them, so that what was held
    /// is not all.
    private func learn(_ groups: Set<HubGroup>, from records: [HubRecord], _ catchUp: ClassicCatchUp) -> Bool {
        guard catchUp.learnsGroups, let recipient = self.recipient else { return false }
        var isNew = false
        for case .groupCommand(let change, _) in records {
            let group = HubGroup(hub: change.hub, name: change.group)
            if catchUp.liveChanges.contains(group) { continue }
            if groups.contains(group) {
                guard self.state.groups.insert(group).inserted else { continue }
                self.loop.restore(recipient, to: group)
                isNew = true
            } else if self.state.groups.remove(group) != nil {
                self.loop.withdraw(recipient, from: group)
                isNew = true
            }
        }
        if isNew { self.state.isTokenDue = true }
        return isNew
    }

    /// Keeps what a batch brings until the page before it has been sent.
    func hold(_ elements: [ByteBuffer]) {
        guard case .reading(let upTo, var held, var heldBytes) = self.catchUp?.phase else { return }
        self.catchUp?.phase = .idle
        heldBytes += elements.reduce(0) { $0 + $1.readableBytes }
        if heldBytes <= self.runtime.configuration.replayLimitBytes {
            held.append(contentsOf: elements)
        } else {
            held = []
        }
        self.catchUp?.phase = .reading(upTo: upTo, held: held, heldBytes: heldBytes)
    }

    /// Whether what was held can be sent behind the page that was read. If not it is read again with the next one.
    private func hasRoom(forHeld heldBytes: Int) -> Bool {
        guard heldBytes > 0, let outlet = self.channel?.outlet else { return true }
        let configuration = self.runtime.configuration
        return heldBytes <= configuration.replayLimitBytes
            && outlet.queuedBytes + heldBytes <= configuration.outboundLimitBytes / 2
    }

    private func report(_ gaps: [Gap]) {
        if gaps.isEmpty { return }
        self.runtime.services.metrics.gaps.increment(by: gaps.count)
        self.runtime.services.logger.info(
            "a client came back with a cursor that can't be resumed from",
            metadata: ["connection": "\(self.id)", "gaps": "\(gaps.prefix(4))"])
    }

    private static func elements(_ messages: [HubMessage]) -> [ByteBuffer] {
        messages.map { message in
            var element = ByteBuffer()
            message.writeClassicElement(into: &element)
            return element
        }
    }
}
