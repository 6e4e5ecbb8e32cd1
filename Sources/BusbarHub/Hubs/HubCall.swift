/// What a hub instance is made for: one call of one method, or one event of one connection.
///
/// Only the runtime makes these, so a hub that exists has clients and groups.
public struct HubCall: Sendable {
    /// The connection that made the call or that the event is about.
    public let context: ConnectionContext

    let sender: HubSender

    /// Nil for core clients.
    let exchange: ClassicExchange?

    /// - Parameters:
    ///   - hub: the registered spelling of the hub's name.
    ///   - exchange: what a classic client exchanges beside arguments and result; nil for core clients.
    package init(
        context: ConnectionContext, hub: String, publisher: any HubPublisher, exchange: ClassicExchange? = nil
    ) {
        self.context = context
        self.sender = HubSender(hub: hub, publisher: publisher, callerID: context.id)
        self.exchange = exchange
    }
}

/// Who sends: one hub, through one runtime.
struct HubSender: Sendable {
    let hub: String
    let publisher: any HubPublisher
    /// The connection whose call or event sends; nil from outside.
    var callerID: String?
}
