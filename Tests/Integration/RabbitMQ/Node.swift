import BusbarConformance
import BusbarDriver
import BusbarRabbitMQ
import Foundation
import NIOCore
import Synchronization
import Testing

/// Apps that nobody has used before, on the broker of this process.
struct RabbitUnderTest: DriverUnderTest {
    let name = "rabbitmq"
    let limitsRetention = false
    let server: RabbitServer

    func makeApp(_ options: AppOptions) async throws -> any AppUnderTest { RabbitApp(server: self.server) }
}

struct RabbitApp: AppUnderTest {
    let server: RabbitServer
    let name = "kit-\(UUID().uuidString.prefix(8))"
    var faults: (any BrokerFaults)? { nil }

    func makeNode() async throws -> any BackplaneDriver {
        RabbitMQDriver(try RabbitMQConfiguration(url: try await self.server.url("app=\(self.name)")))
    }

    func remove() async {}
}
