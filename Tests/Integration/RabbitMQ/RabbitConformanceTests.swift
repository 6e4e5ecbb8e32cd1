import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRabbitMQ
import Foundation
import Testing

/// Whether these tests can run: they start their own RabbitMQ.
///
/// Why a failure and not a skip when it is missing: what wasn't tried must not look as if it had passed. Whoever wants to
/// go without says so with `BUSBAR_TEST_WITHOUT=rabbitmq`, and the tests show up as skipped.
let rabbitIsWanted =
    !(ProcessInfo.processInfo.environment["BUSBAR_TEST_WITHOUT"] ?? "").split(separator: ",").contains("rabbitmq")

@Suite("RabbitMQ under the conformance kit", .serialized, .enabled(if: rabbitIsWanted))
struct RabbitConformanceTests {
    @Test("level A, and level B with its faults", .timeLimit(.minutes(15)))
    func certified() async throws {
        try await ThrowawayBroker.run("rabbit") { broker in
            // Quick to notice faults, so that cases need not wait for it.
            let options = "probeInterval=500&probeLimit=6000&requestLimit=6000&backOffCeiling=500"
            let rabbit = try RegisteredDriver(
                at: BackplaneURL("\(broker.url.text)?\(options)"), among: DriverRegistry([.rabbitMQ]),
                faults: broker.faults)
            let skips: Set = [
                // The driver doesn't claim what these presuppose: see the decision note on RabbitMQ's log.
                "append.repeat", "dup.ambiguous-publish", "append.high-water", "epoch.rollback",
                "epoch.rollback-ledger",
                "epoch.rollback-cursor", "read.trimmed", "position.trimmed",
            ]
            let complaints = await Certification.complaints(
                about: rabbit, running: ConformanceKit.cases(upTo: .b), expectingSkips: skips)
            #expect(complaints.isEmpty, "\(complaints)")
        }
    }
}
