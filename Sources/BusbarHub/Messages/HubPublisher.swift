/// Where hubs send to. The hub runtime is one.
package protocol HubPublisher: AnyObject, Sendable {
    /// Returns once the bus has accepted the message; suspends while the bus asks for patience.
    func publish(_ message: HubMessage) async throws(HubSendError)

    /// Returns once the change has been applied where the connection lives, so that the next message published from
    /// anywhere meets the new membership. Changes nothing and succeeds when it is so already or the connection is gone.
    func changeGroup(_ change: GroupChange) async throws(HubSendError)

    /// Calls a method of one client and returns its answer.
    func invoke(_ invocation: ClientInvocation) async throws(HubSendError) -> ClientAnswer

    /// How long clients may take to answer unless a call says otherwise.
    var clientResultTimeout: Duration { get }
}
