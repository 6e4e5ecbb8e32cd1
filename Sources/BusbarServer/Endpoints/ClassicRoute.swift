/// What a path below the classic endpoint means. Only how the whole path ends counts, in any letter case.
package enum ClassicRoute: Hashable, Sendable {
    case script, negotiate, ping, start, connect, reconnect, poll, send, abort
    /// Everything else: a receive request like `/poll` for long polling, like `/reconnect` for the other transports.
    case bare

    private static let endings: [(text: String, route: Self)] = [
        ("/negotiate", .negotiate), ("/ping", .ping), ("/start", .start), ("/connect", .connect),
        ("/reconnect", .reconnect), ("/poll", .poll), ("/send", .send), ("/abort", .abort),
    ]

    /// Whether `path` is `prefix` or continues it with a `/`.
    package static func isBelow(_ prefix: String, path: String) -> Bool {
        guard path.utf8.count >= prefix.utf8.count else { return false }
        let end = path.utf8.index(path.startIndex, offsetBy: prefix.utf8.count)
        guard path[..<end].isEqualIgnoringASCIICase(to: prefix) else { return false }
        return end == path.endIndex || path[end] == "/" || prefix.hasSuffix("/")
    }

    /// - Parameter hasScript: false below a persistent connection, which has no hubs to generate a script of.
    package init(path: String, hasScript: Bool = true) {
        if hasScript, Self.scriptBase(of: path) != nil {
            self = .script
            return
        }
        self = Self.endings.first { path.hasSuffixIgnoringASCIICase($0.text) }?.route ?? .bare
    }

    /// The base URL a script request is for: its path without the last segment. Nil for other paths.
    package static func scriptBase(of path: String) -> String? {
        var rest = path[...]
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        for ending in ["/hubs", "/js"] where String(rest).hasSuffixIgnoringASCIICase(ending) {
            return String(rest.dropLast(ending.count))
        }
        return nil
    }

    /// The public path of the endpoint as negotiate tells it: the request's path without `/negotiate`.
    package static func negotiateBase(of path: String) -> String {
        String(path.dropLast("/negotiate".count))
    }
}

/// The transports of the protocol; a server need not offer all.
package enum ClassicTransport: String, Hashable, Sendable, CaseIterable {
    case webSockets, serverSentEvents, foreverFrame, longPolling

    /// The transport called `name` in any letter case.
    package init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.rawValue.isEqualIgnoringASCIICase(to: name) }) else {
            return nil
        }
        self = found
    }
}

extension String {
    func hasSuffixIgnoringASCIICase(_ suffix: String) -> Bool {
        guard self.utf8.count >= suffix.utf8.count else { return false }
        return Substring(self.utf8.suffix(suffix.utf8.count)).isEqualIgnoringASCIICase(to: suffix)
    }
}
