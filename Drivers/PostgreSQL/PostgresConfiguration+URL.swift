public import BusbarDriver

extension PostgresConfiguration {
    /// The URL schemes that ``init(url:alsoAllowing:)`` reads.
    public static let schemes = ConnectionURI.schemes

    /// Reads a backplane URL: any libpq URI, with `app=NAME` and any of `schema`, `listener` (a libpq URI, percent-encoded),
    /// `logged` (true or false), `synchronousCommit`, `largestRecordBytes`, `retainedBytes`, `retainedAge` (in seconds),
    /// `outboxInterval`, `longestRest`, `requestLimit`, `probeInterval`, `probeLimit`, `backOffCeiling` (in milliseconds) in its
    /// query. What isn't ours stays for libpq.
    /// - Parameter alsoAllowing: query keys that somebody else reads; they are taken out.
    /// - Throws: ``BackplaneURLError``, one line, without any secret.
    public init(url: String, alsoAllowing: Set<String> = ["streams"]) throws(BackplaneURLError) {
        var own: [(key: String, value: String)] = []
        var foreign: [Substring] = []
        let mark = url.firstIndex(of: "?") ?? url.endIndex
        for pair in url[mark...].dropFirst().split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(halves[0])
            if alsoAllowing.contains(key) { continue }
            guard Self.ownKeys.contains(key) else {
                foreign.append(pair)
                continue
            }
            guard halves.count == 2, let value = String(halves[1]).percentDecoded() else {
                throw .init(key: key, value: "…", remedy: "\(key)=VALUE, percent-encoded UTF-8")
            }
            guard !own.contains(where: { $0.key == key }) else {
                throw .init(key: key, value: "…", remedy: "the key once, not twice")
            }
            own.append((key, value))
        }
        // Why the scheme anew: URLs are alike in upper and lower case there, but not to libpq.
        let scheme = url.prefix { $0 != ":" }
        let server = scheme.lowercased() + url[scheme.endIndex..<mark]
        try self.init(server: Secret(foreign.isEmpty ? server : server + "?" + foreign.joined(separator: "&")))
        for (key, value) in own { try self.set(key, to: value) }
        try self.validate()
    }

    private static let ownKeys: Set<String> = [
        "app", "schema", "listener", "logged", "synchronousCommit", "largestRecordBytes", "retainedBytes",
        "retainedAge",
        "outboxInterval", "longestRest", "requestLimit", "probeInterval", "probeLimit", "backOffCeiling",
    ]

    private mutating func set(_ key: String, to value: String) throws(BackplaneURLError) {
        switch key {
        case "app": self.app = value
        case "schema": self.schema = value
        case "listener": self.listenerServer = Secret(value)
        case "logged":
            guard let isLogged = Bool(value) else { throw .init(key: key, value: value, remedy: "true or false") }
            self.isLogged = isLogged
        case "synchronousCommit":
            guard let choice = SynchronousCommit(rawValue: value) else {
                let known = SynchronousCommit.allCases.map(\.rawValue).joined(separator: ", ")
                throw .init(key: key, value: value, remedy: "one of \(known)")
            }
            self.synchronousCommit = choice
        case "largestRecordBytes": self.largestRecordBytes = try Self.number(key, value)
        case "retainedBytes": self.retainedBytes = try Self.number(key, value)
        case "retainedAge": self.retainedAge = .seconds(try Self.number(key, value))
        case "outboxInterval": self.outboxInterval = .milliseconds(try Self.number(key, value))
        case "longestRest": self.longestRest = .milliseconds(try Self.number(key, value))
        case "requestLimit": self.requestLimit = .milliseconds(try Self.number(key, value))
        case "probeInterval": self.probeInterval = .milliseconds(try Self.number(key, value))
        case "probeLimit": self.probeLimit = .milliseconds(try Self.number(key, value))
        default: self.backOffCeiling = .milliseconds(try Self.number(key, value))
        }
    }

    private static func number(_ key: String, _ text: String) throws(BackplaneURLError) -> Int {
        guard let number = Int(text), (0...(1 << 44)).contains(number), text.first != "+" else {
            throw .init(key: key, value: text, remedy: "a whole number")
        }
        return number
    }
}
