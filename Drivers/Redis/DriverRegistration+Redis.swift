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
        retentionKey: "retainedRecords",
        examine: { url, app in await RedisExamination.findings(at: url, app: app) },
        remove: { url, app throws(DriverError) in try await RedisDriver.remove(app, at: url) },
        make: { url, app throws(BackplaneURLError) in
            RedisDriver(try RedisConfiguration(registered: url, app: app))
        }
    )
}

extension BackplaneDriver where Self == RedisDriver {
    /// A Redis in one line:
    ///
    /// ```swift
    /// let bus = Bus(driver: try .redis(host: "localhost", port: 6379, password: "", app: "myApp"), logger: logger)
    /// ```
    /// - Parameters:
    ///   - password: empty for none.
    ///   - app: namespace on the broker: apps of different names never see each other.
    /// - Throws: ``RedisConfigurationError`` that names the key, the value and what would be right.
    public static func redis(
        host: String, port: Int = 6379, password: String = "", user: String? = nil, database: Int = 0, app: String,
        tls: RedisConfiguration.TLS? = nil
    ) throws(RedisConfigurationError) -> Self {
        RedisDriver(
            try RedisConfiguration(
                host: host, port: port, password: password, user: user, database: database, app: app, tls: tls))
    }
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

extension RedisDriver {
    /// Deletes the keys of every stream that an app may have.
    static func remove(_ app: String, at url: BackplaneURL) async throws(DriverError) {
        let configuration: RedisConfiguration
        do throws(BackplaneURLError) { configuration = try RedisConfiguration(registered: url, app: app) } catch {
            throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: error.description)
        }
        // Why not SCAN: it visits the keys of everybody, and the names of ours are known.
        let deletions = (UInt16(0)..<UInt16(BackplaneURL.largestStreamCount)).map { index in
            let names = StreamNames(app: app, database: configuration.database, stream: StreamID(index))
            return CommandArguments(names.log, names.head).command("UNLINK")
        }
        _ = try await RedisErrand.ask(deletions, of: configuration)
    }
}
