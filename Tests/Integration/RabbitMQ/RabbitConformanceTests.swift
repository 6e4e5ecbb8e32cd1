import BusbarConformance
import BusbarDriver
import BusbarRabbitMQ
import Testing

extension RabbitTests {
    @Suite("the conformance kit", .timeLimit(.minutes(5)))
    struct Conformance {
        @Test("every law of level A holds", arguments: ConformanceKit.cases(upTo: .a).map(\.name))
        func lawsInCalm(name: String) async throws {
            let server = try await RabbitServer.shared.started()
            let cases = ConformanceKit.cases(upTo: .a).filter { $0.name == name }
            for result in await ConformanceRunner(RabbitUnderTest(server: server)).run(cases) {
                if case .failed(let seen, let law) = result.outcome { Issue.record("\(law) Seen: \(seen)") }
            }
        }
    }
}
