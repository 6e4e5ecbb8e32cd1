import BrokerTestSupport
import BusbarDriver
import BusbarRedis

/// One driver that runs while `body` does, following `streams`.
func withNode<Result: Sendable>(
    _ configuration: RedisConfiguration,
    following streams: [StreamID] = [stream],
    inbox: Recorder = Recorder(),
    untilLive: Bool = true,
    body: (RedisDriver, Recorder) async throws -> Result
) async throws -> Result {
    try await withNode(
        of: RedisDriver(configuration), following: streams, inbox: inbox, untilLive: untilLive, body: body)
}

extension RedisServer {
    /// A configuration that notices faults quickly, so that tests need not wait for it.
    func configuration(
        app: String = "test", password: String = "", user: String? = nil, database: Int = 0
    ) throws
        -> RedisConfiguration
    {
        var configuration = try RedisConfiguration(
            host: "127.0.0.1", port: self.port, password: password, user: user, database: database, app: app
        )
        configuration.probeInterval = .milliseconds(100)
        configuration.probeLimit = .seconds(6)
        configuration.requestLimit = .seconds(8)
        configuration.backOffCeiling = .milliseconds(300)
        return configuration
    }
}
