import ArgumentParser
import Busbar
import BusbarChat
import BusbarHub
import BusbarServer
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// `busbar serve`: the chat sample on any backplane of this build.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves the chat sample until it is told to stop (Ctrl-C).",
        discussion: """
            Every option can also be set in the environment (BUSBAR_PORT for --port) and in the file that --config names \
            (port: 8080). Flags beat the environment, the environment beats the file.
            """
    )

    @OptionGroup var options: CommonOptions

    @Option(help: "Address to listen on.")
    var host: String?

    @Option(help: "Port to listen on; 0 picks a free one. (default: 8080)")
    var port: String?

    @Option(help: "Namespace on the broker.")
    var app: String?

    @Option(help: "Name of this node in logs and on the page.")
    var node: String?

    @Option(help: "Event loops; 0: one per core.")
    var loops: String?

    @Option(help: "Most connections at a time.")
    var connections: String?

    @Option(help: "Origins that browsers may connect from, comma-separated.")
    var origins: String?

    @Flag(help: "Show clients the text of every error of a hub method.")
    var detailedErrors = false

    @Option(help: "Least severe entries to log: trace, debug, info, notice, warning or error.")
    var logLevel: String?

    func run() async throws {
        let settings = try await self.options.settings(and: [
            Setting.host.key: self.host,
            Setting.port.key: self.port,
            Setting.app.key: self.app,
            Setting.node.key: self.node,
            Setting.loops.key: self.loops,
            Setting.connections.key: self.connections,
            Setting.origins.key: self.origins,
            Setting.detailedErrors.key: self.detailedErrors ? "true" : nil,
            Setting.logLevel.key: self.logLevel,
        ])
        let logger = Self.logger(settings)
        let eventLoops = Self.eventLoops(settings)
        let server = try Self.server(settings, eventLoops: eventLoops, logger: logger)
        let port: Int
        do {
            port = try await server.bind()
        } catch {
            throw ToolError.failure(String(describing: error))
        }
        let services = ServiceGroup(
            services: [Announced(server: server, url: "http://\(settings.text(.host) ?? ""):\(port)")],
            gracefulShutdownSignals: [.sigint, .sigterm],
            logger: Logger(label: "busbar.lifecycle", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        do {
            try await services.run()
        } catch {
            throw ToolError.failure("stopped: \(error)")
        }
        Console.line("Busbar has stopped.")
    }

    private static func server(
        _ settings: Settings,
        eventLoops: MultiThreadedEventLoopGroup,
        logger: Logger
    ) throws -> BusbarServer {
        var bus = BusConfiguration()
        bus.app = settings.text(.app) ?? bus.app
        if let secret = settings.text(.key) {
            guard let key = FarmKey(secret: secret) else {
                throw ToolError.usage("key must have at least \(FarmKey.smallestSecretBytes) bytes")
            }
            bus.farmKey = key
        }
        var hubs = HubConfiguration()
        hubs.detailedErrors = settings.isOn(.detailedErrors)
        var configuration = ServerConfiguration()
        configuration.host = settings.text(.host) ?? configuration.host
        configuration.port = settings.integer(.port)
        configuration.http.connections = settings.integer(.connections)
        configuration.resources = ChatSample.resources
        let origins = settings.list(.origins)
        configuration.allowedOrigins = origins.isEmpty ? nil : Set(origins)
        let driver = try BackplaneURL.driver(for: settings.text(.backplane) ?? "")
        do {
            try bus.validate()
            return try BusbarServer(
                bus: Bus(driver: driver, configuration: bus, logger: logger),
                hubs: [ChatSample.hub(node: settings.text(.node) ?? Self.nodeName(settings))],
                configuration: configuration,
                hubConfiguration: hubs,
                eventLoops: eventLoops,
                logger: logger
            )
        } catch {
            throw ToolError.usage(String(describing: error))
        }
    }

    /// Nodes on one machine differ by port; where the system picks that, by process.
    private static func nodeName(_ settings: Settings) -> String {
        let port = settings.integer(.port)
        return port == 0 ? "process \(ProcessInfo.processInfo.processIdentifier)" : "node \(port)"
    }

    private static func eventLoops(_ settings: Settings) -> MultiThreadedEventLoopGroup {
        let count = settings.integer(.loops)
        return count == 0 ? .singleton : MultiThreadedEventLoopGroup(numberOfThreads: count)
    }

    private static func logger(_ settings: Settings) -> Logger {
        var logger = Logger(label: "busbar", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = settings.text(.logLevel).flatMap(Logger.Level.init(rawValue:)) ?? .info
        return logger
    }
}

/// A server that says where it listens once a signal to stop it would be heeded.
private struct Announced: Service {
    let server: BusbarServer
    let url: String

    func run() async throws {
        Console.line("Busbar is listening on \(self.url)")
        try await self.server.run()
    }
}
