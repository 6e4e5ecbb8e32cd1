import Busbar
import BusbarDriver
import BusbarFaults
import BusbarHub
import BusbarMemory
import BusbarServer
import Logging
import NIOCore
import TestSupport
import Testing

@Suite("A server that starts", .timeLimit(.minutes(1)))
struct StartingTests {
    private let broker = MemoryBroker()
    private let driver: FaultyDriver
    private let bus: Bus

    init() {
        self.driver = FaultyDriver(wrapping: MemoryDriver(broker: self.broker))
        self.driver.cut()
        self.bus = Self.bus(self.driver)
    }

    private static func bus(_ driver: any BackplaneDriver) -> Bus {
        Bus(driver: driver, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
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

    @Test("answers nobody before its hello lies in the log, behind which every other node knows it")
    func introduction() async throws {
        try await TestServer.run(bus: self.bus, { $0.startTimeout = .seconds(60) }) { server in
            let observer = Self.bus(MemoryDriver(broker: self.broker))
            try await withThrowingTaskGroup { group in
                group.addTask { try await observer.run() }
                let signs = try await observer.subscribe(to: [HubTopics.nodes])
                async let phase = self.phaseWhenAnswered(by: server)
                // Why: by then the hello could not be sent, and waits for another turn.
                try await TestServer.run { other in
                    for _ in 0..<20 { _ = try await other.get("/health") }
                }
                try await self.driver.restore()
                _ = try await phase
                try await observer.publish(ByteBuffer(string: "answered"), to: HubTopics.nodes)
                let iterator = signs.makeAsyncIterator()
                let first = try #require(try await iterator.next()).messages.first
                #expect(first.map { String(buffer: $0.payload) } != "answered")
                group.cancelAll()
            }
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
