/// Which node of a Redis Cluster to turn to: the one that holds the app's keys as far as that was said, else the one that
/// the configuration names, else any that was heard of. Without a cluster it has nothing to say.
///
/// A value without I/O. All keys of an app lie in one slot, and so on one node at a time; Pub/Sub works at any.
package struct ClusterGuide: Hashable, Sendable {
    package typealias HostPort = RedisConfiguration.HostPort

    /// Why a bound: whoever answers `CLUSTER SLOTS` decides how many there are.
    private static let mostKnown = 64

    private var home: HostPort?
    private var known: [HostPort] = []
    /// Attempts in a row that came to nothing: each next one begins elsewhere.
    private var vainAttempts = 0

    package init() {}

    /// Nil: where the configuration says.
    package var next: HostPort? {
        let others = self.known.filter { $0 != self.home }
        let candidates = (self.home.map { [$0] } ?? []) + [nil] + others
        return candidates[self.vainAttempts % candidates.count]
    }

    /// A node said where the app's keys lie.
    package mutating func moved(to home: HostPort) {
        self.home = home
        self.vainAttempts = 0
    }

    /// A node said which nodes there are.
    package mutating func heard(of nodes: [HostPort]) {
        var seen = Set<HostPort>()
        self.known = nodes.filter { seen.insert($0).inserted }.prefix(Self.mostKnown).map(\.self)
    }

    package mutating func attemptFailed() { self.vainAttempts += 1 }

    package mutating func wentLive() { self.vainAttempts = 0 }
}

extension RedisConfiguration.HostPort {
    /// `host:port` as a cluster writes it, where IPv6 stands without brackets and an empty host means the one that was asked.
    package init?(cluster text: Substring, asked: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port)
        else { return nil }
        let host = text[..<colon]
        guard host != "?" else { return nil }
        self.init(host: host.isEmpty ? asked : String(host), port: port)
    }
}

extension RedisReply {
    /// The nodes in an answer to `CLUSTER SLOTS`: ranges of slots, each with its nodes, each of them beginning with host and port.
    package func clusterNodes(asked: String) -> [RedisConfiguration.HostPort] {
        (self.array ?? []).flatMap { range in
            (range.array ?? []).dropFirst(2).compactMap { node -> RedisConfiguration.HostPort? in
                guard let parts = node.array, parts.count >= 2,
                    let port = parts[1].integer.flatMap({ Int(exactly: $0) }), (1...65_535).contains(port)
                else { return nil }
                let host = parts[0].text ?? ""
                // Why left out: a node that doesn't know its own name says so with a question mark.
                return host == "?" ? nil : .init(host: host.isEmpty ? asked : host, port: port)
            }
        }
    }
}
