public import BusbarDriver

extension DriverRegistration {
    /// `amqp://` and `amqps://`; options as in ``RabbitMQConfiguration/init(url:alsoAllowing:)``.
    public static let rabbitMQ = DriverRegistration(
        name: "RabbitMQ",
        schemes: RabbitMQConfiguration.schemes,
        example: "amqp://guest:guest@127.0.0.1:5672/",
        summary: "RabbitMQ 3.9 or later, no plugin: a stream queue is the log, AMQP 0-9-1 with publisher confirms",
        reach: .broker,
        examine: { url, app in await RabbitMQExamination.findings(at: url, app: app) },
        remove: { url, app throws(DriverError) in try await RabbitMQDriver.remove(app, at: url) },
        make: { url, app throws(BackplaneURLError) in
            RabbitMQDriver(try RabbitMQConfiguration(registered: url, app: app))
        }
    )
}

extension RabbitMQConfiguration {
    /// What a backplane URL says, in the namespace `app`.
    init(registered url: BackplaneURL, app: String) throws(BackplaneURLError) {
        try self.init(url: url.text, alsoAllowing: BackplaneURL.commonKeys)
        self.app = app
        try self.validate()
    }
}

extension BackplaneDriver where Self == RabbitMQDriver {
    /// A RabbitMQ in one line:
    ///
    /// ```swift
    /// let bus = Bus(driver: try .rabbitMQ(host: "localhost", user: "chat", password: "…", app: "chat"), logger: logger)
    /// ```
    /// - Parameter app: namespace within the virtual host: apps of different names never see each other.
    /// - Throws: ``BackplaneURLError`` that names the key, the value and what would be right.
    public static func rabbitMQ(
        host: String, port: Int = 5672, user: String = "guest", password: String = "guest", virtualHost: String = "/",
        app: String, tls: RabbitMQConfiguration.TLS? = nil
    ) throws(BackplaneURLError) -> Self {
        RabbitMQDriver(
            try RabbitMQConfiguration(
                hosts: [.init(name: host, port: port)], credentials: .password(user: user, Secret(password)),
                virtualHost: virtualHost, tls: tls, app: app))
    }
}

extension RabbitMQDriver {
    /// Deletes the exchange of an app, and the queue of every stream that it may have.
    static func remove(_ app: String, at url: BackplaneURL) async throws(DriverError) {
        let configuration: RabbitMQConfiguration
        do throws(BackplaneURLError) { configuration = try RabbitMQConfiguration(registered: url, app: app) } catch {
            throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: error.description)
        }
        let names = LogNames(app: app)
        let queues = (UInt16(0)..<UInt16(BackplaneURL.largestStreamCount)).map { index in
            AMQPRequest.deleteQueue(names.queue(of: StreamID(index)))
        }
        _ = try await RabbitMQErrand.run(queues + [.deleteExchange(names.exchange)], of: configuration)
    }
}
