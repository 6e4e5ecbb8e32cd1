import BusbarDriver
import CLibPQ

/// What can be said of a libpq URI without connecting.
enum ConnectionURI {
    /// The schemes that libpq knows.
    static let schemes = ["postgres", "postgresql"]

    /// - Throws: ``BackplaneURLError`` without anything that could be a secret.
    static func check(_ text: String, key: String) throws(BackplaneURLError) {
        let scheme = text.prefix { $0 != ":" }
        guard self.schemes.contains(String(scheme)), text.dropFirst(scheme.count).hasPrefix("://") else {
            throw .init(
                // Why so little of it: without "://" there is no telling where a password stands.
                key: key, value: "\(scheme):…", remedy: "postgres://user:password@host:port/database")
        }
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(text, &message)
        defer {
            PQconninfoFree(options)
            PQfreemem(message)
        }
        guard options == nil else { return }
        throw .init(
            key: key, value: BackplaneURL.masked(text), remedy: Self.remedy(for: message.map { String(cString: $0) }))
    }

    /// The hosts of a URI that names several, beginning with another one: keywords that go before what the URI says. Empty for a URI
    /// with one host.
    ///
    /// libpq tries hosts in their order and leaves one only when it is refused there; one that says nothing would be waited for
    /// again and again.
    static func hosts(of text: String, beginningWith first: Int) -> [(keyword: String, value: String)] {
        let options = PQconninfoParse(text, nil)
        defer { PQconninfoFree(options) }
        var lists: [(String, [Substring])] = []
        var option = options
        while let current = option, let keyword = current.pointee.keyword {
            if let value = current.pointee.val, ["host", "hostaddr", "port"].contains(String(cString: keyword)) {
                let values = String(cString: value).split(separator: ",", omittingEmptySubsequences: false)
                lists.append((String(cString: keyword), values))
            }
            option = current + 1
        }
        let count = lists.map(\.1.count).max() ?? 0
        guard count > 1 else { return [] }
        return lists.map { keyword, values in
            // A single port is that of all hosts.
            guard values.count == count else { return (keyword, values.joined(separator: ",")) }
            let start = first % count
            return (keyword, (values[start...] + values[..<start]).joined(separator: ","))
        }
    }

    /// Why not libpq's whole text: it quotes what it stumbled over, and that may be a password.
    private static func remedy(for message: String?) -> String {
        let unknownKey = "invalid URI query parameter: "
        if let message, let mark = message.firstRange(of: unknownKey) {
            let name = message[mark.upperBound...].prefix { !$0.isNewline }
            return "no key \(name), which neither libpq nor Busbar knows"
        }
        return "a URI as libpq reads it, with what is special in a password percent-encoded"
    }
}
