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
