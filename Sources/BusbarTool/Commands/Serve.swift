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

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// `busbar serve`: the chat sample on any backplane of this build.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves the chat sample until it is told to stop (Ctrl-C).",
        discussion: """
            Every option can also be set in the environment (BUSBAR_PORT for --port) and in the file that --config \
            names (port: 8080). Flags beat the environment, the environment beats the file.
            """
    )

    @OptionGroup var options: CommonOptions

    @OptionGroup var serving: ServingOptions

    @Option(help: "Port to listen on; 0 picks a free one. (default: 8080)")
    var port: String?

    @Option(help: "Name of this node in logs and on the page.")
    var node: String?

    @Flag(help: ArgumentHelp("Stop when standard input ends, as it does when the farm is gone.", visibility: .hidden))
    var untilInputEnds = false

    func run() async throws {
        let own = [Setting.port.key: self.port, Setting.node.key: self.node]
        let settings = try await self.options.settings(and: self.serving.flags.merging(own) { _, last in last })
        let logger = Self.logger(settings)
        let eventLoops = Self.eventLoops(settings)
        let server = try Self.server(settings, eventLoops: eventLoops, logger: logger)
        let port: Int
        do {
            port = try await server.bind()
        } catch {
            throw ToolError.failure(String(describing: error))
        }
        var services = [
            ServiceGroupConfiguration.ServiceConfiguration(
                service: Announced(server: server, url: "http://\(settings.text(.host) ?? ""):\(port)")
            )
        ]
        if self.untilInputEnds {
            services.append(
                .init(service: InputWatch(eventLoops: eventLoops), successTerminationBehavior: .gracefullyShutdownGroup)
            )
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services,
                gracefulShutdownSignals: [.sigint, .sigterm],
                logger: Logger(label: "busbar.lifecycle", factory: { _ in SwiftLogNoOpLogHandler() })
            )
        )
        do {
            try await group.run()
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
        let backplane = try Backplane(settings)
        var bus = backplane.busConfiguration(key: try Backplane.farmKey(settings))
        if let policy = Self.offlinePolicy(settings) { (bus.whileStarting, bus.whileAway) = (policy, policy) }
        var hubs = HubConfiguration()
        hubs.detailedErrors = settings.isOn(.detailedErrors)
        let node = settings.text(.node) ?? Self.nodeName(settings)
        hubs.nodeName = node
        var configuration = ServerConfiguration()
        configuration.host = settings.text(.host) ?? configuration.host
        configuration.port = settings.integer(.port)
        configuration.http.connections = settings.integer(.connections)
        configuration.resources = ChatSample.resources
        let origins = settings.list(.origins)
        configuration.allowedOrigins = origins.isEmpty ? nil : Set(origins)
        let driver = try backplane.makeDriver()
        do {
            return try BusbarServer(
                bus: Bus(driver: driver, configuration: bus, logger: logger),
                hubs: [ChatSample.hub(node: node)],
                configuration: configuration,
                hubConfiguration: hubs,
                eventLoops: eventLoops,
                logger: logger
            )
        } catch {
            throw ToolError.usage(String(describing: error))
        }
    }

    /// Nil: the bus's own, which is to buffer.
    private static func offlinePolicy(_ settings: Settings) -> OfflinePolicy? {
        switch settings.text(.offline) {
        case "fail": .fail
        case "local": .deliverLocally
        default: nil
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

    static func logger(_ settings: Settings) -> Logger {
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

/// Ends the service group when standard input does. Whoever started this process holds the other end.
private struct InputWatch: Service {
    let eventLoops: MultiThreadedEventLoopGroup

    func run() async throws {
        let input = try await NIOPipeBootstrap(group: self.eventLoops)
            .takingOwnershipOfDescriptor(input: dup(STDIN_FILENO)).get()
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await input.closeFuture.get()
        } onCancelOrGracefulShutdown: {
            input.close(promise: nil)
        }
    }
}
