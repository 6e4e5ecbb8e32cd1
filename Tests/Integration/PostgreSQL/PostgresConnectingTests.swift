import BrokerTestSupport
import BusbarCertification
import BusbarDriver
import BusbarPostgreSQL
import Foundation
import Testing

@Suite("ways to a real PostgreSQL", .enabled(if: PostgresTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct PostgresConnectingTests {
    @Test("sslmode=verify-full encrypts both connections; another authority or name is refused, and says so")
    func verifiedTLS() async throws {
        let (papers, others) = (try Papers(address: "127.0.0.9"), try Papers())
        let server = try await PostgresServer.startedBehindTLS(papers)
        let trust = "sslmode=verify-full&sslrootcert=\(papers.path("ca.pem"))"
        try await withNode(try server.configuration(host: "localhost", trust)) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("secret"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["secret"])
            #expect(try server.sql(Self.ours(and: "ssl")) == "2")
        }
        for (host, query, reason) in [
            ("localhost", "sslmode=verify-full&sslrootcert=\(others.path("ca.pem"))", "certificate verify failed"),
            ("127.0.0.1", trust, "does not match host name"),
            ("localhost", "sslmode=verify-full&sslrootcert=\(papers.path("absent.pem"))", "absent.pem"),
        ] {
            try await withNode(try server.configuration(host: host, query), untilLive: false) { _, inbox in
                let log = try await inbox.wait { !$0.interruptions.isEmpty }
                #expect(log.liveExtents.isEmpty && log.interruptions[0].detail.contains(reason))
            }
        }
        let plain = await reasonForGivingUp(try server.configuration(host: "127.0.0.1", "sslmode=disable"))
        #expect(plain?.code == .unauthorized && plain?.detail.contains("no encryption") == true)
    }

    @Test("a role that has to show a certificate does so with sslcert and sslkey, and is refused without")
    func clientCertificate() async throws {
        let papers = try Papers()
        let server = try await PostgresServer.startedBehindTLS(papers, asksClients: true)
        try server.sql("CREATE ROLE client LOGIN SUPERUSER")
        let trust = "sslmode=verify-full&sslrootcert=\(papers.path("ca.pem"))"
        let own = "&sslcert=\(papers.path("client.pem"))&sslkey=\(papers.path("client.key"))"
        try await withNode(try server.configuration(user: "client", host: "localhost", trust + own)) { _, _ in }
        let nobody = await reasonForGivingUp(
            try server.configuration(user: "client", host: "127.0.0.1", trust + "&sslcert=none&sslkey=none"))
        #expect(nobody?.code == .unauthorized, "\(nobody?.detail ?? "it runs")")
    }

    @Test("a Unix socket serves as well as a port")
    func unixSocket() async throws {
        let server = try await PostgresServer.started()
        let directory = server.directory.path().replacing("/", with: "%2F")
        try await withNode(try server.configuration(host: directory, "")) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("nearby"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["nearby"])
            #expect(try server.sql(Self.ours(and: "client_addr IS NULL")) == "2")
        }
    }

    /// Asks how many connections of ours fulfil a condition.
    private static func ours(and condition: String) -> String {
        "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) "
            + "WHERE application_name LIKE 'busbar%' AND \(condition)"
    }
}

extension PostgresServer {
    /// A cluster that takes nobody over TCP who doesn't encrypt.
    /// - Parameter asksClients: the role `client` has to show a certificate of its name.
    fileprivate static func startedBehindTLS(_ papers: Papers, asksClients: Bool = false) async throws -> PostgresServer
    {
        let server = try PostgresServer()
        // Why copied: a key has to belong to whoever runs the server, and to be nobody else's to read.
        for name in ["server.pem", "server.key", "ca.pem"] {
            try Command.run("/bin/cp", [papers.path(name), server.data.path()])
            let copy = server.data.appending(path: name).path()
            if geteuid() == 0 { try Command.run("/bin/chown", ["postgres", copy]) }
            try Command.run("/bin/chmod", ["600", copy])
        }
        let rules = server.directory.appending(path: "hba.conf")
        let asked = asksClients ? "hostssl all client 127.0.0.1/32 cert\n" : ""
        try "\(asked)hostssl all all 127.0.0.1/32 trust\n".write(to: rules, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: rules.path())
        try await server.start([
            "hba_file=\(rules.path())", "ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key",
            "ssl_ca_file=ca.pem",
        ])
        return server
    }

    fileprivate func configuration(
        user: String = "postgres", host: String, _ query: String
    ) throws -> PostgresConfiguration {
        var configuration = try self.configuration()
        configuration.server = Secret("postgres://\(user)@\(host):\(self.port)/postgres?\(query)")
        return configuration
    }
}
