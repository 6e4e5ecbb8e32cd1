import Busbar
import BusbarDriver
import BusbarFaults
import BusbarMemory
import Testing

/// What a case runs on: the memory driver bare, and behind the wrapper with faults of every kind.
enum Backplane: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case memory
    case faulty

    var testDescription: String { self.rawValue }

    func driver(_ broker: MemoryBroker = MemoryBroker(), seed: UInt64 = 1) -> any BackplaneDriver {
        switch self {
        case .memory: MemoryDriver(broker: broker)
        case .faulty: FaultyDriver(wrapping: MemoryDriver(broker: broker), mix: .rough, seed: seed)
        }
    }
}

extension BusConfiguration {
    /// Looks often enough that a lost last message is noticed at once in human terms.
    static var watchful: Self {
        var configuration = Self()
        configuration.checkInterval = .milliseconds(60)
        configuration.holdTime = .seconds(2)
        return configuration
    }
}
