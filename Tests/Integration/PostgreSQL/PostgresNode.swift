import BrokerTestSupport
import BusbarDriver
import BusbarPostgreSQL

/// One driver that runs while `body` does, following `streams`.
func withNode<Result: Sendable>(
    _ configuration: PostgresConfiguration,
    following streams: [StreamID] = [stream],
    inbox: Recorder = Recorder(),
    untilLive: Bool = true,
    body: (PostgresDriver, Recorder) async throws -> Result
) async throws -> Result {
    try await withNode(
        of: PostgresDriver(configuration), following: streams, inbox: inbox, untilLive: untilLive, body: body)
}

/// The error with which a driver that can't run gives up.
func reasonForGivingUp(_ configuration: PostgresConfiguration) async -> DriverError? {
    do throws(DriverError) {
        try await PostgresDriver(configuration).run(following: [stream], delivering: Recorder())
        return nil
    } catch {
        return error
    }
}
