/// Judges the `messageId` of a classic client before anything is done with it.
package enum ClassicCursorText {
    /// Longer ones are nobody's.
    package static let longestBytes = 8_192

    /// Stands behind the cursors of a connection until `/start` is called.
    ///
    /// Why: a receive request may come to another node before `/start` comes to any. That node then knows that the connected
    /// event is still to be run, and by it. No cursor of ours ends in it.
    private static let unstartedMark: Character = "~"

    /// What a client is told: a cursor of the bus, and whether its connection has been started.
    package static func text(_ cursor: String, isUnstarted: Bool) -> String {
        isUnstarted ? cursor + String(Self.unstartedMark) : cursor
    }

    /// The cursor of the bus in what a client was told.
    package static func cursor(in text: String) -> String {
        Self.isUnstarted(text) ? String(text.dropLast()) : text
    }

    package static func isUnstarted(_ text: String) -> Bool { text.last == Self.unstartedMark }

    /// Whether the text can't be a cursor: neither one of ours, nor one of another server of the protocol.
    ///
    /// What may be a cursor and isn't ours simply means "from now on"; that is decided by the bus.
    package static func isMalformed(_ text: String) -> Bool {
        if text.utf8.count > Self.longestBytes { return true }
        let text = Self.cursor(in: text)
        if text.hasPrefix("d-") { return !Self.isReferenceCursor(text.dropFirst(2)) }
        return !text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    /// `HEX-key,HEXID|key,HEXID…` with keys that differ.
    private static func isReferenceCursor(_ text: Substring) -> Bool {
        guard let dash = text.firstIndex(of: "-"), Self.isHex(text[..<dash]) else { return false }
        var keys: Set<Substring> = []
        for pair in text[text.index(after: dash)...].split(separator: "|", omittingEmptySubsequences: false) {
            let parts = pair.split(separator: ",", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, Self.isHex(parts[1]), keys.insert(parts[0]).inserted,
                Self.isUnescapable(parts[0])
            else { return false }
        }
        return true
    }

    private static func isHex(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.count <= 16 && text.allSatisfy { $0.isASCII && $0.isHexDigit }
    }

    /// A key may hold `\`, `|` and `,` behind a `\` only.
    private static func isUnescapable(_ key: Substring) -> Bool {
        var isEscaped = false
        for byte in key.utf8 {
            if isEscaped {
                guard byte == UInt8(ascii: "\\") else { return false }
                isEscaped = false
            } else {
                isEscaped = byte == UInt8(ascii: "\\")
            }
        }
        return !isEscaped
    }
}
