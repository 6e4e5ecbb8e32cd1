import Busbar
import Logging
import Metrics
import NIOCore

/// One event loop's share of the runtime: its connections, what they listen to, and how far it has come in the stream.
/// Confined to its loop.
final class SessionLoop {
    let eventLoop: any EventLoop
    let services: RuntimeServices
    /// The place after the last batch that was processed here.
    private(set) var frontier: Frontier
    /// Counts batches: what was told of an earlier one is no longer the newest.
    private(set) var batchNumber: UInt64 = 0
    private var cursorText: String?
    private var audiences = AudienceTable()
    private var recipients: [Recipient?] = []
    private var freeSlots: [AudienceTable.Slot] = []
    private var slots: [String: AudienceTable.Slot] = [:]
    private var fanOut: FanOut
    private var owners: [any SessionOwner] = []
    private var arrivals: [Arrival] = []
    /// The topics that have been counted as listened to.
    private var countedTopics = 0

    /// What is to happen when the loop has come to a place, or has not come there in time.
    private struct Arrival {
        let place: Frontier
        let deadline: NIODeadline
        let body: () -> Void
    }
    /// The classic connections that live here or are about to.
    var classic: [ClassicDirectory.Ticket: ClassicPresence] = [:]

    init(eventLoop: any EventLoop, services: RuntimeServices, frontier: Frontier) {
        self.eventLoop = eventLoop
        self.services = services
        self.frontier = frontier
        self.fanOut = FanOut(longPollDelayMilliseconds: services.longPollDelayMilliseconds)
    }

    // MARK: Sessions

    /// Keeps a session alive and ticking until it is removed.
    func add(_ owner: any SessionOwner) {
        owner.place = self.owners.count
        self.owners.append(owner)
    }

    func remove(_ owner: any SessionOwner) {
        guard owner.place >= 0, owner.place < self.owners.count else { return }
        let last = self.owners.removeLast()
        if last !== owner {
            self.owners[owner.place] = last
            last.place = owner.place
        }
        owner.place = -1
    }

    var sessionCount: Int { self.owners.count }
    var recipientCount: Int { self.recipients.count { $0 != nil } }
    var topicCount: Int { self.audiences.topicCount }
    var arrivalCount: Int { self.arrivals.count }

    func tick(now: NIODeadline) {
        self.countTopics()
        self.runArrivals { $0.deadline <= now }
        // Why backwards: a session that goes away is replaced by one that has had its turn.
        for index in stride(from: self.owners.count - 1, through: 0, by: -1) where index < self.owners.count {
            self.owners[index].tick(now: now)
        }
    }

    func drain() {
        for index in stride(from: self.owners.count - 1, through: 0, by: -1) where index < self.owners.count {
            self.owners[index].drain()
        }
    }

    /// Nothing is run any more: lets go of every session.
    func stop() {
        self.arrivals = []
        while let owner = self.owners.last {
            owner.stop()
            self.remove(owner)
        }
        self.countTopics()
    }

    /// Why once in a while: groups come and go with every connection.
    private func countTopics() {
        let change = self.topicCount - self.countedTopics
        if change > 0 { self.services.metrics.topics.increment(by: Double(change)) }
        if change < 0 { self.services.metrics.topics.decrement(by: Double(-change)) }
        self.countedTopics += change
    }

    // MARK: Audiences

    /// From the next batch on, messages to these hubs, to the user and to the connection itself reach the recipient.
    func register(_ recipient: Recipient, hubs: [String], userID: String?) {
        guard recipient.slot == nil else { return }
        let slot: AudienceTable.Slot
        if let free = self.freeSlots.popLast() {
            slot = free
            self.recipients[Int(slot)] = recipient
        } else {
            slot = AudienceTable.Slot(self.recipients.count)
            self.recipients.append(recipient)
        }
        recipient.slot = slot
        self.slots[recipient.id] = slot
        self.audiences.join(slot, HubTopics.connection(recipient.id))
        for hub in hubs {
            self.audiences.join(slot, HubTopics.all(hub: hub))
            if let userID { self.audiences.join(slot, HubTopics.user(userID, hub: hub)) }
        }
    }

    func unregister(_ recipient: Recipient) {
        guard let slot = recipient.slot else { return }
        recipient.slot = nil
        self.recipients[Int(slot)] = nil
        self.freeSlots.append(slot)
        if self.slots[recipient.id] == slot { self.slots[recipient.id] = nil }
        self.audiences.leaveAll(slot)
    }

    /// Puts a recipient into a group that it is known to be in already.
    func restore(_ recipient: Recipient, to group: HubGroup) {
        guard let slot = recipient.slot, self.audiences.contains(slot, HubTopics.all(hub: group.hub)) else { return }
        if self.audiences.join(slot, HubTopics.group(group.name, hub: group.hub)) { recipient.groupCount += 1 }
    }

    func withdraw(_ recipient: Recipient, from group: HubGroup) {
        guard let slot = recipient.slot else { return }
        if self.audiences.leave(slot, HubTopics.group(group.name, hub: group.hub)) { recipient.groupCount -= 1 }
    }

    /// The text of the cursor that stands where this loop is.
    var cursor: String {
        if let text = self.cursorText { return text }
        let text = self.services.bus.cursor(at: self.frontier).text
        self.cursorText = text
        return text
    }

    // MARK: Batches

    /// Runs `body` when everything up to `place` has been processed here: now, after a later batch, or at the tick behind
    /// `deadline`.
    func whenReached(_ place: Frontier, by deadline: NIODeadline, _ body: @escaping () -> Void) {
        if self.frontier.reaches(place) { return body() }
        self.arrivals.append(Arrival(place: place, deadline: deadline, body: body))
    }

