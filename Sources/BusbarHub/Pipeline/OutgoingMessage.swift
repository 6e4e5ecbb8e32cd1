public import BusbarProtocol

/// A call of clients' methods by a hub, or by the application through a ``HubContext``, as modules see it.
public struct OutgoingMessage: Sendable {
    /// Whom a message is for.
    public enum Target: Hashable, Sendable {
        case all
        case connection(String)
        case group(String)
        case user(String)
    }

    /// The registered name of the hub.
    public let hub: String
    /// The clients' method, as the application spelled it.
    public let method: String
    /// A message to several groups, users or connections is several messages.
    public let target: Target
    /// Connections of the target that do not get the message.
    public let exceptions: [String]
    public let arguments: [JSONNode]

    /// Nil for what isn't a call of clients' methods.
    /// - Throws: ``HubSendError`` `argumentNotEncodable` for an argument that can't be shown, so that nothing passes by a module.
    init?(_ message: HubMessage) throws(HubSendError) {
        guard case .call(let call) = message.body else { return nil }
        self.hub = message.hub
        self.method = call.method
        do throws(JSONCodingError) {
            self.arguments = try CallArguments.json(call.arguments).nodes()
        } catch {
            throw HubSendError(.argumentNotEncodable, "an argument can't be shown to modules: \(error.detail)")
        }
        self.exceptions = message.audience.exceptions
        self.target =
            switch message.audience {
            case .all: .all
            case .connection(let id): .connection(id)
            case .group(let name, _): .group(name)
            case .user(let id): .user(id)
            }
    }
}

/// Something that happens to a connection of a hub, as modules see it.
public struct HubEvent: Sendable {
    public enum Kind: Hashable, Sendable {
        case connected
        case reconnected
        case disconnected(Disconnection)
    }

    public let kind: Kind
    /// The registered name of the hub.
    public let hub: String
    public let context: ConnectionContext
}
