#if TLS
import BrokerTestSupport
import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRedis
import Foundation
import Testing

@Suite("TLS to a real Redis", .enabled(if: RedisTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct RedisTLSTests {
    @Test("with the authority of its certificate a Redis is used, by name and by address")
    func trusted() async throws {
        let papers = try Papers()
        let server = try await papers.server()
        for host in ["localhost", "127.0.0.1"] {
            let url = "rediss://\(host):\(server.port)?app=test&tlsAuthorities=\(papers.path("ca.pem"))"
            try await withNode(try RedisConfiguration(url: url)) { driver, inbox in
                var writer = Writer()
                _ = try await driver.append(writer.batch("over \(host)"), to: stream)
                #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["over \(host)"])
            }
        }
    }

    @Test("a certificate of an unknown authority, or for another name, ends the connection before it is used")
    func untrusted() async throws {
        // Why another address: a certificate for the address that was connected to is good whatever the name.
        let (papers, others) = (try Papers(serverName: "localhost", address: "127.0.0.9"), try Papers())
        let server = try await papers.server()
        for query in [
            "tlsAuthorities=\(others.path("ca.pem"))", "",
            "tlsServerName=redis.example.org&tlsAuthorities=\(papers.path("ca.pem"))",
        ] {
            let url = "rediss://localhost:\(server.port)?app=test&\(query)"
            try await withNode(try RedisConfiguration(url: url), untilLive: false) { _, inbox in
                let log = try await inbox.wait { !$0.interruptions.isEmpty }
                #expect(log.liveExtents.isEmpty)
                let detail = log.interruptions[0].detail
                #expect(detail.hasPrefix("TLS: ") && detail.lowercased().contains("certificate"), "\(detail)")
            }
        }
    }

    @Test("the name that the certificate must be for may be another than the host")
    func serverName() async throws {
        let papers = try Papers(serverName: "redis.example.org", address: "127.0.0.9")
        let server = try await papers.server()
        let url = "rediss://127.0.0.1:\(server.port)?app=test&tlsAuthorities=\(papers.path("ca.pem"))"
        try await withNode(try RedisConfiguration(url: url), untilLive: false) { _, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.liveExtents.isEmpty)
        }
        try await withNode(try RedisConfiguration(url: url + "&tlsServerName=redis.example.org")) { _, _ in }
    }

    @Test("a server that asks for a client's certificate gets it; without one the connection ends with the reason")
    func clientCertificate() async throws {
        let papers = try Papers()
        let server = try await papers.server(asksClients: true)
        let url = "rediss://localhost:\(server.port)?app=test&tlsAuthorities=\(papers.path("ca.pem"))"
        let own = "&tlsCertificate=\(papers.path("client.pem"))&tlsKey=\(papers.path("client.key"))"
        try await withNode(try RedisConfiguration(url: url + own)) { driver, _ in
            var writer = Writer()
            _ = try await driver.append(writer.batch("x"), to: stream)
        }
        try await withNode(try RedisConfiguration(url: url), untilLive: false) { _, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.liveExtents.isEmpty)
        }
    }

    @Test("files that can't be used are named, once and for all")
    func unusableFiles() async throws {
        let papers = try Papers()
        try "no certificate".write(toFile: papers.path("empty.pem"), atomically: true, encoding: .utf8)
        let right = "tlsAuthorities=\(papers.path("ca.pem"))"
        for (query, key) in [
            ("tlsAuthorities=\(papers.path("absent.pem"))", "tlsAuthorities"),
            ("tlsAuthorities=\(papers.path("empty.pem"))", "tlsAuthorities"),
            ("\(right)&tlsCertificate=\(papers.path("client.pem"))&tlsKey=\(papers.path("empty.pem"))", "tlsKey"),
        ] {
            let configuration = try RedisConfiguration(url: "rediss://localhost:1?app=test&\(query)")
            let error = await #expect(throws: DriverError.self) {
                try await RedisDriver(configuration).run(following: [stream], delivering: Recorder())
            }
            #expect(error?.recovery == .giveUp && error?.detail.hasPrefix(key) == true, "\(String(describing: error))")
        }
        #expect(throws: RedisConfigurationError.self) {
            try RedisConfiguration(url: "rediss://localhost?app=test&tlsCertificate=only-half.pem")
        }
        #expect(throws: RedisConfigurationError.self) {
            try RedisConfiguration(url: "redis://localhost?app=test&tlsServerName=without-tls")
        }
    }

    @Test("neither a Redis that speaks no TLS nor a client that doesn't becomes live, and both say so in time")
    func mixedUp() async throws {
        let papers = try Papers()
        let (plain, secure) = (try await RedisServer.started(), try await papers.server())
        let url = "rediss://localhost:\(plain.port)?app=test&requestLimit=1000&tlsAuthorities=\(papers.path("ca.pem"))"
        for configuration in [try RedisConfiguration(url: url), try secure.configuration()] {
            try await withNode(configuration, untilLive: false) { _, inbox in
                let log = try await inbox.wait { !$0.interruptions.isEmpty }
                #expect(log.liveExtents.isEmpty)
            }
        }
    }

    @Test("level A of the conformance kit holds over TLS", .timeLimit(.minutes(5)))
    func conformance() async throws {
        let papers = try Papers()
        let server = try await papers.server()
        let url = "rediss://localhost:\(server.port)?tlsAuthorities=\(papers.path("ca.pem"))"
        let redis = try RegisteredDriver(at: BackplaneURL(url), among: DriverRegistry([.redis]))
        #expect(await Certification.complaints(about: redis, running: ConformanceKit.cases(upTo: .a)).isEmpty)
    }
}

extension Papers {
    fileprivate func server(asksClients: Bool = false) async throws -> RedisServer {
        let server = try RedisServer()
        try await server.start([
            "--tls-port", "\(server.port)", "--port", "0", "--tls-cert-file", self.path("server.pem"),
            "--tls-key-file", self.path("server.key"), "--tls-ca-cert-file", self.path("ca.pem"),
            "--tls-auth-clients", asksClients ? "yes" : "no",
        ])
        return server
    }
}
#endif
