/// The URL by which a backplane is chosen, with what every driver's URL has in common read out of it.
///
///     scheme:anything?app=NAME&streams=N&keys=of&the=driver
///
/// Its description hides user, password and every query value that may be a secret, so it may be logged.
public struct BackplaneURL: Hashable, Sendable, CustomStringConvertible {
    /// Query keys that are read here; a driver skips them.
    public static let commonKeys: Set<String> = ["app", "streams"]
    /// An app has at most this many streams.
    public static let largestStreamCount = 256
    /// Longer texts are refused, in bytes.
    public static let largestBytes = 8_192

    /// As given, secrets included: for the driver and for nobody else.
    public let text: String
    /// In lower case, without the colon.
    public let scheme: String
    /// Namespace on the broker that the URL asks for; nil when it leaves that to its user.
    public let app: String?
    /// Number of streams that the URL asks for; nil when it leaves that to its user.
    public let streams: Int?

    /// - Throws: ``BackplaneURLError`` naming what is wrong and what would be right.
    public init(_ text: String) throws(BackplaneURLError) {
        guard text.utf8.count <= Self.largestBytes else {
            throw .init(key: "url", value: "\(text.utf8.count) bytes", remedy: "at most \(Self.largestBytes)")
        }
        let scheme = text.prefix { $0 != ":" }.lowercased()
        let isScheme = scheme.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains($0)
        }
        guard scheme.utf8.count < text.utf8.count, !scheme.isEmpty, isScheme else {
            throw .init(key: "url", value: Self.masked(text), remedy: "a scheme and a colon first, as in memory:")
        }
        self.text = text
        self.scheme = scheme
        self.app = try Self.value(of: "app", in: text)
        self.streams = try Self.value(of: "streams", in: text).map { value throws(BackplaneURLError) in
            guard let streams = Int(value), (1...Self.largestStreamCount).contains(streams) else {
                throw .init(
                    key: "streams", value: value, remedy: "a whole number from 1 to \(Self.largestStreamCount)")
            }
            return streams
        }
    }

    /// The same with one more query key; nil when the key is there already.
    package func adding(_ key: String, _ value: Int) -> Self? {
        let (_, query) = Self.halves(self.text)
        let isTaken = query?.split(separator: "&").contains { $0.hasPrefix(key + "=") } ?? false
        guard !isTaken else { return nil }
        let separator = query == nil ? "?" : "&"
        return try? Self(self.text + "\(separator)\(key)=\(value)")
    }

    public var description: String { Self.masked(self.text) }

    /// Any text with what may be a secret in a URL replaced: everything before the last `@` of its authority, and the
    /// values of query keys other than the common ones and numbers.
    public static func masked(_ text: String) -> String {
        let bounded = String(text.prefix(512))
        let (head, query) = Self.halves(bounded)
        var masked = String(head)
        if let slashes = head.firstRange(of: "//"), let at = head.lastIndex(of: "@"), slashes.upperBound <= at {
            masked = head[..<slashes.upperBound] + "***" + head[at...]
        }
        guard let query else { return masked }
        // Why: somebody wrote a password with a bare question mark in it.
        guard !query.contains("@") else { return masked.prefix { $0 != "/" } + "//***" }
        let pairs = query.split(separator: "&").map { pair -> String in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !Self.commonKeys.contains(String(parts[0])), Int(parts[1]) == nil else {
                return String(pair)
            }
            return "\(parts[0])=***"
        }
        return masked + "?" + pairs.joined(separator: "&")
    }

    private static func halves(_ text: String) -> (head: Substring, query: Substring?) {
        guard let mark = text.firstIndex(of: "?") else { return (text[...], nil) }
        return (text[..<mark], text[text.index(after: mark)...])
    }

    private static func value(of key: String, in text: String) throws(BackplaneURLError) -> String? {
        var found: String?
        for pair in Self.halves(text).query?.split(separator: "&") ?? [] where pair.hasPrefix(key + "=") {
            guard found == nil else { throw .init(key: key, value: "…", remedy: "the key once, not twice") }
            found = String(pair.dropFirst(key.count + 1))
        }
        return found
    }
}

/// What is wrong with a backplane URL: one line that names the key, the value and what would be right. It carries no
/// secret.
public struct BackplaneURLError: Error, Hashable, Sendable, CustomStringConvertible {
    public let key: String
    /// At most 64 characters of it.
    public let value: String
    public let remedy: String

    public init(key: String, value: String, remedy: String) {
        self.key = key
        self.value = String(value.prefix(64))
        self.remedy = remedy
    }

    public var description: String { "\(self.key): \"\(self.value)\" won't do; wanted: \(self.remedy)" }
}
