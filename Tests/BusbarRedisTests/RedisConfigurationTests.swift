import BusbarRedis
import Testing

@Suite("a Redis's configuration")
struct RedisConfigurationTests {
    @Test("a URL says where, who, which database and which app")
    func url() throws {
        let configuration = try RedisConfiguration(url: "redis://us%40er:p%3Aw@example.org:6380/4?app=shop&streams=8")
        #expect(configuration.server == .tcp(host: "example.org", port: 6380))
        #expect(configuration.user == "us@er" && configuration.password == Secret("p:w"))
        #expect(configuration.database == 4 && configuration.app == "shop")
    }

    @Test(
        "what a URL leaves out has its default",
        arguments: ["redis://localhost", "REDIS://localhost", "redis://localhost/", "redis://:@localhost:6379/0"]
    )
    func defaults(url: String) throws {
        let configuration = try RedisConfiguration(url: url)
        #expect(configuration == (try RedisConfiguration(host: "localhost", app: "busbar")))
        #expect(configuration.password == nil && configuration.user == nil)
    }

    @Test("IPv6 addresses, Unix sockets and Sentinels have URLs too")
    func otherServers() throws {
        #expect(try RedisConfiguration(url: "redis://[::1]:7000").server == .tcp(host: "::1", port: 7000))
        #expect(
            try RedisConfiguration(url: "redis+unix:///run/my%20redis.sock?database=2").server
                == .unixSocket(path: "/run/my redis.sock"))
        let sentinel = try RedisConfiguration(
            url: "redis+sentinel://:pw@a,b:5000,[::2]:6000/main/3?sentinelPassword=sp")
        let hosts: [RedisConfiguration.HostPort] = [
            .init(host: "a", port: 26379), .init(host: "b", port: 5000), .init(host: "::2", port: 6000),
        ]
        #expect(sentinel.server == .sentinel(hosts: hosts, primaryName: "main"))
        #expect(
            sentinel.database == 3 && sentinel.sentinelPassword == Secret("sp") && sentinel.password == Secret("pw"))
    }

    @Test("times and sizes ride in the query")
    func query() throws {
        let url =
            "redis://h?retainedRecords=10&retainedBytes=1000000&requestLimit=1500&probeInterval=100&probeLimit=200"
        let configuration = try RedisConfiguration(url: url + "&backOffCeiling=900")
        #expect(configuration.retainedRecords == 10 && configuration.retainedBytes == 1_000_000)
        #expect(
            configuration.requestLimit == .milliseconds(1_500) && configuration.backOffCeiling == .milliseconds(900))
        #expect(configuration.probeInterval == .milliseconds(100) && configuration.probeLimit == .milliseconds(200))
    }

    @Test(
        "a mistake is answered with one line that names the key, the value and what would be right",
        arguments: [
            ("localhost:6379", "url", "redis://host:port"), ("http://h", "scheme", "redis+sentinel"),
            ("rediss://h", "scheme", "a build with TLS"), ("redis://", "host", "host name"),
            ("redis://h:0", "port", "1 to 65535"),
            ("redis://h:x", "port", "65535"), ("redis://::1", "host", "brackets"),
            ("redis://h/x", "database", "whole number"),
            ("redis://h/1/2", "path", "nothing after"), ("redis://h?app=", "app", "1 to 100"),
            ("redis://h?app=a{b", "app", "braces"), ("redis://h?nope=1", "nope", "retainedRecords"),
            ("redis://h?app=a&app=b", "app", "once"), ("redis://h?app", "app", "app=VALUE"),
            ("redis://h?requestLimit=1", "requestLimit", "10 ms"), ("redis://h?app=%zz", "app", "hexadecimal"),
            ("redis+unix://", "path", "socket"), ("redis+sentinel://a/", "primary", "Sentinels"),
            ("redis+sentinel://a,,b/m", "host", "host name"),
            ("redis://h?retainedBytes=1", "retainedBytes", "from 65536"),
        ]
    )
    func mistakes(url: String, key: String, remedy: String) throws {
        let error = #expect(throws: RedisConfigurationError.self) { _ = try RedisConfiguration(url: url) }
        let line = try #require(error?.description)
        #expect(error?.key == key && line.contains(remedy) && !line.contains("\n"), "\(line)")
    }

    @Test(
        "no error and no description shows a secret",
        arguments: [
            "redis://u:hunter2@h:bad", "redis://hunter2@h", "redis://u:hun%zter2@h", "redis://u:hunter2@h/notanumber",
            "u:hunter2@h", "redis://u:a#hunter2@h", "redis://h?pasword=hunter2", "redis://u:hunter2@h?app=",
            "redis://u:p@hunter2@h:bad", "redis://u:p?hunter2@h", "redis://u:p?hunter2=1@h",
        ]
    )
    func secrets(url: String) {
        let error = #expect(throws: RedisConfigurationError.self) { _ = try RedisConfiguration(url: url) }
        #expect(
            error.map { "\($0)" }?.contains("hunter2") == false && error.map { "\($0)" }?.contains("zter2") == false)
    }

    @Test("a configuration can be printed without giving its passwords away")
    func printing() throws {
        let configuration = try RedisConfiguration(url: "redis://u:hunter2@h?sentinelPassword=hunter2")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!"\(configuration)".contains("hunter2") && !dumped.contains("hunter2"))
        #expect(!String(reflecting: configuration).contains("hunter2"))
    }

    @Test("in code it takes one line; an empty password is none")
    func inCode() throws {
        let configuration = try RedisConfiguration(host: "localhost", port: 6379, password: "", app: "myApp")
        #expect(configuration.password == nil && configuration.app == "myApp")
        #expect(throws: RedisConfigurationError.self) { try RedisConfiguration(host: "h", port: 70_000, app: "a") }
    }
}
