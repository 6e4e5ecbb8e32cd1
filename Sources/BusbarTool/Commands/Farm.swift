import ArgumentParser
import BusbarDriver
import FoundationEssentials
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// `busbar farm`: a web farm on one machine.
struct Farm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Runs several nodes of the chat sample, each a process of its own, on consecutive ports (Ctrl-C ends all).",
        discussion: """
            With a backplane the nodes hear each other; without one they don't, and the farm says so. All nodes share \
            one key: the configured one, or one that is made for this run.

            A node that ends by itself is reported and started again, first after 1 s, later up to 30 s. A node that \
            ends before it has ever served ends the farm. Stopping, each node has 15 s to say goodbye to its clients.
            """
    )

    @OptionGroup var options: CommonOptions

    @OptionGroup var serving: ServingOptions

    @Option(help: "Number of nodes, 1 to 64.")
    var nodes = 2

    @Option(help: "Port of the first node; the others take the ones after it. (default: 8080)")
    var port: String?

    func validate() throws {
        guard (1...64).contains(self.nodes) else {
            throw ValidationError("--nodes must be from 1 to 64, not \(self.nodes)")
        }
    }

    func run() async throws {
        let settings = try await self.options.settings(
            and: self.serving.flags.merging([Setting.port.key: self.port]) { _, last in last })
        let backplane = try Backplane(settings)
        _ = try Backplane.farmKey(settings)
        let host = settings.text(.host) ?? ""
        let ports = try await self.ports(settings, host: host)
        let shared = Self.environment(of: settings)
        let nodes = ports.map { port in
            let name = "node \(port)"
            let own = [Setting.port.environmentName: String(port), Setting.node.environmentName: name]
            return FarmRun.Node(
                name: name, url: "http://\(host):\(port)", environment: shared.merging(own) { _, last in last })
        }
        try await FarmRun(nodes: nodes, notice: try Self.notice(backplane)).run()
    }

    /// What the operator should know about who hears whom.
    private static func notice(_ backplane: Backplane) throws -> String {
        let (name, url) = (backplane.registration.name, backplane.url)
        return switch backplane.registration.reach {
        case .broker:
            "The nodes hear each other through \(name) at \(url), app \(backplane.app)."
        case .process:
            "The nodes do NOT hear each other: the backplane is \(url), which stays within one process. Name a broker "
                + "that they share, such as --backplane \(try Doctor.exampleOfBroker())"
        }
    }

    /// The settings as the nodes' environment. Why not as arguments: those can be read by every user of the machine.
    private static func environment(of settings: Settings) -> [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("BUSBAR_") }
        for entry in settings.entries where entry.origin != .preset {
            environment[entry.setting.environmentName] = entry.value
        }
        if settings.text(.key) == nil {
            var random = SystemRandomNumberGenerator()
            let words = (0..<4).map { _ in String(random.next(), radix: 36) }
            environment[Setting.key.environmentName] = words.joined(separator: "-")
        }
        return environment
    }

    /// The nodes' ports, each found to be free.
    private func ports(_ settings: Settings, host: String) async throws -> ClosedRange<Int> {
        let first = settings.integer(.port)
        let last = first + self.nodes - 1
        guard first > 0, last <= 65_535 else {
            throw ToolError.usage(
                "port must be from 1 to \(65_536 - self.nodes) for \(self.nodes) nodes, not '\(first)'")
        }
        for port in first...last {
            do {
                let probe = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .bind(host: host, port: port).get()
                try await probe.close()
            } catch {
                let why = (error as? IOError)?.errnoCode == EADDRINUSE ? "it is in use" : "\(error)"
                throw ToolError.failure(
                    "cannot listen on \(host):\(port), the port of node \(port - first + 1) of \(self.nodes): \(why); "
                        + "choose another --port or stop what uses it")
            }
        }
        return first...last
    }
}
