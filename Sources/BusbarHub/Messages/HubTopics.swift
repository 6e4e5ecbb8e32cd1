package import Busbar

/// The topics of hubs. Each message is published to the one topic of its audience.
package enum HubTopics {
    /// What every topic of the hub runtime begins with.
    package static let prefix = "$busbar/"

    package static func all(hub: String) -> Topic { Topic("\(Self.prefix)h/\(hub)") }
    package static func group(_ group: String, hub: String) -> Topic { Topic("\(Self.prefix)g/\(hub)/\(group)") }
    package static func user(_ user: String, hub: String) -> Topic { Topic("\(Self.prefix)u/\(hub)/\(user)") }
    package static func connection(_ id: String) -> Topic { Topic("\(Self.prefix)c/\(id)") }

    /// What nodes tell all others about themselves.
    package static let nodes = Topic("\(Self.prefix)nodes")
    /// What every topic for one node begins with.
    package static let nodePrefix = "\(Self.prefix)n/"
    /// What is for one node and nobody else.
    package static func node(_ process: UInt64) -> Topic { Topic("\(Self.nodePrefix)\(String(process, radix: 36))") }
    /// What is for the node that has a connection: requests, and where it lives, in one order.
    package static func owner(of id: String) -> Topic { Topic("\(Self.prefix)o/\(id)") }
}

extension HubRecord {
    /// Where the record is published: group changes in the group's own topic and calls that want an answer in the
    /// connection's, so that they have their place in order.
    package var topic: Topic {
        switch self {
        case .message(let message): message.topic
        case .groupCommand(let change, _): HubTopics.group(change.group, hub: change.hub)
        case .invocation(let invocation, _): HubTopics.connection(invocation.connectionID)
        }
    }
}

extension HubMessage {
    package var topic: Topic {
        switch self.audience {
        case .all: HubTopics.all(hub: self.hub)
        case .connection(let id): HubTopics.connection(id)
        case .group(let group, _): HubTopics.group(group, hub: self.hub)
        case .user(let user): HubTopics.user(user, hub: self.hub)
        }
    }
}