    private func runArrivals(_ isDue: (Arrival) -> Bool) {
        if self.arrivals.isEmpty { return }
        let due = self.arrivals.filter(isDue)
        self.arrivals.removeAll(where: isDue)
        for arrival in due { arrival.body() }
    }

    func process(_ batch: LaneBatch) {
        self.fanOut.begin()
        for record in batch.records {
            switch record.content {
            case .message(let message):
                if self.fanOut.extendRun(with: message, topic: record.topic) { continue }
                self.closeRun()
                self.fanOut.beginRun(message, topic: record.topic)
            case .groupCommand(let change, let requester):
                self.closeRun()
                let verdict = self.apply(change, topic: record.topic)
                if self.services.nodes.passed(requester, verdict) { self.lookFurther(change, requester) }
            case .invocation(let invocation, let requester):
                self.closeRun()
                // Why asked: where it was declined already, its client must not be called.
                let isOurs = self.services.nodes.isPassing(requester)
                let verdict = isOurs ? self.deliver(invocation, requester.key) : .notHere
                if self.services.nodes.passed(requester, verdict) {
                    let isClassic = self.services.classicDirectory.ticket(of: invocation.connectionID) != nil
                    self.services.nodes.passageEnded(requester, isClassic ? .noResults : .notHere)
                }
            }
        }
        self.closeRun()
        self.frontier = batch.frontier
        self.batchNumber += 1
        self.cursorText = nil
        let delivered = self.fanOut.finish(
            limitBytes: self.services.configuration.outboundLimitBytes, batch: self.batchNumber
        ) { self.cursor }
        if delivered > 0 { self.services.metrics.delivered.increment(by: delivered) }
        self.services.metrics.batchMessages.record(batch.records.count)
        self.runArrivals { self.frontier.reaches($0.place) }
    }

    /// Gives the run that was being collected to everybody it is for.
    private func closeRun() {
        guard let run = self.fanOut.openRun else { return }
        let members = self.audiences.members(of: run.topic)
        if !members.isEmpty {
            let exceptions = run.exceptions.compactMap { self.slots[$0] }
            // Why: a connection is addressed by its id alone, and hears only the hubs that it listed.
            let hub = run.isForOneConnection ? HubTopics.all(hub: run.hub) : nil
            for slot in members {
                if !exceptions.isEmpty && exceptions.contains(slot) { continue }
                if let hub, !self.audiences.contains(slot, hub) { continue }
                if let recipient = self.recipients[Int(slot)] { self.fanOut.give(to: recipient) }
            }
        }
        self.fanOut.endRun()
    }

    /// Gives a call that wants an answer to its client, if that is here, behind what it is sent already.
    private func deliver(_ invocation: ClientInvocation, _ key: RequestKey) -> PassageVerdict {
        guard let slot = self.slots[invocation.connectionID], let recipient = self.recipients[Int(slot)],
            recipient.isListening, self.audiences.contains(slot, HubTopics.all(hub: invocation.hub)),
            let owner = recipient.owner
        else { return .notHere }
        let verdict = owner.expectResult(of: invocation, for: key)
        if case .taken = verdict {
            self.fanOut.beginRun(
                invocation.message(for: key), topic: HubTopics.connection(invocation.connectionID))
            self.fanOut.give(to: recipient)
            self.fanOut.endRun()
        }
        return verdict
    }

    /// Carries a change of a group out if its connection is here.
    private func apply(_ change: GroupChange, topic: Topic) -> PassageVerdict {
        guard let slot = self.slots[change.connectionID], let recipient = self.recipients[Int(slot)] else {
            return .notHere
        }
        guard self.audiences.contains(slot, HubTopics.all(hub: change.hub)) else { return .done }
        switch change.action {
        case .add:
            let limit = self.services.configuration.groupLimit
            if recipient.groupCount >= limit, !self.audiences.contains(slot, topic) {
                self.services.tooManyGroups(recipient.id, hub: change.hub)
                return .refused(
                    HubSendError(.tooManyGroups, "the connection is in \(limit) groups, as many as it may be in"))
            }
            guard self.audiences.join(slot, topic) else { return .done }
            recipient.groupCount += 1
        case .remove:
            guard self.audiences.leave(slot, topic) else { return .done }
            recipient.groupCount -= 1
        }
        recipient.owner?.groupChanged(change)
        if recipient.takesBundles { self.fanOut.touch(recipient) }
        return .done
    }

    /// Carries a change out where every event loop has come past it without meeting the connection: a classic one was
    /// on its way from one loop to another.
    private func lookFurther(_ change: GroupChange, _ requester: Requester) {
        let nodes = self.services.nodes, topic = HubTopics.group(change.group, hub: change.hub)
        guard let ticket = self.services.classicDirectory.ticket(of: change.connectionID) else {
            return nodes.passageEnded(requester, .notHere)
        }
        self.services.classicDirectory.perform(ticket) { session in
            nodes.passageEnded(requester, session?.loop.apply(change, topic: topic) ?? .notHere)
        }
    }
}

/// A session, as its event loop keeps it.
protocol SessionOwner: AnyObject {
    /// Where the loop keeps it; -1 while it doesn't.
    var place: Int { get set }

    /// About once a second.
    func tick(now: NIODeadline)

    /// This node stops: the client is told, the disconnected event runs.
    func drain()

    /// Nothing is run any more: the client is told, and that is all.
    func stop()
}
