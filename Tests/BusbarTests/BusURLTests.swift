import Busbar
import BusbarDriver
import BusbarMemory
import Logging
import Testing

@Suite("A bus on what a URL names")
struct BusURLTests {
    private let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private func bus(_ url: String) throws -> Bus {
        var configuration = BusConfiguration()
        configuration.app = "shop"
        configuration.streams = 2
        configuration.windowCount = 100
        return try Bus(
            BackplaneURL(url), drivers: DriverRegistry([.memory]), configuration: configuration, logger: self.logger)
    }

    @Test("app and streams of the URL go before the configuration's, and all else is the configuration's")
    func precedence() throws {
        let named = try self.bus("memory:?app=chat&streams=4").configuration
        #expect(named.app == "chat" && named.streams == 4 && named.windowCount == 100)
        let unnamed = try self.bus("memory:").configuration
        #expect(unnamed.app == "shop" && unnamed.streams == 2)
    }

    @Test("a scheme that no driver has and an option that no driver knows are refused by name")
    func refused() throws {
        let scheme = #expect(throws: BackplaneURLError.self) { try self.bus("pigeon://loft") }
        #expect(scheme.map { "\($0)".contains("pigeon") } == true)
        let option = #expect(throws: BackplaneURLError.self) { try self.bus("memory:?wings=2") }
        #expect(option.map { "\($0)".contains("wings") } == true)
    }
}
