import BusbarCertification
import Testing

/// One RabbitMQ for all tests of a suite. Why: it takes longer to start than they run.
struct SharedRabbit: SuiteTrait, TestScoping {
    @TaskLocal static var broker: ThrowawayBroker?

    @concurrent func provideScope(
        for test: Test, testCase: Test.Case?, performing tests: @Sendable @concurrent () async throws -> Void
    ) async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            try await Self.$broker.withValue(broker) { try await tests() }
        }
    }
}

extension Trait where Self == SharedRabbit {
    static var sharedRabbit: Self { Self() }
}
