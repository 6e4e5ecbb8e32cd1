package import BusbarDriver

/// A URL taken apart; the values of user, password and query are decoded, the rest is as it stands.
package struct URLParts {
    package private(set) var scheme = ""
    package private(set) var user: String?
    package private(set) var password: String?
    package private(set) var hosts = ""
    package private(set) var path = ""
    package private(set) var query: [(key: String, value: String)] = []

    /// - Parameter example: what would be right, for whoever wrote no URL at all.
    package init(_ url: String, example: String) throws(BackplaneURLError) {
        guard let mark = url.firstRange(of: "://") else {
            // Why: the text may hold a password wherever its author put it, so only what precedes a colon is shown.
            let scheme = url.prefix { $0 != ":" && $0 != "@" && $0 != "/" }
            throw .init(key: "url", value: "\(scheme)…", remedy: example)
        }
        self.scheme = url[..<mark.lowerBound].lowercased()
        var rest = url[mark.upperBound...]
        if let hash = rest.firstIndex(of: "#") {
            throw .init(
                key: "url", value: "#…",
                remedy: "no fragment; a # in a password is written %23 (at character "
                    + "\(url.distance(from: url.startIndex, to: hash) + 1))")
        }
        if let question = rest.firstIndex(of: "?") {
            guard !rest[question...].contains("@") else {
                throw .init(key: "url", value: "?…@…", remedy: "a ? in a password written %3F, an @ in the query %40")
            }
            try self.readQuery(rest[rest.index(after: question)...])
            rest = rest[..<question]
        }
        // Why the last @: people forget to encode the one in their password.
        let authorityEnd =
            rest.lastIndex(of: "@").flatMap { rest[$0...].firstIndex(of: "/") } ?? rest.firstIndex(of: "/")
        var authority = rest[..<(authorityEnd ?? rest.endIndex)]
        self.path = String(rest[(authorityEnd ?? rest.endIndex)...])
        if let at = authority.lastIndex(of: "@") {
            try self.readCredentials(authority[..<at])
            authority = authority[authority.index(after: at)...]
        }
        self.hosts = String(authority)
    }

    private mutating func readCredentials(_ text: Substring) throws(BackplaneURLError) {
        guard let colon = text.firstIndex(of: ":") else {
            throw .init(key: "user", value: "…", remedy: "user:password@ or :password@ before the host")
        }
        let user = try String(text[..<colon]).percentDecoded(key: "user")
        self.user = user.isEmpty ? nil : user
        let password = try String(text[text.index(after: colon)...]).percentDecoded(key: "password")
        self.password = password.isEmpty ? nil : password
    }

    private mutating func readQuery(_ text: Substring) throws(BackplaneURLError) {
        for pair in text.split(separator: "&", omittingEmptySubsequences: true) {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = try String(halves[0]).percentDecoded(key: "url")
            guard halves.count == 2 else { throw .init(key: key, value: "", remedy: "\(key)=VALUE") }
            guard !self.query.contains(where: { $0.key == key }) else {
                throw .init(key: key, value: "…", remedy: "the key once, not twice")
            }
            self.query.append((key, try String(halves[1]).percentDecoded(key: key)))
        }
    }

    package static func hostPort(
        _ text: String, defaultPort: Int
    ) throws(BackplaneURLError) -> (host: String, port: Int) {
        var host = text[...]
        var portText: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw .init(key: "host", value: text, remedy: "[address]:port")
            }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            guard text.firstIndex(of: ":") == colon else {
                throw .init(key: "host", value: text, remedy: "an IPv6 address in brackets: [address]:port")
            }
            host = text[..<colon]
            portText = text[text.index(after: colon)...]
        }
        guard let portText else { return (String(host), defaultPort) }
        guard let port = Int(portText), (1...65_535).contains(port) else {
            throw .init(key: "port", value: String(portText), remedy: "a number from 1 to 65535")
        }
        return (String(host), port)
    }
}

extension String {
    package func percentDecoded(key: String) throws(BackplaneURLError) -> String {
        guard let text = self.percentDecoded() else {
            throw .init(
                key: key, value: "…",
                remedy: "two hexadecimal digits after each % (a plain one is %25), UTF-8, no zero byte")
        }
        return text
    }
}
