import Busbar
import BusbarDriver
import BusbarHub
import BusbarServer
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

#if Redis
import BusbarRedis
#endif

/// Notices for users: a server of one's own, with a hub, a check of who its clients are, and a backplane.
///
///     BUSBAR_KEY="the farm's own secret" NOTICES_KEY="what tokens are signed with" busbar-notices redis://127.0.0.1:6379 9091
///
/// Any number of them may share the backplane, with the same keys: nodes seal with `BUSBAR_KEY` what they hand out, and whoever
/// knows users signs their tokens with `NOTICES_KEY`, see ``SignedNames``.
@main
struct Notices {
    static func main() async {
        do {
            try await Self.serve(Array(CommandLine.arguments.dropFirst()))
        } catch let error as Usage {
            Self.end(error.text, status: 64)
        } catch {
            Self.end("\(error)", status: 1)
        }
    }

    private static func serve(_ arguments: [String]) async throws {
        guard arguments.count == 2, let port = Int(arguments[1]) else {
            throw Usage(text: "usage: busbar-notices BACKPLANE PORT")
        }
        let farmSecret = try Self.secret("BUSBAR_KEY")
        let names = SignedNames(secret: try Self.secret("NOTICES_KEY"))
        var configuration = ServerConfiguration()
        configuration.port = port
        configuration.authenticator = { request in try names.principal(of: request) }
        let server = try BusbarServer(
            bus: try Self.bus(arguments[0], secret: farmSecret),
            hubs: [.hub(NoticeHub.self, path: "/notices") { call in NoticeHub(call) }],
            configuration: configuration,
            logger: Self.logger
        )
        let bound = try await server.bind()
        print("Busbar is listening on http://127.0.0.1:\(bound)")
        fflush(nil)
        let services = ServiceGroup(
            services: [server], gracefulShutdownSignals: [.sigint, .sigterm], logger: Self.logger)
        try await services.run()
    }

    private static func secret(_ variable: String) throws -> String {
        let least = FarmKey.smallestSecretBytes
        guard let text = ProcessInfo.processInfo.environment[variable], text.utf8.count >= least else {
            throw Usage(text: "\(variable) is missing or too short: a secret of at least \(least) bytes")
        }
        return text
    }

    private static func bus(_ url: String, secret: String) throws -> Bus {
        var configuration = BusConfiguration()
        configuration.app = "notices"
        configuration.farmKey = FarmKey(secret: secret)
        do throws(BackplaneURLError) {
            var drivers = DriverRegistry()
            #if Redis
            try drivers.register(.redis)
            #endif
            return try Bus(BackplaneURL(url), drivers: drivers, configuration: configuration, logger: Self.logger)
        } catch {
            throw Usage(text: "\(error)")
        }
    }

    private static let logger = Logger(label: "busbar-notices", factory: { StreamLogHandler.standardError(label: $0) })

    private struct Usage: Error { let text: String }

    private static func end(_ text: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data("busbar-notices: \(text)\n".utf8))
        exit(status)
    }
}
