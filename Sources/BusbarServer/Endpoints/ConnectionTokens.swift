package import Busbar

/// Mints and checks what clients prove a negotiated connection with. Nothing is stored: any node of the farm can check.
package struct ConnectionTokens: Sendable {
    private enum Purpose {
        static let classic = "classic.connection"
        static let core = "core.connection"
        /// Of a client that asked for stateful reconnect.
        static let returning = "core.connection.returning"
        static let shortCore = "core.connection.0"
    }

    package let key: FarmKey

    package init(key: FarmKey) {
        self.key = key
    }

    // MARK: Classic

    package func classicToken(id: String, user: String) -> String {
        self.key.seal(Array("\(id):\(user)".utf8), purpose: Purpose.classic)
    }

    /// Id and user name of a classic token; nil when it is not one of ours or holds nothing.
    package func openClassic(_ token: String) -> (id: String, user: String)? {
        guard let bytes = self.key.open(token, purpose: Purpose.classic), !bytes.isEmpty else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        let colon = text.firstIndex(of: ":") ?? text.endIndex
        return (String(text[..<colon]), String(text[colon...].dropFirst()))
    }

    // MARK: Core

    /// A negotiated core connection.
    package struct Core: Hashable {
        package let id: String
        package let key: CoreClaims.Key
        /// When the token was minted, in seconds since 1970.
        package let issued: Int
        /// Whether stateful reconnect was agreed on.
        package var mayReturn = false
    }

    /// A public id of 22 characters that needs no secrecy: which node issued it, and 96 random bits.
    package static func randomID(of node: NodeTag) -> String {
        Base64URL.encode(node.bytes + Self.randomBytes(12))
    }

    package func coreToken(id: String, user: String, now: Int, mayReturn: Bool = false) -> String {
        self.key.seal(Array("\(id):\(now):\(user)".utf8), purpose: mayReturn ? Purpose.returning : Purpose.core)
    }

    /// Version 0 has one text for id and secret: 6 random bytes, the time in 4 and 6 bytes that only the farm can
    /// compute.
    package func shortCoreID(user: String, now: Int) -> String {
        let open = Self.randomBytes(6) + Self.bytes(of: UInt32(truncatingIfNeeded: now))
        return Base64URL.encode(
            open + self.key.sign(open + Array(user.utf8), purpose: Purpose.shortCore, count: 6))
    }

    /// The connection behind a token of either version; nil when it is forged, another user's or too old.
    package func openCore(_ token: String, user: String, now: Int, lifetimeSeconds: Int) -> Core? {
        guard let core = token.utf8.count == 22 ? self.openShort(token, user) : self.openLong(token, user) else {
            return nil
        }
        // Why: clocks of nodes differ a little; a token from a second ahead is not forged.
        guard (-30...lifetimeSeconds).contains(now - core.issued) else { return nil }
        return core
    }

    private func openShort(_ token: String, _ user: String) -> Core? {
        guard let bytes = Base64URL.decode(token), bytes.count == 16 else { return nil }
        let open = Array(bytes[..<10])
        guard self.key.isSignature(bytes[10...], of: open + Array(user.utf8), purpose: Purpose.shortCore) else {
            return nil
        }
        let issued = open[6...].reduce(0) { $0 << 8 | Int($1) }
        return Core(id: token, key: Self.claimKey(bytes), issued: issued)
    }

    private func openLong(_ token: String, _ user: String) -> Core? {
        let ordinary = self.key.open(token, purpose: Purpose.core)
        guard let plaintext = ordinary ?? self.key.open(token, purpose: Purpose.returning) else { return nil }
        let text = String(decoding: plaintext, as: UTF8.self)
        let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2] == user, let issued = Int(parts[1]),
            let bytes = Base64URL.decode(parts[0]), bytes.count == 16
        else { return nil }
        return Core(id: String(parts[0]), key: Self.claimKey(bytes), issued: issued, mayReturn: ordinary == nil)
    }

    private static func claimKey(_ bytes: [UInt8]) -> CoreClaims.Key {
        func word(_ slice: ArraySlice<UInt8>) -> UInt64 { slice.reduce(0) { $0 << 8 | UInt64($1) } }
        return CoreClaims.Key(high: word(bytes[..<8]), low: word(bytes[8...]))
    }

    private static func bytes(of number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
