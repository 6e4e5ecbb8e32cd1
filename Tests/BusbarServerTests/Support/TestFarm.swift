import Busbar
import BusbarHub
import BusbarMemory
import BusbarServer

/// Servers of one app on one broker in memory, each with a port, a bus and a diary of its own.
struct TestFarm: Sendable {
    struct Node: Sendable {
        let server: TestServer
        let diary: Diary

        /// Sends to all clients of the app, as this node's application does.
        func send(_ text: String) async throws {
            try await self.server.server.context(named: "EchoHub")?.clients.all.messageReceived(text)
        }
    }

    let nodes: [Node]

    /// Runs `body` when all nodes know each other.
    static func run(
        nodes count: Int, _ settings: HubConfiguration = .init(),
        body: @escaping @Sendable (TestFarm) async throws -> Void
    ) async throws {
        let broker = MemoryBroker(), key = FarmKey.generate()
        let buses = (0..<count).map { _ in TestBus.make(broker: broker, key: key) }
        try await Self.open(buses[...], settings, []) { farm in
            let deadline = ContinuousClock.now + .seconds(60)
            while !farm.nodes.allSatisfy({ $0.knows(count) }) {
                guard ContinuousClock.now < deadline else { throw MalformedResponse(text: "the nodes don't meet") }
                _ = try await farm.nodes[0].server.get("/health")
            }
            try await body(farm)
        }
    }

    private static func open(
        _ buses: ArraySlice<Bus>, _ settings: HubConfiguration, _ nodes: [Node],
        _ body: @escaping @Sendable (TestFarm) async throws -> Void
    ) async throws {
        guard let bus = buses.first else { return try await body(TestFarm(nodes: nodes)) }
        try await TestServer.chat(settings, bus: bus) { server, diary in
            try await Self.open(
                buses.dropFirst(), settings, nodes + [Node(server: server, diary: diary)], body)
        }
    }

    /// What the hubs of all nodes have seen, in no order.
    var events: [String] { self.nodes.flatMap(\.diary.all) }
}

extension TestFarm.Node {
    fileprivate func knows(_ count: Int) -> Bool {
        let runtime = self.server.server.runtime
        return runtime.nodes.count == count && runtime.knowsAllNodes
    }
}
