import BusbarConnection
public import BusbarDriver

extension RabbitMQConfiguration {
    /// The URL schemes that ``init(url:alsoAllowing:)`` reads.
    public static let schemes = ["amqp", "amqps"]

    /// Reads a backplane URL: `amqp[s]://[user:password@]host[:port][,host[:port]…][/vhost]`.
    ///
    /// A virtual host's name is percent-encoded; none, or an empty one, is the broker's usual `/`. In the query may stand
    /// `app=NAME` and any of `retainedBytes`, `retainedSeconds`, `segmentBytes`, `heartbeat` (seconds), `requestLimit`,
    /// `probeInterval`, `probeLimit`, `backOffCeiling` (milliseconds); with `amqps` also `authoritiesFile`,
    /// `certificateFile`, `keyFile`, `verify` (`full` or `none`) and `auth` (`plain` or `external`).
    /// - Parameter alsoAllowing: query keys that somebody else reads; they are skipped.
    /// - Throws: ``BackplaneURLError``, one line, without any secret.
    public init(url: String, alsoAllowing: Set<String> = ["streams"]) throws(BackplaneURLError) {
        let parts = try URLParts(url, example: "amqp://user:password@host:port/vhost?app=NAME")
        guard Self.schemes.contains(parts.scheme) else {
            throw .init(key: "scheme", value: parts.scheme, remedy: "one of \(Self.schemes.joined(separator: ", "))")
        }
        let isProtected = parts.scheme == "amqps"
        var hosts: [Host] = []
        for text in parts.hosts.split(separator: ",", omittingEmptySubsequences: false) {
            let (name, port) = try URLParts.hostPort(String(text), defaultPort: isProtected ? 5671 : 5672)
            hosts.append(Host(name: name, port: port))
        }
        let path = parts.path.dropFirst()
        guard !path.contains("/") else {
            throw .init(key: "vhost", value: String(path), remedy: "one name; a / in it is written %2F")
        }
        let virtualHost = try String(path).percentDecoded(key: "vhost")
        try self.init(
            hosts: hosts,
            credentials: .password(
                user: parts.user ?? "guest", Secret(parts.password ?? (parts.user == nil ? "guest" : ""))),
            virtualHost: virtualHost.isEmpty ? "/" : virtualHost,
            tls: isProtected ? TLS() : nil
        )
        for (key, value) in parts.query where !alsoAllowing.contains(key) {
            let isBasic = try self.set(key, to: value)
            let isProtection = try self.setProtection(key, to: value)
            guard isBasic || isProtection else {
                let known =
                    "app, retainedBytes, retainedSeconds, segmentBytes, heartbeat, requestLimit, probeInterval, "
                    + "probeLimit, backOffCeiling, authoritiesFile, certificateFile, keyFile, verify, auth"
                // Why: a misspelt key may stand before a secret.
                throw .init(key: key, value: "…", remedy: "a key out of \(known)")
            }
        }
        try self.validate()
    }

    private mutating func set(_ key: String, to value: String) throws(BackplaneURLError) -> Bool {
        switch key {
        case "app": self.app = value
        case "retainedBytes": self.retainedBytes = try Self.number(key, value)
        case "retainedSeconds": self.retainedAge = .seconds(try Self.number(key, value))
        case "segmentBytes": self.segmentBytes = try Self.number(key, value)
        case "heartbeat": self.heartbeat = .seconds(try Self.number(key, value))
        case "requestLimit": self.requestLimit = .milliseconds(try Self.number(key, value))
        case "probeInterval": self.probeInterval = .milliseconds(try Self.number(key, value))
        case "probeLimit": self.probeLimit = .milliseconds(try Self.number(key, value))
        case "backOffCeiling": self.backOffCeiling = .milliseconds(try Self.number(key, value))
        default: return false
        }
        return true
    }

    private mutating func setProtection(_ key: String, to value: String) throws(BackplaneURLError) -> Bool {
        guard ["authoritiesFile", "certificateFile", "keyFile", "verify", "auth"].contains(key) else { return false }
        guard self.tls != nil else { throw .init(key: key, value: value, remedy: "the scheme amqps: with it") }
        switch (key, value) {
        case ("authoritiesFile", _): self.tls?.authoritiesFile = value
        case ("certificateFile", _): self.tls?.certificateFile = value
        case ("keyFile", _): self.tls?.keyFile = value
        case ("verify", "full"): self.tls?.isVerified = true
        case ("verify", "none"): self.tls?.isVerified = false
        case ("auth", "plain"): break
        case ("auth", "external"): self.credentials = .certificate
        case ("verify", _): throw .init(key: key, value: value, remedy: "full or none")
        default: throw .init(key: key, value: value, remedy: "plain or external")
        }
        return true
    }

    private static func number(_ key: String, _ text: String) throws(BackplaneURLError) -> Int {
        guard let number = Int(text), number >= 0, text.first != "+" else {
            throw .init(key: key, value: text, remedy: "a whole number")
        }
        return number
    }
}
