import Busbar
import BusbarMemory
import Logging

enum TestBus {
    static func make(logger: Logger) -> Bus {
        Bus(driver: MemoryDriver(), logger: logger)
    }

    /// The bus of one node of a farm: nodes with the same broker and key belong together.
    static func make(broker: MemoryBroker = MemoryBroker(), key: FarmKey) -> Bus {
        var configuration = BusConfiguration()
        configuration.farmKey = key
        var logger = Logger(label: "test")
        logger.logLevel = .error
        return Bus(driver: MemoryDriver(broker: broker), configuration: configuration, logger: logger)
    }
}
