import Busbar
import BusbarFaults
import BusbarMemory
import BusbarServer
import Logging
import TestSupport
import Testing

@Suite("A server that starts", .timeLimit(.minutes(1)))
struct StartingTests {
    private let driver = FaultyDriver(wrapping: MemoryDriver())
    private let bus: Bus

    init() {
        self.driver.cut()
        self.bus = Bus(driver: self.driver, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// The bus's phase when the server had answered.
    private func phaseWhenAnswered(by server: TestServer) async throws -> BusStatus.Phase {
        let answer = try await server.get("/health")
        #expect(answer.status == 200)
        return self.bus.status.phase
    }

    @Test("answers nobody before its bus knows where the streams stand, so that every cursor says it")
    func place() async throws {
        try await TestServer.run(bus: self.bus, { $0.startTimeout = .seconds(60) }) { server in
            async let phase = self.phaseWhenAnswered(by: server)
            // Why another server: what answers at once has answered by the time that one has a few times.
            try await TestServer.run { other in
                for _ in 0..<20 { _ = try await other.get("/health") }
            }
            try await self.driver.restore()
            let found = try await phase
            #expect(found == .live)
        }
    }

    @Test("serves without a broker that is away")
    func away() async throws {
        try await TestServer.run(bus: self.bus, { $0.startTimeout = .milliseconds(1) }) { server in
            let phase = try await self.phaseWhenAnswered(by: server)
            #expect(phase != .live)
        }
    }

    @Test("stops at once while it waits")
    func stops() async throws {
        let configure = { (configuration: inout ServerConfiguration) in
            configuration.startTimeout = .seconds(600)
            configuration.drainTimeout = .milliseconds(100)
        }
        try await TestServer.run(bus: self.bus, configure) { server in
            await server.stop()
            while self.bus.status.phase != .closed { try await Task.turn() }
        }
    }
}
