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
/// Clients compare method names ignoring case, but some do not: spell a name as the clients do. A client's method named
/// `send` is reached with `send("send", …)`.
@dynamicMemberLookup
public struct ClientProxy: Sendable, ClientContract {
    let sender: HubSender
    let target: ClientTarget

    public init(_ proxy: ClientProxy) { self = proxy }

    init(sender: HubSender, target: ClientTarget) {
        self.sender = sender
        self.target = target
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
        if case .several(let audiences) = self.target, audiences.isEmpty { return }
        let list: ArgumentList
        do throws(JSONCodingError) {
            list = try ArgumentList(encoding: repeat each arguments)
        } catch {
            throw HubSendError(.argumentNotEncodable, "arguments of \(name): \(error.detail)")
        }
        try await self.publish(name, list)
    }

    private func publish(_ method: String, _ arguments: ArgumentList) async throws(HubSendError) {
        switch self.target {
        case .one(let audience):
            try await self.sender.publish(method, arguments, to: audience)
        case .several(let audiences):
            for audience in audiences {
                try await self.sender.publish(method, arguments, to: audience)
            }
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

extension HubSender {
    fileprivate func publish(
        _ method: String,
        _ arguments: ArgumentList,
        to audience: Audience
    ) async throws(HubSendError) {
        let message = HubMessage(hub: self.hub, audience: audience, method: method, arguments: arguments)
        try await self.publisher.publish(message)
    }
}
