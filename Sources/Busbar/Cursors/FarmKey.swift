import Crypto
import FoundationEssentials
import Synchronization

/// The secret that all nodes of a farm share. It seals tokens and signs cursors, each purpose with a key derived of its own.
///
/// Neither its description nor any error shows it.
public struct FarmKey: Sendable, CustomStringConvertible {
    private final class Derived: Sendable {
        let keys = Mutex<[String: SymmetricKey]>([:])
    }

    /// The fewest bytes a secret may have.
    public static let smallestSecretBytes = 16
    private static let sealedOverhead = 12 + 16

    private let secret: SymmetricKey
    private let derived = Derived()

    /// A key from a configured secret; nil when that has fewer than ``smallestSecretBytes`` bytes.
    public init?(secret: some Sequence<UInt8>) {
        let bytes = Array(secret)
        guard bytes.count >= Self.smallestSecretBytes else { return nil }
        self.secret = SymmetricKey(data: bytes)
    }

    /// The same from text, taken as UTF-8.
    public init?(secret: String) {
        self.init(secret: secret.utf8)
    }

    private init(generated: SymmetricKey) {
        self.secret = generated
    }

    /// A random key: good on this process only.
    public static func generate() -> Self {
        Self(generated: SymmetricKey(size: .bits256))
    }

    public var description: String { "FarmKey(…)" }

    /// Encrypts and authenticates `plaintext`. The text is URL-safe; it can be opened with the same key and purpose only.
    package func seal(_ plaintext: [UInt8], purpose: String) -> String {
        // Why: sealing fails only for plaintexts of more than 256 GiB.
        guard let box = try? ChaChaPoly.seal(plaintext, using: self.key(for: purpose)) else { return "" }
        return Base64URL.encode(box.combined)
    }

    /// The plaintext of what was sealed for `purpose`; nil for anything else, whatever was done to it.
    package func open(_ text: some StringProtocol, purpose: String) -> [UInt8]? {
        guard let combined = Base64URL.decode(text), combined.count >= Self.sealedOverhead,
            let box = try? ChaChaPoly.SealedBox(combined: combined),
            let plaintext = try? ChaChaPoly.open(box, using: self.key(for: purpose))
        else { return nil }
        return Array(plaintext)
    }

    /// The first `count` bytes, at most 32, of an HMAC-SHA256 over `bytes`.
    package func sign(_ bytes: [UInt8], purpose: String, count: Int) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: bytes, using: self.key(for: purpose)).prefix(count))
    }

    /// Whether `signature` is what ``sign(_:purpose:count:)`` makes of `bytes`; compared in constant time.
    package func isSignature(_ signature: some Collection<UInt8>, of bytes: [UInt8], purpose: String) -> Bool {
        let right = self.sign(bytes, purpose: purpose, count: signature.count)
        guard right.count == signature.count, !right.isEmpty else { return false }
        return zip(right, signature).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func key(for purpose: String) -> SymmetricKey {
        self.derived.keys.withLock { keys in
            if let key = keys[purpose] { return key }
            let key = HKDF<SHA256>.deriveKey(
                inputKeyMaterial: self.secret, info: Array("busbar 1 \(purpose)".utf8), outputByteCount: 32
            )
            // Why: purposes are constants of ours, some a dozen; the bound is against a caller that varies them.
            if keys.count < 256 { keys[purpose] = key }
            return key
        }
    }
}
