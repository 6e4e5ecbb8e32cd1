import Busbar
import BusbarProtocol
import Synchronization

/// Finds, in what was published while a classic client was away, what it would have been sent: goes through the
/// records in order and lets group changes take effect on the way.
package struct ReplayFilter: Sendable {
    private let connectionID: String
    private let userID: String?
    private let hubs: Set<String>
    /// Groups that the client may hear from: it is in one, was in it when it left, or enters it on the way.
    private var candidates: Set<HubGroup>

    /// - Parameters:
    ///   - before: the groups it was in at its cursor, as far as its token tells.
    ///   - now: the groups it is in, as far as this node knows.
    package init(connectionID: String, userID: String?, hubs: Set<String>, before: Set<HubGroup>, now: Set<HubGroup>) {
        self.connectionID = connectionID
        self.userID = userID
        self.hubs = hubs
        self.candidates = before.union(now)
    }

    /// Whether a record may concern the client. Records are shown in order, once each.
    package mutating func isWanted(_ record: HubRecord) -> Bool {
        switch record {
        case .groupCommand(let change, _):
            guard change.connectionID == self.connectionID, self.hubs.contains(change.hub) else { return false }
            self.candidates.insert(HubGroup(hub: change.hub, name: change.group))
            return true
        case .message(let message):
            guard self.hubs.contains(message.hub) else { return false }
            switch message.audience {
            case .all(let except): return !except.contains(self.connectionID)
            case .connection(let id): return id == self.connectionID
            case .user(let user): return user == self.userID
            case .group(let group, let except):
                return self.candidates.contains(HubGroup(hub: message.hub, name: group))
                    && !except.contains(self.connectionID)
            }
        // Why never: it is asked of core clients, and answered or given up by now.
        case .invocation: return false
        }
    }

    /// What to send of the wanted records, and the groups the client is in after them.
    ///
    /// A group that changes on the way was as the client's token says before; of all others this node knows.
    package static func resolve(
        _ records: [HubRecord], before: Set<HubGroup>, now: Set<HubGroup>
    ) -> (messages: [HubMessage], groups: Set<HubGroup>) {
        var groups = now
        for case .groupCommand(let change, _) in records {
            let group = HubGroup(hub: change.hub, name: change.group)
            if before.contains(group) { groups.insert(group) } else { groups.remove(group) }
        }
        var messages: [HubMessage] = []
        for record in records {
            switch record {
            case .groupCommand(let change, _):
                let group = HubGroup(hub: change.hub, name: change.group)
                switch change.action {
                case .add: groups.insert(group)
                case .remove: groups.remove(group)
                }
            case .message(let message):
                if case .group(let name, _) = message.audience,
                    !groups.contains(HubGroup(hub: message.hub, name: name))
                {
                    continue
                }
                messages.append(message)
            case .invocation: continue
            }
        }
        return (messages, groups)
    }
}

/// A filter that a replay may use from its own task.
final class ReplayFilterBox: Sendable {
    private let filter: Mutex<ReplayFilter>

    init(_ filter: ReplayFilter) {
        self.filter = Mutex(filter)
    }

    func isWanted(_ message: Message) -> Bool {
        guard message.topic.name.hasPrefix(HubTopics.prefix), let record = try? HubRecord(decoding: message.payload)
        else { return false }
        return self.filter.withLock { $0.isWanted(record) }
    }
}
