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
        guard let token = Self.bearerToken(request) ?? request.query["access_token"],
            let dot = token.lastIndex(of: "."),
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

    /// Nil unless they are 64 lower-case digits, so that a token has one spelling.
    private static func bytes(hexadecimal digits: Substring) -> [UInt8]? {
        let digits = digits.utf8.map { digit -> UInt8? in
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard digits.count == 2 * SHA256.byteCount else { return nil }
        return stride(from: 0, to: digits.count, by: 2).reduce(into: [UInt8]?([])) { bytes, index in
            guard let high = digits[index], let low = digits[index + 1] else { return bytes = nil }
            bytes?.append(high << 4 | low)
        }
    }
}
