public import BusbarProtocol

/// A client's call of a hub method, as modules see it.
public struct IncomingCall: Sendable {
    /// The registered name of the hub.
    public let hub: String

    /// The registered name of the method; as the client spelled it if there is none that fits.
    public let method: String

    /// The connection that calls.
    public var context: ConnectionContext { self.call.context }

    /// The state of a classic caller, to be read and changed as in a hub.
    public var callerState: CallerState { CallerState(exchange: self.call.exchange) }

    /// All arguments as they came. A call with one that JSON has no words for is refused before modules or the hub see it, so
    /// that nothing passes by a module.
    public let arguments: [JSONNode]

    private let call: HubCall

    init(hub: String, method: String, arguments: [JSONNode], call: HubCall) {
        self.hub = hub
        self.method = method
        self.arguments = arguments
        self.call = call
    }
}

/// What a call returned.
public struct CallResult: Sendable {
    let text: JSONValueText?

    /// Nothing: of a method without a result, or of one that returned nil.
    public static let nothing = Self(text: nil)

    init(text: JSONValueText?) {
        self.text = text
    }

    /// - Throws: if `value` can't be written as JSON.
    public init(_ value: some Encodable) throws {
        self.text = try JSONValueText(encoding: value)
    }

    /// The result as any JSON; null if there is none.
    public var value: JSONNode { self.text.flatMap { try? $0.decode(JSONNode.self) } ?? .null }
}

/// A call that failed, while modules still may change that.
public struct IncomingFailure: Sendable {
    /// What was thrown. To show the caller a text, put a ``HubError`` here.
    public var error: any Error

    /// Set to let the call succeed with it.
    public var result: CallResult?
}
