import BusbarProtocol

/// Some clients of a hub, whose methods are called as they read:
///
/// ```swift
/// try await clients.all.messageReceived(text)
/// try await clients.group("red").send("score-changed", 3, 4)      // a name that is no Swift identifier
/// ```
///
/// A call returns once the bus has accepted the message; no client answers. Arguments are encoded once, whatever the
/// number of receivers. A call to nobody (an empty list, a group without members, an unknown id) succeeds.
///
/// One client can also be asked for an answer, ``invoke(_:_:returning:timeout:)``.
///
/// Clients compare method names ignoring case, but some do not: spell a name as the clients do. A client's method named
/// `send` or `invoke` is reached with `send("send", …)`.
@dynamicMemberLookup
public struct ClientProxy: Sendable, ClientContract {
    let sender: HubSender
    let target: ClientTarget
    /// Of the call whose caller this is; nil for others.
    let exchange: ClassicExchange?

    public init(_ proxy: ClientProxy) { self = proxy }

    init(sender: HubSender, target: ClientTarget, exchange: ClassicExchange? = nil) {
        self.sender = sender
        self.target = target
        self.exchange = exchange
    }

    /// The clients' method `name`, to be called with its arguments.
    public subscript(dynamicMember name: String) -> ClientMethod { ClientMethod(proxy: self, name: name) }

    /// Calls the clients' method `name`, which may be any text but the empty one.
    /// - Throws: ``HubSendError`` `emptyName`, `tooLarge` or `argumentNotEncodable`, each before anything is sent, or
    ///   what the bus refused with. With several targets those before the refused one have been served.
    public func send<each Argument: Encodable & Sendable>(
        _ name: String,
        _ arguments: repeat each Argument
    ) async throws(HubSendError) {
        try HubName.check(name, is: "a method name")
        try self.target.check()
        switch self.target {
        case .one(let audience):
            let message = try self.message(name, audience, repeat each arguments)
            try await self.sender.publisher.publish(message)
        case .several(let audiences):
            guard let first = audiences.first else { return }
            var message = try self.message(name, first, repeat each arguments)
            for audience in audiences {
                message.audience = audience
                try await self.sender.publisher.publish(message)
            }
        }
    }

    private func message<each Argument: Encodable>(
        _ method: String,
        _ audience: Audience,
        _ arguments: repeat each Argument
    ) throws(HubSendError) -> HubMessage {
        do throws(JSONCodingError) {
            let list = try ArgumentList(encoding: repeat each arguments)
            return HubMessage(
                hub: self.sender.hub, audience: audience, method: method, arguments: list,
                callerState: self.exchange?.stateChanges)
        } catch {
            throw HubSendError(.argumentNotEncodable, "arguments of \(method): \(error.detail)")
        }
    }
}

/// A method of some clients; calling it sends.
public struct ClientMethod: Sendable {
    let proxy: ClientProxy
    let name: String

    /// Calls the method; see ``ClientProxy/send(_:_:)``.
    public func callAsFunction<each Argument: Encodable & Sendable>(
        _ arguments: repeat each Argument
    ) async throws(HubSendError) {
        try await self.proxy.send(self.name, repeat each arguments)
    }
}
