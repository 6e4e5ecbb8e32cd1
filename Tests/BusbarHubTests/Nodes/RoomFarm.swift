import Busbar
import BusbarFaults
import BusbarHub
import BusbarMemory
import Logging
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// Several hub runtimes on one memory broker, each with a bus, a link that can be cut, and event loops of its own.
struct RoomFarm: Sendable {
    let rooms: [Room]
    let buses: [Bus]
    let drivers: [FaultyDriver]
    private let lives: [AsyncStream<Void>.Continuation]

    /// Runs `body` when all nodes know each other, and takes the farm apart.
    /// - Parameter more: hubs beside the one that every room has.
    static func open(
        nodes count: Int = 2, loops loopCount: Int = 1, streams: Int = 1, hubs more: [HubRegistration] = [],
        persistentConnections: [PersistentConnectionRegistration] = [], configuration: HubConfiguration = .init(),
        _ body: @escaping @Sendable (RoomFarm) async throws -> Void
    ) async throws {
        let loops = (0..<count).map { _ in MultiThreadedEventLoopGroup(numberOfThreads: loopCount) }
        let broker = MemoryBroker(), key = FarmKey.generate()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let drivers = (0..<count).map { _ in FaultyDriver(wrapping: MemoryDriver(broker: broker)) }
        let buses = drivers.map { driver in
            var settings = BusConfiguration()
            settings.farmKey = key
            settings.streams = streams
            return Bus(driver: driver, configuration: settings, logger: logger)
        }
        let rooms = try (0..<count).map { index in
            let journal = Journal(), gate = Gate()
            var configuration = configuration
            configuration.nodeName = "node \(index)"
            let runtime = try HubRuntime(
                bus: buses[index],
                hubs: [
                    .hub(TestHub.self) { TestHub($0, journal: journal, gate: gate) },
                    .hub(TestHub.self, name: "Other") { TestHub($0, journal: journal, gate: gate) },
                ] + more,
                persistentConnections: persistentConnections, configuration: configuration,
                eventLoops: loops[index], logger: logger)
            return Room(runtime: runtime, loops: loops[index], journal: journal, gate: gate)
        }
        let lives = (0..<count).map { _ in AsyncStream.makeStream(of: Void.self) }
        let farm = RoomFarm(rooms: rooms, buses: buses, drivers: drivers, lives: lives.map(\.continuation))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<count {
                let life = lives[index].stream
                group.addTask { await Self.live(life, buses[index], rooms[index].runtime) }
            }
            for room in rooms { await room.runtime.settle() }
            let result: Result<Void, any Error>
            do {
                try await farm.wait { room in room.runtime.nodes.count == count && room.runtime.knowsAllNodes }
                result = .success(try await body(farm))
            } catch {
                result = .failure(error)
            }
            for room in rooms { room.gate.open() }
            group.cancelAll()
            try await group.waitForAll()
            try result.get()
        }
        for group in loops { try await group.shutdownGracefully() }
    }

    /// Runs a node until its life is ended from outside: then everything of it stops at once, and it says goodbye to
    /// nobody.
    private static func live(_ life: AsyncStream<Void>, _ bus: Bus, _ runtime: HubRuntime) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await bus.run() }
            group.addTask { try? await runtime.run() }
            group.addTask { for await _ in life {} }
            await group.next()
            group.cancelAll()
        }
    }

    func kill(_ index: Int) { self.lives[index].finish() }

    /// Cuts a node's link, and returns when its bus knows: what is sent before that waits for the broker.
    func cut(_ index: Int) async throws {
        self.drivers[index].cut()
        while self.buses[index].status.phase == .live { try await Task.turn() }
    }

    /// Waits for something that changes with what nodes hear of each other, on every node that lives or on some.
    func wait(on indices: [Int]? = nil, until holds: (Room) -> Bool) async throws {
        let indices = indices ?? Array(self.rooms.indices)
        let signs = try await self.buses[indices[0]].subscribe(to: [HubTopics.nodes])
        let iterator = signs.makeAsyncIterator()
        while !indices.allSatisfy({ holds(self.rooms[$0]) }) { _ = try await iterator.next() }
        signs.cancel()
    }
}
