/// One thing that can be configured: by a flag, an environment variable or a key in the file.
struct Setting: Sendable {
    enum Kind: Sendable {
        case text(allowsEmpty: Bool)
        case integer(ClosedRange<Int>)
        case flag
        case choice([String])
        /// A comma-separated list.
        case list
    }

    /// Key in the configuration file; words joined by `-`.
    let key: String
    let kind: Kind
    /// What holds when nobody says anything; nil: the setting is absent.
    let fallback: String?
    let isSecret: Bool
    let summary: String

    init(_ key: String, _ kind: Kind, default fallback: String?, isSecret: Bool = false, summary: String) {
        self.key = key
        self.kind = kind
        self.fallback = fallback
        self.isSecret = isSecret
        self.summary = summary
    }

    /// `BUSBAR_LOG_LEVEL` for `log-level`.
    var environmentName: String {
        "BUSBAR_" + self.key.uppercased().map { $0 == "-" || $0 == "." ? "_" : String($0) }.joined()
    }

    /// What is wrong with `value`, or nil when it is right.
    func complaint(about value: String) -> String? {
        switch self.kind {
        case .text(allowsEmpty: true), .list:
            return nil
        case .text(allowsEmpty: false):
            return value.isEmpty ? "must not be empty" : nil
        case .integer(let range):
            guard let number = Int(value), range.contains(number) else {
                return "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
            }
            return nil
        case .flag:
            return ["true", "false"].contains(value.lowercased()) ? nil : "must be true or false"
        case .choice(let choices):
            return choices.contains(value) ? nil : "must be one of \(choices.joined(separator: ", "))"
        }
    }
}

extension Setting {
    static let host = Self(
        "host", .text(allowsEmpty: false), default: "127.0.0.1", summary: "address to listen on"
    )
    static let port = Self(
        "port", .integer(0...65535), default: "8080", summary: "port to listen on; 0 picks a free one"
    )
    static let backplane = Self(
        "backplane", .text(allowsEmpty: false), default: "memory:", summary: "URL of the broker that nodes share"
    )
    static let app = Self(
        "app", .text(allowsEmpty: false), default: "busbar", summary: "namespace on the broker"
    )
    static let streams = Self(
        "streams", .integer(1...256), default: "1",
        summary: "streams that topics are spread over, the same on every node; 1: one order for all messages"
    )
    static let offline = Self(
        "offline", .choice(["buffer", "fail", "local"]), default: "buffer",
        summary: "what is sent while the broker is away: keep it within bounds, fail, or reach this node only"
    )
    static let key = Self(
        "key", .text(allowsEmpty: false), default: nil, isSecret: true,
        summary: "secret of the farm, at least 16 bytes; a random one is made when none is set"
    )
    static let node = Self(
        "node", .text(allowsEmpty: false), default: nil, summary: "name of this node in logs and on the page"
    )
    static let loops = Self(
        "loops", .integer(0...1024), default: "0", summary: "event loops; 0: one per core"
    )
    static let connections = Self(
        "connections", .integer(1...1_000_000), default: "16384", summary: "most connections at a time"
    )
    static let origins = Self(
        "origins", .list, default: nil,
        summary: "origins of pages that may connect, comma-separated; without it every page may"
    )
    static let detailedErrors = Self(
        "detailed-errors", .flag, default: "false", summary: "show clients the text of every error of a hub method"
    )
    static let logLevel = Self(
        "log-level", .choice(["trace", "debug", "info", "notice", "warning", "error"]), default: "info",
        summary: "least severe entries to log"
    )

    static let all = [
        host, port, backplane, app, streams, offline, key, node, loops, connections, origins, detailedErrors,
        logLevel,
    ]
}
