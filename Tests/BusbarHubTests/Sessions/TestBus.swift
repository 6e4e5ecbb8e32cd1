import Busbar
import BusbarMemory
import Logging

extension Room {
    static func makeBus(_ logger: Logger) -> Bus {
        Bus(driver: MemoryDriver(), logger: logger)
    }
}
