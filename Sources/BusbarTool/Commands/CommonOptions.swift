import ArgumentParser
import FoundationEssentials

/// What every subcommand takes.
struct CommonOptions: ParsableArguments {
    @Option(help: "URL of the backplane, such as memory:")
    var backplane: String?

    @Option(help: "A YAML file of settings.")
    var config: String?

    /// Resolves all settings: these flags and `more`, then `BUSBAR_*`, then the file, then defaults.
    func settings(and more: [String: String?] = [:]) async throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        var flags = more.compactMapValues { $0 }
        flags[Setting.backplane.key] = self.backplane
        return try await Settings.resolve(
            flags: flags,
            environment: environment,
            file: self.config ?? environment["BUSBAR_CONFIG"]
        )
    }
}
