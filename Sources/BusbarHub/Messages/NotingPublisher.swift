import Synchronization

/// Publishes for one call and notes whether it did.
final class NotingPublisher: HubPublisher {
    private let publisher: any HubPublisher
    private let published = Atomic<Bool>(false)

    init(_ publisher: any HubPublisher) {
        self.publisher = publisher
    }

    var hasPublished: Bool { self.published.load(ordering: .acquiring) }

    func publish(_ message: HubMessage) async throws(HubSendError) {
        try await self.publisher.publish(message)
        self.published.store(true, ordering: .releasing)
    }

    func changeGroup(_ change: GroupChange) async throws(HubSendError) {
        try await self.publisher.changeGroup(change)
    }

    func invoke(_ invocation: ClientInvocation) async throws(HubSendError) -> ClientAnswer {
        let answer = try await self.publisher.invoke(invocation)
        self.published.store(true, ordering: .releasing)
        return answer
    }

    var clientResultTimeout: Duration { self.publisher.clientResultTimeout }
}
