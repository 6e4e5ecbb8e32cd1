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
