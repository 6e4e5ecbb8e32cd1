#if TLS
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
        let (papers, others) = (try Papers(), try Papers())
        let server = try await papers.server()
        for query in [
            "tlsAuthorities=\(others.path("ca.pem"))", "",
            "tlsServerName=redis.example.org&tlsAuthorities=\(papers.path("ca.pem"))",
        ] {
            let url = "rediss://localhost:\(server.port)?app=test&\(query)"
            try await withNode(try RedisConfiguration(url: url), untilLive: false) { _, inbox in
                let log = try await inbox.wait { $0.interruptions.count >= 2 }
                #expect(log.liveExtents.isEmpty)
                let detail = log.interruptions[0].detail
                #expect(detail.contains("TLS") && detail.contains("certificate"), "\(detail)")
            }
        }
    }

    @Test("the name that the certificate must be for may be another than the host")
    func serverName() async throws {
        let papers = try Papers(serverName: "redis.example.org", address: "127.0.0.9")
        let server = try await papers.server()
        let url = "rediss://127.0.0.1:\(server.port)?app=test&tlsAuthorities=\(papers.path("ca.pem"))"
        try await withNode(try RedisConfiguration(url: url), untilLive: false) { _, inbox in
            try await inbox.wait { !$0.interruptions.isEmpty }
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
            #expect(try await inbox.wait { !$0.interruptions.isEmpty }.liveExtents.isEmpty)
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

    @Test("a Redis that speaks no TLS, and a client that doesn't, are told apart from a Redis that is away")
    func mixedUp() async throws {
        let papers = try Papers()
        let (plain, secure) = (try await RedisServer.started(), try await papers.server())
        let url = "rediss://localhost:\(plain.port)?app=test&tlsAuthorities=\(papers.path("ca.pem"))"
        try await withNode(try RedisConfiguration(url: url), untilLive: false) { _, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.interruptions[0].detail.contains("TLS"), "\(log.interruptions[0].detail)")
        }
        try await withNode(try secure.configuration(), untilLive: false) { _, inbox in
            #expect(try await inbox.wait { !$0.interruptions.isEmpty }.liveExtents.isEmpty)
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

/// An authority of one test, and certificates by it for a server and for a client, made by `openssl`.
private final class Papers: Sendable {
    private let directory: URL

    init(serverName: String = "localhost", address: String = "127.0.0.1") throws {
        self.directory = URL.temporaryDirectory.appending(path: "busbar-papers-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        try self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=an authority of Busbar's tests", "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        try self.issue("server", names: "DNS:\(serverName),IP:\(address)")
        try self.issue("client", names: "DNS:client")
    }

    deinit {
        try? FileManager.default.removeItem(at: self.directory)
    }

    func path(_ name: String) -> String { self.directory.appending(path: name).path() }

    func server(asksClients: Bool = false) async throws -> RedisServer {
        let server = try RedisServer()
        try await server.start([
            "--tls-port", "\(server.port)", "--port", "0", "--tls-cert-file", self.path("server.pem"),
            "--tls-key-file", self.path("server.key"), "--tls-ca-cert-file", self.path("ca.pem"),
            "--tls-auth-clients", asksClients ? "yes" : "no",
        ])
        return server
    }

    private func issue(_ name: String, names: String) throws {
        try self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=\(name)",
            "-keyout", self.path("\(name).key"), "-out", self.path("\(name).csr"))
        try "subjectAltName=\(names)".write(toFile: self.path("\(name).ext"), atomically: true, encoding: .utf8)
        try self.openssl(
            "x509", "-req", "-in", self.path("\(name).csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
            "-CAcreateserial", "-days", "2", "-extfile", self.path("\(name).ext"), "-out", self.path("\(name).pem"))
    }

    private func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = try RedisTests.program("openssl")
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
}
#endif
