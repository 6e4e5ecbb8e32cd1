import BusbarDriver
import BusbarRabbitMQ
import Testing

@Suite("a RabbitMQ's configuration")
struct RabbitMQConfigurationTests {
    @Test("a URL says where, who, which virtual host and which app")
    func url() throws {
        let url = "amqp://us%40er:p%3Aw@a.example.org,b.example.org:5673,[::1]/my%2Fhost?app=shop&streams=8"
        let configuration = try RabbitMQConfiguration(url: url)
        let hosts: [RabbitMQConfiguration.Host] = [
            .init(name: "a.example.org"), .init(name: "b.example.org", port: 5673), .init(name: "::1"),
        ]
        #expect(configuration.hosts == hosts && configuration.virtualHost == "my/host" && configuration.app == "shop")
        #expect(configuration.credentials == .password(user: "us@er", Secret("p:w")) && configuration.tls == nil)
        #expect("\(configuration)".contains("p:w") == false)
    }

    @Test(
        "what a URL leaves out has its default",
        arguments: ["amqp://localhost", "AMQP://localhost/", "amqp://localhost:5672/%2F"])
    func defaults(url: String) throws {
        #expect(try RabbitMQConfiguration(url: url) == RabbitMQConfiguration(hosts: [.init(name: "localhost")]))
    }

    @Test("times, sizes and certificates ride in the query")
    func query() throws {
        let plain = try RabbitMQConfiguration(
            url: "amqp://h?retainedBytes=9000000&retainedSeconds=60&segmentBytes=500000&heartbeat=3&probeLimit=200")
        #expect(plain.retainedBytes == 9_000_000 && plain.retainedAge == .seconds(60) && plain.segmentBytes == 500_000)
        #expect(plain.heartbeat == .seconds(3) && plain.probeLimit == .milliseconds(200))
        let safe = try RabbitMQConfiguration(
            url: "amqps://h?authoritiesFile=/a&certificateFile=/c&keyFile=/k&auth=external")
        #expect(safe.hosts == [.init(name: "h", port: 5671)] && safe.credentials == .certificate)
        #expect(safe.tls?.isVerified == true && safe.tls?.authoritiesFile == "/a" && safe.tls?.keyFile == "/k")
    }

    @Test(
        "a mistake is answered with one line that names the key, the value and what would be right",
        arguments: [
            ("localhost:5672", "url", "amqp://user"), ("http://h", "scheme", "amqps"), ("amqp://", "host", "host name"),
            ("amqp://h:0", "port", "1 to 65535"), ("amqp://h/a/b", "vhost", "%2F"),
            ("amqp://h?app=", "app", "1 to 100"),
            ("amqp://h?nope=1", "nope", "retainedBytes"), ("amqp://h?heartbeat=0", "heartbeat", "1 to 3600"),
            ("amqp://h?retainedBytes=5", "retainedBytes", "4194304"), ("amqp://h?verify=none", "verify", "amqps:"),
            ("amqps://h?verify=maybe", "verify", "full or none"),
            ("amqps://h?auth=external", "auth", "certificateFile"),
            ("amqps://h?keyFile=/k", "certificateFile", "together"),
            ("amqp://h?probeLimit=x", "probeLimit", "whole number"),
        ]
    )
    func mistakes(url: String, key: String, remedy: String) {
        let error = #expect(throws: BackplaneURLError.self) { try RabbitMQConfiguration(url: url) }
        #expect(error?.key == key)
        #expect(error?.remedy.contains(remedy) == true, "\(error?.description ?? "no error")")
    }

    @Test("no mistake in a URL shows its password")
    func secrets() {
        for url in [
            "amqp://u:hunter2@h:x", "amqp://u:hunter2@h/a/b", "amqp://u:hunter2@h?hunter2=hunter2", "amqp:u:hunter2@h",
        ] {
            let error = #expect(throws: BackplaneURLError.self) { try RabbitMQConfiguration(url: url) }
            let shown = (error?.value ?? "") + (error?.remedy ?? "")
            #expect(!shown.contains("hunter2"))
        }
    }
}
