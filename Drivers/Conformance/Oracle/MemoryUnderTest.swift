import BusbarDriver
import BusbarFaults
public import BusbarMemory
import Synchronization

/// The memory driver before the kit: the oracle, and an example of what a driver author writes.
///
/// With `simulatingFaults` its links can be cut and its broker restarted, wiped and restored, in memory too.
public struct MemoryUnderTest: DriverUnderTest {
    private let limits: MemoryBroker.Limits
    private let isSimulatingFaults: Bool

    public init(limits: MemoryBroker.Limits = .init(), simulatingFaults: Bool = false) {
        self.limits = limits
        self.isSimulatingFaults = simulatingFaults
    }

    public var name: String { self.isSimulatingFaults ? "memory with simulated faults" : "memory" }
    public var limitsRetention: Bool { true }

    public func makeApp(_ options: AppOptions) async throws -> any AppUnderTest {
        var limits = self.limits
        if let count = options.retainedCount { limits.retainedCount = count }
        let broker = MemoryBroker(limits: limits)
        return self.isSimulatingFaults
            ? SimulatedApp(broker: broker, streams: options.streams) : PlainApp(broker: broker)
    }
}

private struct PlainApp: AppUnderTest {
    let broker: MemoryBroker

    var faults: (any BrokerFaults)? { nil }
    func makeNode() async throws -> any BackplaneDriver { MemoryDriver(broker: self.broker) }
    func remove() async {}
}

/// An app whose nodes have links that can be cut.
private final class SimulatedApp: AppUnderTest, BrokerFaults {
    private struct State {
        var links: [Link] = []
        var isAway = false
        var saved: [StreamID: Offset] = [:]
    }

    private struct Link {
        weak var driver: FaultyDriver?
    }

    private let broker: MemoryBroker
    private let streams: [StreamID]
    private let state = Mutex(State())

    init(broker: MemoryBroker, streams: Int) {
        self.broker = broker
        self.streams = (0..<streams).map { StreamID(UInt16($0)) }
    }

    var faults: (any BrokerFaults)? { self }
    var offered: Set<BrokerFault> { Set(BrokerFault.allCases).subtracting([.refuse, .accept]) }

    func makeNode() async throws -> any BackplaneDriver {
        let driver = FaultyDriver(wrapping: MemoryDriver(broker: self.broker))
        let isAway = self.state.withLock { state in
            state.links.append(Link(driver: driver))
            return state.isAway
        }
        if isAway { driver.cut() }
        return driver
    }

    func remove() async {}

    func inject(_ fault: BrokerFault) async throws {
        switch fault {
        case .pause: self.cut()
        case .resume: try await self.restore()
        case .kill:
            self.cut()
            for stream in self.streams { self.broker.wipe(stream) }
        case .start: try await self.restore()
        case .wipe: for stream in self.streams { self.broker.wipe(stream) }
        case .save: try await self.save()
        case .restoreOlder:
            self.cut()
            for (stream, offset) in self.state.withLock({ $0.saved }) { self.broker.rewind(stream, to: offset) }
            try await self.restore()
        case .refuse, .accept: throw UnknownFault(fault)
        case .cutLinks:
            self.cut()
            try await self.restore()
            // Why: a link that breaks takes replies with it. The next append of each node is stored without the node
            // knowing.
            for driver in self.drivers { driver.script(appends: [.loseReply]) }
        }
    }

    private var drivers: [FaultyDriver] { self.state.withLock { $0.links.compactMap(\.driver) } }

    private func cut() {
        self.state.withLock { $0.isAway = true }
        for driver in self.drivers { driver.cut() }
    }

    private func restore() async throws {
        self.state.withLock { $0.isAway = false }
        for driver in self.drivers { try await driver.restore() }
    }

    private func save() async throws {
        let reader = MemoryDriver(broker: self.broker)
        for stream in self.streams {
            let newest = try await reader.extent(of: stream).newest
            self.state.withLock { $0.saved[stream] = newest }
        }
    }
}
