import BusbarCertification
import BusbarDriver
import BusbarRabbitMQ
import FoundationEssentials
import NIOCore
import Testing

@Suite("RabbitMQ behind TLS", .serialized, .enabled(if: rabbitIsWanted), .timeLimit(.minutes(3)))
struct RabbitTLSTests {
    @Test("the broker's certificate and name are checked; a client's certificate can take the place of a password")
    func certificates() async throws {
        let papers = try Papers()
        let settings = ["RABBIT_TLS": papers.directory.path()]
        try await ThrowawayBroker.run("rabbit", settings: settings) { broker in
            let byAddress = broker.url.text
            let byName = byAddress.replacing("127.0.0.1", with: "localhost")
            let trust = "?app=tls&authoritiesFile=\(papers.path("ca.pem"))"
            try await Self.use("\(byName)\(trust)")

            let untrusted = await Self.ending(of: "\(byName)?app=tls")
            #expect(untrusted?.recovery == .giveUp && untrusted?.detail.contains("authoritiesFile") == true)
            let misnamed = await Self.ending(of: "\(byAddress)\(trust)")
            #expect(misnamed?.recovery == .giveUp && misnamed?.detail.contains("host's name") == true)
            try await Self.use("\(byAddress)?app=tls&verify=none")

            let own = "&certificateFile=\(papers.path("client.pem"))&keyFile=\(papers.path("client.key"))&auth=external"
            let nobody = await Self.ending(of: "\(byName)\(trust)\(own)")
            #expect(nobody?.code == .unauthorized, "\(nobody?.detail ?? "it runs")")
            try await broker.add(user: "client", password: "no-password-needed")
            try await broker.allow("client", configure: ".*", write: ".*", read: ".*")
            try await Self.use("\(byName)\(trust)\(own)")
        }
    }

    /// Appends and hears a record.
    private static func use(_ url: String) async throws {
        try await withNode(url) { node in
            _ = try await node.driver.append(batch(1, "x"), to: StreamID(0))
            try await node.inbox.hear(1)
        }
    }

    private static func ending(of url: String) async -> DriverError? { await RabbitFaultTests.ending(of: url) }
}
