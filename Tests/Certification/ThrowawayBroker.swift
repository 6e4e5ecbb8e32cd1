package import BusbarConformance
package import BusbarDriver
import FoundationEssentials

/// A broker of a test's own on a free loopback port, through `Scripts/brokers`, with all the faults that knows.
package struct ThrowawayBroker: Sendable {
    /// Why a test that has no broker fails: it has not tested what it is for.
    package struct Unavailable: Error, CustomStringConvertible {
        package let description: String
    }

    package let url: BackplaneURL
    package let faults: FaultCommand
    private let call: @Sendable (String) async throws -> String

    /// Has a RabbitMQ evaluate what is written in Erlang; fails unless it can.
    /// - Parameter expressions: one or several, without a full stop and without single quotes.
    package func evaluate(_ expressions: String) async throws {
        _ = try await self.call("eval rabbit '\(expressions)'")
    }

    /// Starts a broker, hands it to `body`, and ends it, and removes what it stored, whatever happens.
    /// - Parameters:
    ///   - broker: as `Scripts/brokers` calls it: `redis`, `postgres`, `rabbit`.
    ///   - settings: variables for `Scripts/brokers`, such as `REDIS_PERSISTENT`.
    package static func run<Result>(
        _ broker: String, settings: [String: String] = [:], _ body: (Self) async throws -> Result
    ) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "busbar-\(broker)-\(UUID().uuidString)")
        let script = "'\(Self.root)/Scripts/brokers'"
        let environment = settings.merging(["BROKERS_DIR": directory.path()]) { $1 }
        let everything = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        @Sendable func call(_ words: String) async throws -> String {
            let outcome = await ShellCommand.run(
                "\(script) \(words)", environment: everything, within: .seconds(120))
            guard case .exited(0, let said) = outcome else {
                throw Unavailable(description: "brokers \(words): \(outcome)")
            }
            return said
        }
        let result: Swift.Result<Result, any Error>
        do {
            let url = try BackplaneURL(try await call("url \(broker)"))
            let faults = FaultCommand("\(script) fault \(broker)", environment: environment)
            result = .success(try await body(Self(url: url, faults: faults, call: call)))
        } catch {
            result = .failure(error)
        }
        _ = try await call("discard \(broker)")
        try? FileManager.default.removeItem(at: directory)
        return try result.get()
    }

    /// The package's directory.
    private static var root: String {
        let file = URL(filePath: #filePath)
        return file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path()
    }
}
