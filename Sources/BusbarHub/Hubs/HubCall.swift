/// What a hub instance is made for: one call of one method, or one event of one connection.
///
/// Only the runtime makes these, so a hub that exists has clients and groups.
public struct HubCall: Sendable {
    /// The connection that made the call or that the event is about.
    public let context: ConnectionContext

    let sender: HubSender

    /// - Parameter hub: the registered spelling of the hub's name.
    package init(context: ConnectionContext, hub: String, publisher: any HubPublisher) {
        self.context = context
        self.sender = HubSender(hub: hub, publisher: publisher)
    }
}

/// Who sends: one hub, through one runtime.
struct HubSender: Sendable {
    let hub: String
    let publisher: any HubPublisher
}
