/// The HTTP request a connection came with.
public struct ConnectionRequest: Hashable, Sendable {
    /// The path, percent decoded, without the query.
    public var path: String
    public var headers: NamedValues
    public var query: NamedValues
    /// Where the request came from, without a port; nil when unknown.
    public var remoteAddress: String?

    public init(
        path: String,
        headers: NamedValues = NamedValues(),
        query: NamedValues = NamedValues(),
        remoteAddress: String? = nil
    ) {
        self.path = path
        self.headers = headers
        self.query = query
        self.remoteAddress = remoteAddress
    }

    /// The cookies of the request, read from its headers at each use. Values are as sent, without surrounding quotes.
    public var cookies: NamedValues {
        var pairs: [(String, String)] = []
        for header in self.headers.values(of: "cookie") {
            for crumb in header.utf8.split(separator: UInt8(ascii: ";")) {
                guard let equals = crumb.firstIndex(of: UInt8(ascii: "=")) else { continue }
                let name = Self.trimmed(crumb[..<equals])
                var value = Self.trimmed(crumb[crumb.index(after: equals)...])
                if value.utf8.count >= 2, value.first == "\"", value.last == "\"" {
                    value = value.dropFirst().dropLast()
                }
                if !name.isEmpty { pairs.append((String(name), String(value))) }
            }
        }
        return NamedValues(pairs)
    }

    private static func trimmed(_ text: Substring.UTF8View) -> Substring {
        let isBlank: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        var rest = text.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return Substring(rest)
    }
}

/// How messages travel between a client and this node. The raw value is how core negotiation spells it.
public enum ConnectionTransport: String, Hashable, Sendable, Codable {
    case webSockets = "WebSockets"
    case serverSentEvents = "ServerSentEvents"
    case longPolling = "LongPolling"
    case foreverFrame = "ForeverFrame"
}
