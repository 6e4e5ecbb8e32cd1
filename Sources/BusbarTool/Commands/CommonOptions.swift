import ArgumentParser
import FoundationEssentials

/// What every subcommand takes.
struct CommonOptions: ParsableArguments {
    @Option(help: "URL of the backplane, such as memory: or redis://127.0.0.1:6379; see 'busbar drivers'.")
    var backplane: String?

    @Option(help: "A YAML file of settings.")
    var config: String?

    @Option(help: "Namespace on the broker.")
    var app: String?

    /// Resolves all settings: these flags and `more`, then `BUSBAR_*`, then the file, then defaults.
    func settings(and more: [String: String?] = [:]) async throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        var flags = more.compactMapValues { $0 }
        flags[Setting.backplane.key] = self.backplane
        flags[Setting.app.key] = self.app
        return try await Settings.resolve(
            flags: flags,
            environment: environment,
            file: self.config ?? environment["BUSBAR_CONFIG"]
        )
    }
}
