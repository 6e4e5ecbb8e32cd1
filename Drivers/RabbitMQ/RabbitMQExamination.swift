import BusbarDriver

/// Looks at a RabbitMQ as an operator would: who it is, how it is reached, what it will keep. It changes nothing.
enum RabbitMQExamination {
    static func findings(at url: BackplaneURL, app: String) async -> [DriverFinding] {
        let configuration: RabbitMQConfiguration
        do throws(BackplaneURLError) {
            configuration = try RabbitMQConfiguration(registered: url, app: app)
        } catch {
            return [DriverFinding(.wrong, "url", error.description)]
        }
        // Why no finding if it can't be reached: whoever examines also runs the driver, and that says better what is wrong.
        guard let facts = try? await RabbitMQErrand.run([], of: configuration) else { return [] }
        return Self.judge(facts, configuration)
    }

    static func judge(_ facts: BrokerFacts, _ configuration: RabbitMQConfiguration) -> [DriverFinding] {
        var findings: [DriverFinding] = []
        if facts.product == "RabbitMQ" {
            let isFit = !facts.version.lexicographicallyPrecedes([3, 9])
            let name = "RabbitMQ \(facts.version.map(String.init).joined(separator: "."))"
            findings.append(
                isFit
                    ? DriverFinding(.good, "version", name)
                    : DriverFinding(.wrong, "version", "\(name) has no stream queues", remedy: "RabbitMQ 3.9 or later"))
        } else {
            findings.append(
                DriverFinding(.advice, "version", "this broker says that it is \(facts.product ?? "nothing")"))
        }
        findings.append(
            DriverFinding(
                .good, "retention",
                "a stream keeps \(configuration.retainedBytes) bytes or \(configuration.retainedAge), in files of "
                    + "\(configuration.segmentBytes) bytes; survives the broker's end"))
        if let tls = configuration.tls {
            findings.append(
                tls.isVerified
                    ? DriverFinding(.good, "protection", "TLS; the broker's certificate and name are checked")
                    : DriverFinding(
                        .advice, "protection", "TLS, but anybody may claim to be the broker",
                        remedy: "leave out verify=none"))
        } else if !configuration.hosts.allSatisfy({ ["localhost", "127.0.0.1", "::1"].contains($0.name) }) {
            findings.append(
                DriverFinding(
                    .advice, "protection", "password and messages travel in the clear", remedy: "use amqps://"))
        }
        return findings
    }
}

/// What a broker says of itself.
package struct BrokerFacts: Hashable, Sendable {
    package let product: String?
    package let version: [Int]
}
