import BusbarHub
import BusbarServer
import Crypto
import FoundationEssentials

/// Tokens that say who somebody is: a name, a dot, and the HMAC-SHA256 of the name in lower-case hexadecimal digits.
///
/// Enough to show where a server finds out who its clients are. A real one checks the tokens of its identity provider there.
struct SignedNames: Sendable {
    private let key: SymmetricKey

    init(secret: String) {
        self.key = SymmetricKey(data: Data(secret.utf8))
    }

    /// Who sends a request: the token comes in the header, or in the query where a browser can set no header.
    /// - Throws: ``AccessDenied`` without a token that was made with the secret.
    func principal(of request: ConnectionRequest) throws -> Principal? {
        guard let token = Self.bearerToken(request) ?? request.query["access_token"], let dot = token.lastIndex(of: "."),
            let code = Self.bytes(hexadecimal: token[token.index(after: dot)...])
        else { throw AccessDenied.unauthenticated }
        let name = String(token[..<dot])
        guard HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: Data(name.utf8), using: self.key) else {
            throw AccessDenied.unauthenticated
        }
        return Principal(name: name)
    }

    private static func bearerToken(_ request: ConnectionRequest) -> String? {
        guard let field = request.headers["authorization"] else { return nil }
        let words = field.split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0].lowercased() == "bearer" else { return nil }
        return String(words[1])
    }

    private static func bytes(hexadecimal digits: Substring) -> [UInt8]? {
        var digits = digits
        var bytes: [UInt8] = []
        while !digits.isEmpty {
            guard let byte = UInt8(digits.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            digits = digits.dropFirst(2)
        }
        return bytes
    }
}
