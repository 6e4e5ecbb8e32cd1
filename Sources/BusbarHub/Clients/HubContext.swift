/// A hub seen from outside: sends and changes groups without a caller, for as long as the runtime lives.
///
/// ```swift
/// let chat = runtime.context(for: ChatHub.self)
/// try await chat.clients.group("news").messageReceived("It is noon.")
/// ```
public struct HubContext: Sendable {
    private let sender: HubSender

    /// - Parameter hub: the registered spelling of the hub's name.
    package init(hub: String, publisher: any HubPublisher) {
        self.sender = HubSender(hub: hub, publisher: publisher)
    }

    /// The registered name of the hub.
    public var name: String { self.sender.hub }

    /// Whom to send to.
    public var clients: HubClients { HubClients(sender: self.sender) }

    /// Who is in which group of this hub.
    public var groups: HubGroups { HubGroups(sender: self.sender) }
}
