package import BusbarDriver

/// An error in Redis's own words: a code in capitals, then a text.
package struct RedisServerError: Error, Hashable, Sendable {
    package let text: String

    package init(_ text: String) {
        // Why cut: an unknown command is quoted back with its arguments.
        self.text = String(text.prefix(300))
    }

    package var code: String {
        String(self.text.prefix { $0 != " " })
    }

    package var isMissingScript: Bool { self.code == "NOSCRIPT" }

    /// The server is no longer the one that takes writes: the address has to be found again.
    package var meansOtherServer: Bool {
        ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "MOVED"].contains(self.code)
    }

    /// Where in a cluster the keys lie that were asked for: `MOVED slot host:port`. Nil for every other error.
    /// - Parameter asked: the host that answered.
    package func movedTo(asked: String) -> RedisConfiguration.HostPort? {
        let words = self.text.split(separator: " ")
        guard words.count == 3, words[0] == "MOVED" else { return nil }
        return RedisConfiguration.HostPort(cluster: words[2], asked: asked)
    }

    /// What it means to the bus. Nothing of the refused request was stored.
    package func driverError(during operation: StaticString, hiding secrets: [Secret] = []) -> DriverError {
        let (code, recovery): (DriverError.Code, DriverError.Recovery) =
            switch self.code {
            case "OOM", "MISCONF", "NOREPLICAS", "BUSY": (.overloaded, .retry(after: .milliseconds(250)))
            case "READONLY": (.overloaded, .retry(after: .milliseconds(250)))
            case "MOVED": (.overloaded, .retry(after: .zero))
            // The slot is on its way to another node, which says MOVED once it is there.
            case "ASK", "TRYAGAIN": (.overloaded, .retry(after: .milliseconds(100)))
            case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "UNKILLABLE":
                (.unreachable, .retry(after: .milliseconds(100)))
            case "NOAUTH", "WRONGPASS", "NOPERM", "DENIED": (.unauthorized, .giveUp)
            case "ERR" where self.text.contains("max number of clients"):
                (.overloaded, .retry(after: .milliseconds(500)))
            case "ERR" where self.text.contains("AUTH") || self.text.contains("invalid password"):
                (.unauthorized, .giveUp)
            default: (.rejected, .giveUp)
            }
        return DriverError(code, during: operation, recovery: recovery, detail: self.text.hiding(secrets))
    }
}

extension String {
    /// The text without any of these secrets: Redis quotes what it doesn't understand.
    package func hiding(_ secrets: [Secret]) -> String {
        secrets.reduce(self) { text, secret in
            guard !secret.text.isEmpty else { return text }
            return text.split(separator: secret.text, omittingEmptySubsequences: false).joined(
                separator: secret.description)
        }
    }
}
