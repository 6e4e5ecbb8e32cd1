import Busbar
import BusbarDriver
import BusbarHub
import Foundation
import Logging
import NIOPosix

#if Redis
import BusbarRedis
#endif

/// Sends to the clients of a hub and serves nobody: a billing run, a scheduled job, anything that has something to say.
///
///     busbar-sender redis://127.0.0.1:6379 "The shop closes in ten minutes."
///
/// The hub itself runs on other nodes; here only its name is known. The message takes the same way through the broker as
/// one that a node sends, so every client gets it in the same place among the others.
@main
struct Sender {
    static func main() async {
        do {
            try await Self.send(Array(CommandLine.arguments.dropFirst()))
        } catch let error as Usage {
            Self.end(error.text, status: 64)
        } catch {
            Self.end("\(error)", status: 1)
        }
    }

    private static func send(_ arguments: [String]) async throws {
        guard arguments.count == 2 else { throw Usage(text: "usage: busbar-sender BACKPLANE TEXT") }
        let bus = try Self.bus(arguments[0])
        let hubs = try HubRuntime(
            bus: bus, hubs: [.elsewhere("ChatHub")], eventLoops: MultiThreadedEventLoopGroup.singleton,
            logger: Self.logger)
        guard let chat = hubs.context(named: "ChatHub") else { throw Usage(text: "no such hub") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bus.run() }
            group.addTask { try await hubs.run() }
            // Returns once the broker has stored it; waits while the broker is away, and then throws.
            do { try await chat.clients.all.messageReceived(arguments[1]) } catch {
                throw Unsent(text: "\(error); the backplane: \(bus.status.detail ?? "no link so far")")
            }
            group.cancelAll()
        }
    }

    private static func bus(_ url: String) throws -> Bus {
        do throws(BackplaneURLError) {
            var drivers = DriverRegistry()
            #if Redis
            try drivers.register(.redis)
            #endif
            // The app and the number of streams must be what the nodes use: an app is a namespace on the broker.
            return try Bus(BackplaneURL(url), drivers: drivers, logger: Self.logger)
        } catch {
            throw Usage(text: "\(error)")
        }
    }

    /// Why silent: what goes wrong is thrown, and told in one line.
    private static let logger = Logger(label: "busbar-sender", factory: { _ in SwiftLogNoOpLogHandler() })

    private struct Usage: Error { let text: String }

    private struct Unsent: Error, CustomStringConvertible {
        let text: String
        var description: String { self.text }
    }

    private static func end(_ text: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data("busbar-sender: \(text)\n".utf8))
        exit(status)
    }
}
