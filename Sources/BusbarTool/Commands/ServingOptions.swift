import ArgumentParser

/// What `serve` and `farm` take alike.
struct ServingOptions: ParsableArguments {
    @Option(help: "Address to listen on.")
    var host: String?

    @Option(help: "While the broker is away: buffer what is sent, fail, or reach the local clients only (local).")
    var offline: String?

    @Option(help: "Event loops of a node; 0: one per core.")
    var loops: String?

    @Option(help: "Most connections of a node at a time.")
    var connections: String?

    @Option(help: "Origins that browsers may connect from, comma-separated.")
    var origins: String?

    @Flag(help: "Show clients the text of every error of a hub method.")
    var detailedErrors = false

    @Option(help: "Least severe entries to log: trace, debug, info, notice, warning or error.")
    var logLevel: String?

    /// What was given, by key.
    var flags: [String: String?] {
        [
            Setting.host.key: self.host,
            Setting.offline.key: self.offline,
            Setting.loops.key: self.loops,
            Setting.connections.key: self.connections,
            Setting.origins.key: self.origins,
            Setting.detailedErrors.key: self.detailedErrors ? "true" : nil,
            Setting.logLevel.key: self.logLevel,
        ]
    }
}
