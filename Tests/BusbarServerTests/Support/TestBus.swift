import Busbar
import BusbarMemory
import Logging

enum TestBus {
    static func make(logger: Logger) -> Bus {
        Bus(driver: MemoryDriver(), logger: logger)
    }
}
