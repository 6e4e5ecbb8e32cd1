import Busbar
import BusbarHub
import BusbarMemory
import BusbarServer
import CLoad
import Logging
import NIOCore

/// Busbar as a user's program runs it, on the measured loop: hub, server and memory driver in one process.
final class BusbarSide: Side {
    let crowd: Crowd
    private let context: HubContext
    private let running: Task<Void, any Error>

    init(loop: MeasuredLoop, connections: Int) async throws {
        let logger = Logger(label: "fanout") { _ in SwiftLogNoOpLogHandler() }
        var configuration = ServerConfiguration()
        configuration.port = 0
        let server = try BusbarServer(
            bus: Bus(driver: MemoryDriver(), logger: logger), hubs: [.hub(FanOutHub.self, path: "/chat")],
            configuration: configuration, eventLoops: loop.eventLoops, logger: logger)
        guard let context = server.context(for: FanOutHub.self) else { throw BenchmarkError("the hub is not served") }
        let port = try await server.bind()
        self.context = context
        self.running = Task { try await server.run() }
        try await Self.waitUntilServing(port)
        self.crowd = try Crowd(port: port, connections: connections, greeting: GREETING_SIGNALR, path: "/chat")
    }

    /// A connection is answered once the hubs run.
    private static func waitUntilServing(_ port: Int) async throws {
        for _ in 0..<100 {
            if let probe = try? Crowd(port: port, connections: 1, greeting: GREETING_SIGNALR, path: "/chat") {
                return try probe.stop()
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchmarkError("the server does not answer")
    }

    /// Publishes so many messages to everybody, one after the other.
    func broadcast(_ messages: Int) async throws {
        for text in self.crowd.nextTexts(messages) {
            try await self.context.clients.all.messageReceived(text)
        }
    }

    func stop() async throws {
        try self.crowd.stop()
        self.running.cancel()
        try? await self.running.value
    }
}

struct FanOutHub: Hub {
    let call: HubCall

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] { [] }
}
