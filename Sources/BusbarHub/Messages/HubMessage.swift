package import Busbar
package import BusbarProtocol

/// What some clients of one hub are sent, on its way from the hub to them. Independent of any client's protocol.
package struct HubMessage: Hashable, Sendable {
    /// What a message says.
    package enum Body: Hashable, Sendable {
        /// A call of a client's method.
        case call(ClientCall)
        /// A value of a persistent connection, sent as it is.
        case value(JSONValueText)
        /// How far a call of the one client that it is for has come.
        case progress(ProgressReport)
    }

    /// The registered spelling of the hub's name.
    package var hub: String
    package var audience: Audience
    package var body: Body

    package init(hub: String, audience: Audience, body: Body) {
        self.hub = hub
        self.audience = audience
        self.body = body
    }

    /// A call of the clients' method `method`.
    package init(
        hub: String,
        audience: Audience,
        method: String,
        arguments: ArgumentList,
        callerState: JSONValueText? = nil
    ) {
        let call = ClientCall(method: method, arguments: arguments, callerState: callerState)
        self.init(hub: hub, audience: audience, body: .call(call))
    }
}

/// A call of a client's method.
package struct ClientCall: Hashable, Sendable {
    /// Spelled as the application did.
    package var method: String
    package var arguments: ArgumentList
    /// What the call that sends this has changed in its caller's state: an object, for classic callers only.
    package var callerState: JSONValueText?
    /// What the client's answer is to be known by; nil if none is wanted.
    var invocationID: String?

    package init(method: String, arguments: ArgumentList, callerState: JSONValueText? = nil) {
        self.method = method
        self.arguments = arguments
        self.callerState = callerState
    }
}

/// How far a call has come, for the classic client that made it. Others have no place for it.
package struct ProgressReport: Hashable, Sendable {
    /// The call, as its client numbers it.
    package var invocationID: String
    package var value: JSONValueText
    /// What the call has changed in its caller's state so far.
    package var callerState: JSONValueText?

    package init(invocationID: String, value: JSONValueText, callerState: JSONValueText? = nil) {
        self.invocationID = invocationID
        self.value = value
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

/// Who waits for a group change or a client's answer, and who has to say so if it doesn't have the connection.
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
    case invocation(ClientInvocation, requester: Requester)
}
