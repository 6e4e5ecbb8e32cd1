package import Busbar
package import BusbarProtocol

/// One call of a client's method, on its way from a hub to whoever it is for. Independent of any client's protocol.
package struct HubMessage: Hashable, Sendable {
    /// The registered spelling of the hub's name.
    package var hub: String
    package var audience: Audience
    /// The client's method, spelled as the application did.
    package var method: String
    package var arguments: ArgumentList
    /// What the call has changed in its caller's state: an object, for classic callers only.
    package var callerState: JSONValueText?

    package init(
        hub: String,
        audience: Audience,
        method: String,
        arguments: ArgumentList,
        callerState: JSONValueText? = nil
    ) {
        self.hub = hub
        self.audience = audience
        self.method = method
        self.arguments = arguments
        self.callerState = callerState
    }
}

/// Whom a message is for, within one hub. Lists are several messages.
package enum Audience: Hashable, Sendable {
    /// Every connection but these. Unknown ids are harmless.
    case all(except: [String])
    /// One connection.
    case connection(String)
    /// The members of a group but these connections.
    case group(String, except: [String])
    /// Every connection of a user.
    case user(String)
}

/// A connection enters or leaves a group.
package struct GroupChange: Hashable, Sendable {
    package enum Action: Hashable, Sendable { case add, remove }

    package var action: Action
    /// The registered spelling of the hub's name.
    package var hub: String
    package var group: String
    package var connectionID: String

    package init(_ action: Action, hub: String, group: String, connectionID: String) {
        self.action = action
        self.hub = hub
        self.group = group
        self.connectionID = connectionID
    }
}

/// Who waits for a group change, and who has to say so if it doesn't have the connection.
package struct Requester: Hashable, Sendable {
    package var key: RequestKey
    package var duty: AnswerDuty

    package init(key: RequestKey, duty: AnswerDuty) {
        self.key = key
        self.duty = duty
    }
}

/// What the hub runtimes of a farm tell each other through the bus.
package enum HubRecord: Hashable, Sendable {
    case message(HubMessage)
    case groupCommand(GroupChange, requester: Requester)
}
