public import BusbarDriver

extension DriverRegistration {
    /// `redis://`, `redis+unix://` and `redis+sentinel://`; options as in
    /// ``RedisConfiguration/init(url:alsoAllowing:)``.
    public static let redis = DriverRegistration(
        name: "Redis",
        schemes: RedisConfiguration.schemes,
        example: "redis://127.0.0.1:6379",
        summary: "Redis 6.2 or later: Pub/Sub delivers, a capped stream is the log, one script writes both",
        reach: .broker,
        examine: { url, app in await RedisExamination.findings(at: url, app: app) },
        make: { url, app throws(BackplaneURLError) in
            RedisDriver(try RedisConfiguration(registered: url, app: app))
        }
    )
}

extension RedisConfiguration {
    /// What a backplane URL says, in the namespace `app`.
    init(registered url: BackplaneURL, app: String) throws(BackplaneURLError) {
        do throws(RedisConfigurationError) {
            try self.init(url: url.text, alsoAllowing: BackplaneURL.commonKeys)
            self.app = app
            try self.validate()
        } catch {
            throw BackplaneURLError(key: error.key, value: error.value, remedy: error.remedy)
        }
    }
}
